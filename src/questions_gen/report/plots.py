"""Rows of the CSV files that DVC draws. A line a column (`dvc plots` can't split one by a third column), a bar a row.

A missing number is the word nan, for which nothing is drawn; an empty cell would be drawn as 0.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from questions_gen.report.summary import MODELS, REWARDS, Logs, number, rounded

SUPERVISED = ("sft", "distill")
DIMENSIONS = ("rigor", "difficulty", "innovation", "clarity", "educational_value", "overall")


PLOTS = ("loss", "reward", "gate_reasons", "rewards_by_model", "teacher_scores")


def plots(logs: Logs) -> dict[str, str]:
    """Name of a plot → its CSV text."""
    return {
        "loss": to_csv(("step", *SUPERVISED), loss_rows(logs)),
        "reward": to_csv(("step", "reward", "gate", *REWARDS), reward_rows(logs)),
        "gate_reasons": to_csv(("bar", "share"), gate_rows(logs)),
        "rewards_by_model": to_csv(("bar", "mean"), reward_rows_by_model(logs)),
        "teacher_scores": to_csv(("bar", "score"), teacher_rows(logs)),
    }


def loss_rows(logs: Logs) -> list[dict[str, Any]]:
    """Training loss: a row a step, a column a supervised stage."""
    losses = {stage: {row["step"]: rounded(row["loss"]) for row in steps(logs, stage)} for stage in SUPERVISED}
    every = sorted({step for of_stage in losses.values() for step in of_stage})
    return [{"step": step, **{stage: losses[stage].get(step) for stage in SUPERVISED}} for step in every]


def reward_rows(logs: Logs) -> list[dict[str, Any]]:
    """GRPO: the mean total, its gate and its parts, a row a step."""
    names = ("reward", "gate", *REWARDS)
    return [{"step": row["step"], **{name: rounded(row.get(name)) for name in names}} for row in steps(logs, "grpo")]


def gate_rows(logs: Logs) -> list[dict[str, Any]]:
    """Share of each model's completions that were refused, and for each reason; a completion may have several."""
    evaluated = {model: metrics(logs, f"evaluate@{model}") for model in MODELS}
    reasons = sorted({reason for found in evaluated.values() for reason in found.get("reasons", {})})
    rows = [{"bar": f"any reason: {model}", "share": refused(found)} for model, found in evaluated.items()]
    for reason in reasons:
        rows += [{"bar": f"{reason}: {model}", "share": share(found, reason)} for model, found in evaluated.items()]
    return rows


def refused(evaluated: Mapping[str, Any]) -> float | None:
    return rounded(1 - evaluated["gate_pass_rate"]) if evaluated.get("n") else None


def share(evaluated: Mapping[str, Any], reason: str) -> float | None:
    return rounded(evaluated["reasons"].get(reason, 0) / evaluated["n"]) if evaluated.get("n") else None


def reward_rows_by_model(logs: Logs) -> list[dict[str, Any]]:
    """Mean of each reward over a model's completions."""
    return [
        {"bar": f"{name}: {model}", "mean": number(logs, f"evaluate@{model}", f"rewards.{name}")}
        for name in REWARDS
        for model in MODELS
    ]


def teacher_rows(logs: Logs) -> list[dict[str, Any]]:
    """The teacher's mean score of a model's problems by dimension, of 5."""
    return [
        {"bar": f"{name}: {model}", "score": number(logs, f"judge@{model}", f"mean.{name}")}
        for name in DIMENSIONS
        for model in MODELS
    ]


def to_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "nan" if value is None else value for name, value in row.items()} for row in rows)
    return text.getvalue()


def metrics(logs: Logs, address: str) -> Mapping[str, Any]:
    return logs.get(address, {}).get("metrics", {})


def steps(logs: Logs, address: str) -> Sequence[Mapping[str, Any]]:
    return logs.get(address, {}).get("steps", [])
