"""Rows of the CSV files that DVC draws. A line a column (`dvc plots` can't split one by a third column), a bar a row.

A missing number is the word nan, for which nothing is drawn; an empty cell would be drawn as 0.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from questions_gen.measures import TEACHER, Estimate
from questions_gen.report.summary import MODELS, REWARDS, Logs, Number, rounded

SUPERVISED = ("sft", "distill")
PLOTS = ("loss", "reward", "gate_reasons", "rewards_by_model", "teacher_scores", "balance")

Estimates = Mapping[str, Mapping[str, Estimate | None]]
"""Model → measure → its estimate, as in metrics/intervals.json."""
Groups = Mapping[str, Mapping[str, Estimate | None]]
"""What a group of bars is of → model → its estimate; None where nothing was measured."""


def plots(logs: Logs, estimates: Estimates) -> dict[str, str]:
    """Name of a plot → its CSV text."""
    return {
        "loss": to_csv(("step", *SUPERVISED), loss_rows(logs)),
        "reward": to_csv(("step", "reward", "gate", *REWARDS), reward_rows(logs)),
        "gate_reasons": bar_csv(gate_shares(logs), "share"),
        "rewards_by_model": bar_csv(rewards_by_model(estimates), "mean"),
        "teacher_scores": bar_csv(teacher_scores(estimates), "score"),
        "balance": bar_csv(balance(estimates), "balance"),
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


def gate_shares(logs: Logs) -> Groups:
    """Share of each model's new problems that were refused, and for each reason; a problem may have several."""
    evaluated = {model: metrics(logs, f"evaluate@{model}") for model in MODELS}
    reasons = sorted({reason for found in evaluated.values() for reason in found.get("reasons", {})})
    return {
        "any reason": {model: refused(found) for model, found in evaluated.items()},
        **{reason: {model: share(found, reason) for model, found in evaluated.items()} for reason in reasons},
    }


def refused(evaluated: Mapping[str, Any]) -> Estimate | None:
    return alone(1 - evaluated["gate_pass_rate"]) if evaluated.get("n") else None


def share(evaluated: Mapping[str, Any], reason: str) -> Estimate | None:
    return alone(evaluated["reasons"].get(reason, 0) / evaluated["n"]) if evaluated.get("n") else None


def alone(value: Number) -> Estimate | None:
    """A number without an interval."""
    return None if value is None else {"mean": rounded(value), "low": None, "high": None, "n": None, "prompts": None}


def rewards_by_model(estimates: Estimates) -> Groups:
    """Mean of each reward, over a model's new problems that passed the gate."""
    return {name: by_model(estimates, name) for name in REWARDS}


def teacher_scores(estimates: Estimates) -> Groups:
    """The teacher's mean score of a model's problems by dimension, of 5, and the mean of all dimensions."""
    names = (*TEACHER, "teacher_overall")
    return {name.removeprefix("teacher_"): by_model(estimates, name) for name in names}


def balance(estimates: Estimates) -> Groups:
    """How even the teacher's dimensions are: lowest mean over highest. Bars, as DVC draws no radar."""
    return {"balance": by_model(estimates, "balance")}


def by_model(estimates: Estimates, name: str) -> dict[str, Estimate | None]:
    return {model: estimates.get(model, {}).get(name) for model in MODELS}


def bar_csv(groups: Groups, value: str) -> str:
    rows = [
        {"bar": f"{group}: {model}", value: found and found["mean"]}
        for group, members in groups.items()
        for model, found in members.items()
    ]
    return to_csv(("bar", value), rows)


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
