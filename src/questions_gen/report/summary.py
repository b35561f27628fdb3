"""The one table of numbers that Git keeps: the same names for every profile, nothing that differs between equal runs.

A number that a stage didn't give, or that isn't finite, is null and never 0. Four significant digits: the rest is
noise.
"""

import math
from collections.abc import Mapping
from typing import Any

Logs = Mapping[str, Mapping[str, Any]]
"""A stage's address ("sft", "evaluate@base") → its log: {"metrics": …, "steps": [row, …]}."""
Number = int | float | None
Summary = dict[str, dict[str, dict[str, Number]]]
"""{"models": {model: {name: number}}, "stages": {stage: {name: number}}}"""

MODELS = ("base", "sft", "grpo", "distill")
REWARDS = ("difficulty", "novelty", "rigor", "diversity")
LOG_ADDRESSES = (
    *("mix", "sft", "grpo", "teach", "distill"),
    *(f"{stage}@{model}" for stage in ("evaluate", "judge") for model in MODELS),
)
VALIDATION_LOSS = {
    "base": ("sft", "validation_loss_before"),
    "sft": ("sft", "validation_loss"),
    "grpo": ("distill", "validation_loss_before"),
    "distill": ("distill", "validation_loss"),
}
"""Who measured each model's: sft starts from the base model, distill from grpo's, on the same conversations."""


def summarise(logs: Logs) -> Summary:
    return {
        "models": {model: model_numbers(logs, model) for model in MODELS},
        "stages": {
            "mix": {
                "conversations": number(logs, "mix", "rows.train"),
                "dropped": number(logs, "mix", "dropped"),
                "difficulty_rank_correlation": number(logs, "mix", "difficulty.rank_correlation"),
            },
            "grpo": {
                "reward": number(logs, "grpo", "reward"),
                "groups": number(logs, "grpo", "groups"),
                "groups_without_spread": number(logs, "grpo", "groups_without_spread"),
                "coordinated_conversations": number(logs, "grpo", "coordinated.conversations"),
            },
            "teach": {
                "conversations": number(logs, "teach", "conversations"),
                "preferences": number(logs, "teach", "preferences"),
                "dropped": number(logs, "teach", "dropped"),
                "gain": number(logs, "teach", "gain"),
                "overall": number(logs, "teach", "scores.mean.overall"),
                "agreement": number(logs, "teach", "agreement"),
                "tokens": number(logs, "teach", "tokens"),
            },
        },
    }


def model_numbers(logs: Logs, model: str) -> dict[str, Number]:
    evaluate, judge = f"evaluate@{model}", f"judge@{model}"
    return {
        "validation_loss": number(logs, *VALIDATION_LOSS[model]),
        "gate_pass_rate": number(logs, evaluate, "gate_pass_rate"),
        "total": number(logs, evaluate, "total"),
        **{name: number(logs, evaluate, f"rewards.{name}") for name in REWARDS},
        "novelty_training": number(logs, evaluate, "novelty_training"),
        "copies": number(logs, evaluate, "copies"),
        "contamination_rate": number(logs, evaluate, "contamination_rate"),
        "teacher_overall": number(logs, judge, "mean.overall"),
    }


def number(logs: Logs, address: str, name: str) -> Number:
    """The metric `name` (dotted) of a stage, rounded; of counts by reason their sum; None where there is none."""
    value: Any = logs.get(address, {}).get("metrics", {})
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping):
        value = sum(value.values())
    return rounded(value)


def rounded(value: Any) -> Number:
    """To four significant digits; counts stay exact.

    >>> rounded(0.123456), rounded(25669), rounded(float("nan")), rounded(None)
    (0.1235, 25669, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.4g}")
