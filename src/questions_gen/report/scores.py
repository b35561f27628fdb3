"""metrics/scores.csv: the scores of every completion, small enough for Git, so that two revisions can be compared
without the DVC cache. An empty cell is a score that there isn't."""

import csv
import io
from collections.abc import Mapping, Sequence

from questions_gen.errors import UserError
from questions_gen.measures import COLUMNS, Score

PLACE = ("model", "test", "cell", "thinking", "prompt", "sample")


def write_scores(scores: Mapping[str, Sequence[Score]]) -> str:
    """The text of the file, of the scores by model."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*PLACE, *COLUMNS))
    for model, rows in scores.items():
        for row in rows:
            place = (model, row.test, row.cell, int(row.thinking), row.prompt, row.sample)
            writer.writerow((*place, *(_cell(row.values[name]) for name in COLUMNS)))
    return text.getvalue()


def read_scores(text: str, name: str) -> dict[str, list[Score]]:
    """The scores by model. A column that an older file lacks is a score that there isn't.

    Raises UserError, which calls the file `name`, for a text that isn't such a file.
    """
    found: dict[str, list[Score]] = {}
    try:
        for row in csv.DictReader(io.StringIO(text), strict=True):
            values = {column: float(row[column]) if row.get(column) else None for column in COLUMNS}
            score = Score(
                row["test"],  # type: ignore[arg-type]
                row["cell"],
                bool(int(row["thinking"])),
                row["prompt"],
                int(row["sample"]),
                values,
            )
            found.setdefault(row["model"], []).append(score)
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(
            f"{name}: not a file of scores ({type(error).__name__}: {error}); `dvc repro` writes it"
        ) from None
    return found


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
