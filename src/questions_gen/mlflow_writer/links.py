"""A stage that DVC skipped or restored has no run of its own: the pipeline's run names the one that made its outs.

They find each other by the stage's input hash, which its log holds and its run is tagged with. Nothing of this is
written into an output.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

NOWHERE = "no run here"
NOTE = "mlflow.note.content"
HEADER = "| stage | made by the run |"


def write(client: "MlflowClient", experiment: str, parent: str, run: str, hashes: Mapping[str, str]) -> None:
    """For each stage (address → input hash) a tag `made_by.<stage>` on both runs, and a table in their descriptions.

    A tag's name has / for the @ of an address, which MLflow doesn't take. What a person wrote stays above the table.
    """
    makers = {stage: _maker(client, experiment, key) or NOWHERE for stage, key in hashes.items()}
    table = _table(makers, experiment)
    for target in (parent, run):
        for stage, maker in makers.items():
            client.set_tag(target, f"made_by.{stage.replace('@', '/')}", maker)
        words = client.get_run(target).data.tags.get(NOTE, "").split(HEADER)[0].strip()
        client.set_tag(target, NOTE, f"{words}\n\n{table}" if words else table)


def _maker(client: "MlflowClient", experiment: str, key: str) -> str | None:
    """The newest run that ended well with these inputs."""
    condition = f"tags.input_hash = '{key}' and attributes.status = 'FINISHED'"
    found = client.search_runs([experiment], condition, max_results=1, order_by=["attributes.start_time DESC"])
    return found[0].info.run_id if found else None


def _table(makers: Mapping[str, str], experiment: str) -> str:
    rows = [
        f"| {stage} | {maker if maker == NOWHERE else f'[{maker[:8]}](#/experiments/{experiment}/runs/{maker})'} |"
        for stage, maker in sorted(makers.items())
    ]
    return "\n".join([HEADER, "|---|---|", *rows])
