"""Rows of the CSV files that DVC draws. A line a column (`dvc plots` can't split one by a third column), a bar a row.

A missing number is the word nan, for which nothing is drawn; an empty cell would be drawn as 0.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from questions_gen.report.summary import MODELS, REWARDS, Logs, Number, number, rounded

SUPERVISED = ("sft", "distill")
DIMENSIONS = ("rigor", "difficulty", "innovation", "clarity", "educational_value", "overall")
"""Of the teacher's scores; the last is the mean of the others."""
PLOTS = ("loss", "reward", "gate_reasons", "rewards_by_model", "teacher_scores", "balance")

Groups = Mapping[str, Mapping[str, Number]]
"""What a group of bars is of → model → its number."""


def plots(logs: Logs) -> dict[str, str]:
    """Name of a plot → its CSV text."""
    return {
        "loss": to_csv(("step", *SUPERVISED), loss_rows(logs)),
        "reward": to_csv(("step", "reward", "gate", *REWARDS), reward_rows(logs)),
        "gate_reasons": bar_csv(gate_shares(logs), "share"),
        "rewards_by_model": bar_csv(reward_means(logs), "mean"),
        "teacher_scores": bar_csv(teacher_means(logs), "score"),
        "balance": bar_csv(balances(logs), "balance"),
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
    """Share of each model's completions that were refused, and for each reason; a completion may have several."""
    evaluated = {model: metrics(logs, f"evaluate@{model}") for model in MODELS}
    reasons = sorted({reason for found in evaluated.values() for reason in found.get("reasons", {})})
    return {
        "any reason": {model: refused(found) for model, found in evaluated.items()},
        **{reason: {model: share(found, reason) for model, found in evaluated.items()} for reason in reasons},
    }


def refused(evaluated: Mapping[str, Any]) -> Number:
    return rounded(1 - evaluated["gate_pass_rate"]) if evaluated.get("n") else None


def share(evaluated: Mapping[str, Any], reason: str) -> Number:
    return rounded(evaluated["reasons"].get(reason, 0) / evaluated["n"]) if evaluated.get("n") else None


def reward_means(logs: Logs) -> Groups:
    """Mean of each reward over a model's completions."""
    return {name: by_model(logs, "evaluate", f"rewards.{name}") for name in REWARDS}


def teacher_means(logs: Logs) -> Groups:
    """The teacher's mean score of a model's problems by dimension, of 5."""
    return {name: by_model(logs, "judge", f"mean.{name}") for name in DIMENSIONS}


def balances(logs: Logs) -> Groups:
    """How even the teacher's scores of a model are: the mean of its lowest dimension over that of its highest.

    1 is a model whose problems are as good in one dimension as in another; there is no radar chart in DVC.
    """
    scores = {model: [teacher_means(logs)[name][model] for name in DIMENSIONS[:-1]] for model in MODELS}
    return {"lowest over highest": {model: balance(values) for model, values in scores.items()}}


def balance(scores: Sequence[Number]) -> Number:
    """
    >>> balance([2.0, 4.0, 3.0]), balance([2.0, None])
    (0.5, None)
    """
    return None if None in scores else rounded(min(scores) / max(scores))


def by_model(logs: Logs, stage: str, name: str) -> dict[str, Number]:
    return {model: number(logs, f"{stage}@{model}", name) for model in MODELS}


def bar_csv(groups: Groups, value: str) -> str:
    rows = [{"bar": f"{group}: {model}", value: found} for group, of in groups.items() for model, found in of.items()]
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
