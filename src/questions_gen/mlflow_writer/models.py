"""The exported model in MLflow's registry: a name, a version and where DVC has it. MLflow gets no copy."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"
RATE = "gate_pass_rate"


def register(client: "MlflowClient", run: str, model: Mapping[str, Any]) -> None:
    """`model`: {"name", "source", "tags"}, its tag `input_hash` telling exports apart. The same one again is no new
    version.

    The alias goes to a version that passes the gate at least as often as the one that has it. Versions of a name come
    from one profile, so these rates are of the same prompts unless the section evaluate was changed between them.
    """
    from mlflow.exceptions import MlflowException

    name, tags = model["name"], model["tags"]
    try:
        registered = client.get_registered_model(name)
    except MlflowException:
        registered = client.create_registered_model(name, description="Made by the stage export; DVC has the files.")
    if client.search_model_versions(f"name = '{name}' and tags.input_hash = '{tags['input_hash']}'"):
        return
    champion = registered.aliases.get(CHAMPION)
    best = client.get_model_version(name, champion).tags.get(RATE) if champion else None
    made = client.create_model_version(name, model["source"], run, tags)
    if best is None or float(tags.get(RATE, "-inf")) >= float(best):
        client.set_registered_model_alias(name, CHAMPION, made.version)
