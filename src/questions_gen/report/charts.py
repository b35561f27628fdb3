"""The charts of the report page: the same numbers as in plots/*.csv, with intervals where there are any."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from questions_gen.report import plots
from questions_gen.report.drawing import Bars, Measure, Series, bars, lines
from questions_gen.report.summary import REWARDS, Logs

Table = Mapping[str, Mapping[str, Measure | None]]
"""Model → metric → its measure; None where nothing was measured."""


@dataclass(frozen=True)
class Chart:
    title: str
    about: str
    """What is seen, and in which unit."""
    svg: str


def charts(logs: Logs, table: Table) -> list[Chart]:
    """`table` gives the intervals of the means that it holds too."""
    return [
        bar_chart("Refused by the gate", "Share of a model's completions, for each reason; one may have several.",
                  measures(plots.gate_shares(logs))),
        bar_chart("Mean rewards", "From 0 to 1, over a model's completions.",
                  {name: {model: of[name] for model, of in table.items()} for name in REWARDS}),
        bar_chart("Teacher's scores", "Mean by dimension, of 5.", measures(plots.teacher_means(logs)), full=5.0),
        bar_chart("Balance of the teacher's scores", "Mean of the lowest dimension over that of the highest.",
                  measures(plots.balances(logs))),
        line_chart("Training loss", "Nats a token, of the supervised stages.", plots.loss_rows(logs)),
        line_chart("GRPO reward", "Mean total of a policy step, its gate and its parts.", plots.reward_rows(logs)),
    ]  # fmt: skip


def bar_chart(title: str, about: str, groups: Bars, full: float = 1.0) -> Chart:
    spaced = {group.replace("_", " "): members for group, members in groups.items()}
    return Chart(title, about, bars(title, spaced, full=full))


def line_chart(title: str, about: str, rows: Sequence[Mapping[str, float | None]]) -> Chart:
    """Of rows with a column `step`, and one a line."""
    columns = [name for name in rows[0] if name != "step"] if rows else []
    series: dict[str, Series] = {name: [(row["step"], row[name]) for row in rows] for name in columns}
    return Chart(title, about, lines(title, series, x_label="step"))


def measures(groups: plots.Groups) -> Bars:
    return {
        group: {model: None if value is None else Measure(value) for model, value in members.items()}
        for group, members in groups.items()
    }
