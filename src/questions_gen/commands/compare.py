"""`questions-gen compare`: what changed between two revisions, with intervals and a verdict."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from questions_gen.commands.told import told
from questions_gen.errors import UserError

if TYPE_CHECKING:
    from questions_gen.report.comparison import Files

SUMMARY, SCORES = Path("metrics/summary.json"), Path("metrics/scores.csv")


@told()
def compare(
    before: Annotated[str, typer.Argument(metavar="REV", help="a Git revision or the name of an experiment")],
    after: Annotated[str, typer.Argument(metavar="[REV]", help="another one")] = "workspace",
    markdown: Annotated[bool, typer.Option("--markdown", help="for a pull request")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
) -> None:
    """Print what changed from REV to REV: each measure of each model, with a 95 % interval, paired by prompt, and a
    verdict (better, worse, can't tell)."""
    from questions_gen.report.comparison import comparison, show, to_markdown, to_object

    names = (before, after)
    rows = comparison(_files(before), _files(after))
    if as_json:
        typer.echo(json.dumps(to_object(rows, names), indent=2, ensure_ascii=False))
    elif markdown:
        typer.echo(to_markdown(rows, names), nl=False)
    else:
        show(rows, names)


def _files(revision: str) -> "Files":
    from questions_gen import revisions
    from questions_gen.report.scores import read_scores

    scores = read_scores(revisions.read(revision, SCORES), f"{SCORES} of {revision}")
    try:
        return scores, json.loads(revisions.read(revision, SUMMARY))
    except ValueError as error:
        raise UserError(f"{SUMMARY} of {revision}: not valid JSON ({error}); `dvc repro` writes it") from None
