"""The numbers that Git keeps: metrics/summary.json, which is compared, and metrics/intervals.json, which explains it.

The same names for every profile, nothing that differs between equal runs. A number that there isn't is null and never
0. Four significant digits: the rest is noise.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from questions_gen import measures
from questions_gen.measures import DIMENSIONS, MEASURES, Measure, Score, rounded

Logs = Mapping[str, Mapping[str, Any]]
"""A stage's address ("sft", "evaluate@base") → its log: {"metrics": …, "steps": [row, …]}."""
Scores = Mapping[str, Sequence[Score]]
"""By model."""
Number = int | float | None
Summary = dict[str, dict[str, dict[str, Number]]]
"""{"models": {model: {name: number}}, "control": {cell: {name: number}}, "stages": {stage: {name: number}}}"""

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
HEADLINES = (
    *("gate_pass_rate", "total", "set_diversity", "contamination_rate", "variation_success"),
    *("teacher_overall", "teacher_approval", "balance"),
)
"""The measures of a model that the summary has: few enough that a diff of all models fits on a screen."""
CONTROLS = ("real", "fake")


def summarise(logs: Logs, scores: Scores) -> Summary:
    return {
        "models": {model: model_numbers(logs, scores, model) for model in MODELS},
        "control": {cell: control_numbers(scores, cell) for cell in CONTROLS},
        "stages": {
            "mix": {
                "conversations": number(logs, "mix", "rows.train"),
                "difficulty_rank_correlation": number(logs, "mix", "difficulty.rank_correlation"),
            },
            "grpo": {
                "reward": number(logs, "grpo", "reward"),
                "groups_without_spread": number(logs, "grpo", "groups_without_spread"),
            },
            "teach": {
                "conversations": number(logs, "teach", "conversations"),
                "preferences": number(logs, "teach", "preferences"),
                "dropped": number(logs, "teach", "dropped"),
                "gain": number(logs, "teach", "gain"),
                "agreement": number(logs, "teach", "agreement"),
                "tokens": number(logs, "teach", "tokens"),
                **{name: number(logs, "teach", f"scores.mean.{name}") for name in ("overall", *DIMENSIONS)},
            },
        },
    }


def model_numbers(logs: Logs, scores: Scores, model: str) -> dict[str, Number]:
    told = {name: measures.estimate(scores.get(model, []), MEASURES[name]) for name in HEADLINES}
    return {
        "validation_loss": number(logs, *VALIDATION_LOSS[model]),
        **{name: found["mean"] if found else None for name, found in told.items()},
    }


def control_numbers(scores: Scores, cell: str) -> dict[str, Number]:
    """How the judge sees what no model wrote."""
    told = measures.cell_estimates([row for rows in scores.values() for row in rows], "control").get(cell)
    found = told["without_thinking"] if told else {}
    return {name: found[name]["mean"] if found else None for name in ("gate_pass_rate", "total")}


def intervals(logs: Logs, scores: Scores) -> dict[str, Any]:
    """Every measure of every model with its 95 % interval and its n, and cell by cell; what each model gained on the
    one before it, paired by prompt; and what teach kept and dropped, by kind and reason.

    null: not done, as with thinking on a model that knows none.
    """
    everything = [row for rows in scores.values() for row in rows]
    return {
        "models": {
            model: {
                "measures": {name: measures.estimate(rows, measure) for name, measure in MEASURES.items()},
                "cells": {test: measures.cell_estimates(rows, test) for test in ("new", "variation", "own_variation")},
            }
            for model in MODELS
            for rows in (scores.get(model, []),)
        },
        "control": measures.cell_estimates(everything, "control"),
        "gains": {
            after: {"before": before, **gains(scores.get(before, []), scores.get(after, []))}
            for before, after in zip(MODELS, MODELS[1:], strict=False)
        },
        "stages": {
            "mix": {"dropped": counts(logs, "mix", "dropped")},
            "teach": {"kept": counts(logs, "teach", "tasks"), "dropped": counts(logs, "teach", "dropped")},
        },
    }


def gains(before: Sequence[Score], after: Sequence[Score]) -> dict[str, Any]:
    """Measure → its Difference as an object, null where neither model did the test."""
    return {"measures": {name: _gain(before, after, measure) for name, measure in MEASURES.items()}}


def _gain(before: Sequence[Score], after: Sequence[Score], measure: Measure) -> dict[str, Any] | None:
    found = measures.compare(before, after, measure)
    return None if found is None else found._asdict()


def counts(logs: Logs, address: str, name: str) -> dict[str, int] | None:
    """The counts by reason or kind that a stage's log has under `name`; None where it has none."""
    value = logs.get(address, {}).get("metrics", {}).get(name)
    return dict(sorted(value.items())) if isinstance(value, Mapping) else None


def number(logs: Logs, address: str, name: str) -> Number:
    """The metric `name` (dotted) of a stage, rounded; of counts by reason their sum; None where there is none."""
    value: Any = logs.get(address, {}).get("metrics", {})
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping):
        value = sum(value.values())
    return rounded(value)
