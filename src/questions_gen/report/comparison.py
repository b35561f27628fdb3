"""What changed between two revisions: each measure of each model, paired by prompt, with a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from questions_gen import measures
from questions_gen.measures import MEASURES, Better, Score, rounded
from questions_gen.report.summary import MODELS

Files = tuple[Mapping[str, Sequence[Score]], Mapping[str, Any]]
"""What a revision has: the scores by model, and metrics/summary.json."""
ARROWS = {"higher": "↑", "lower": "↓", None: ""}
"""Which way is better."""
COLUMNS = ("metric", "before", "after", "change", "95 % interval", "n", "verdict")


@dataclass(frozen=True)
class Row:
    model: str
    metric: str
    better: Better | None
    before: float | None
    after: float | None
    difference: float | None
    low: float | None
    high: float | None
    prompts: int
    """That the two were compared on."""
    paired: bool
    verdict: measures.Verdict


def comparison(before: Files, after: Files) -> list[Row]:
    """A row for each model and measure that one of the two has.

    The validation loss stands in the summary alone, so it has no interval, and nothing can be told of it.
    """
    rows = []
    for model in MODELS:
        losses = [side[1].get("models", {}).get(model, {}).get("validation_loss") for side in (before, after)]
        if any(loss is not None for loss in losses):
            change = None if None in losses else rounded(losses[1] - losses[0])
            rows.append(
                Row(model, "validation_loss", "lower", *losses, change, None, None, 0, change is not None, "can't tell")
            )
        for name, measure in MEASURES.items():
            found = measures.compare(before[0].get(model, []), after[0].get(model, []), measure)
            if found is not None and (found.before, found.after) != (None, None):
                rows.append(Row(model, name, measure.better, **found._asdict()))
    return rows


def notes(rows: Sequence[Row]) -> list[str]:
    """What has to be said beside the table."""
    told = [f"{count} {verdict}" for verdict in _VERDICTS if (count := sum(r.verdict == verdict for r in rows))]
    said = [f"{', '.join(told)}. Of 40 measures of equal models one or two look changed by chance."]
    if loose := sorted({row.model for row in rows if not row.paired}):
        said.append(
            f"*: not paired, as the two were asked different prompts ({', '.join(loose)}), so the interval is wider."
        )
    if sum(row.low is None for row in rows):
        said.append("–: no interval, for fewer than 8 prompts that both have, or no spread; so nothing can be told.")
    return said


_VERDICTS = ("better", "worse", "higher", "lower", "can't tell")


def cells(row: Row) -> tuple[str, ...]:
    """As text, in the order of COLUMNS."""
    ends = row.low is not None and row.high is not None
    interval = f"[{_signed(row.low)}, {_signed(row.high)}]" if ends else "–"
    name = f"{row.metric} {ARROWS[row.better]}".rstrip()
    count = f"{row.prompts or '–'}{'' if row.paired else '*'}"
    return name, _shown(row.before), _shown(row.after), _signed(row.difference), interval, count, row.verdict


def _signed(value: float | None) -> str:
    return "–" if value is None else f"+{_shown(value)}" if value >= 0 else _shown(value)


def _shown(value: float | None) -> str:
    """
    >>> _shown(0.12345), _shown(123.45), _shown(None)
    ('0.123', '123.5', '–')
    """
    return "–" if value is None else f"{value:.{1 if abs(value) >= 10 else 3}f}"


def to_markdown(rows: Sequence[Row], names: tuple[str, str]) -> str:
    """For a pull request: a table a model."""
    parts = [f"Before: `{names[0]}`, after: `{names[1]}`."]
    for model in dict.fromkeys(row.model for row in rows):
        lines = [COLUMNS, ["---", *["---:"] * (len(COLUMNS) - 2), "---"]]
        lines += [cells(row) for row in rows if row.model == model]
        parts.append(f"**{model}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join([*parts, *notes(rows)]) + "\n"


def to_object(rows: Sequence[Row], names: tuple[str, str]) -> dict[str, Any]:
    return {"before": names[0], "after": names[1], "rows": [asdict(row) for row in rows], "notes": notes(rows)}


def show(rows: Sequence[Row], names: tuple[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False)
    console.print(f"before: {names[0]}, after: {names[1]}")
    styles = {"better": "green", "worse": "red"}
    for model in dict.fromkeys(row.model for row in rows):
        table = Table(title=model, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
        for column in COLUMNS:
            table.add_column(column, justify="left" if column in ("metric", "verdict") else "right", no_wrap=True)
        for row in rows:
            if row.model == model:
                table.add_row(*cells(row), style=styles.get(row.verdict))
        console.print(table)
    for note in notes(rows):
        console.print(note)
