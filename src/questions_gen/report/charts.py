"""The charts of the report page: the same numbers as in plots/*.csv, with intervals where there are any."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from questions_gen.report import plots
from questions_gen.report.drawing import Series, bars, lines
from questions_gen.report.summary import Logs


@dataclass(frozen=True)
class Chart:
    title: str
    about: str
    """What is seen, and in which unit."""
    svg: str


def charts(logs: Logs, estimates: plots.Estimates) -> list[Chart]:
    """One for each of plots.PLOTS."""
    return [
        bar_chart("Refused by the gate", "Share of the new problems, for each reason; one may have several.",
                  plots.gate_shares(logs)),
        bar_chart("Mean rewards", "From 0 to 1, of the new problems that pass the gate.",
                  plots.rewards_by_model(estimates)),
        bar_chart("Teacher's scores", "Mean by dimension, of 5.", plots.teacher_scores(estimates), full=5.0),
        bar_chart("Balance of the teacher's scores", "Lowest mean of a dimension over the highest: 1 is even.",
                  plots.balance(estimates)),
        line_chart("Training loss", "Nats a token, of the supervised stages.", plots.loss_rows(logs)),
        line_chart("GRPO reward", "Mean total of a policy step, its gate and its parts.", plots.reward_rows(logs)),
    ]  # fmt: skip


def bar_chart(title: str, about: str, groups: plots.Groups, full: float = 1.0) -> Chart:
    spaced = {group.replace("_", " "): members for group, members in groups.items()}
    return Chart(title, about, bars(title, spaced, full=full))


def line_chart(title: str, about: str, rows: Sequence[Mapping[str, float | None]]) -> Chart:
    """Of rows with a column `step`, and one a line."""
    columns = [name for name in rows[0] if name != "step"] if rows else []
    series: dict[str, Series] = {name: [(row["step"], row[name]) for row in rows] for name in columns}
    return Chart(title, about, lines(title, series, x_label="step"))
