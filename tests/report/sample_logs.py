"""Logs as the stages write them, made up, for every address that the report reads."""

from typing import Any

from questions_gen.measures import DIMENSIONS as FIVE
from questions_gen.report.summary import MODELS


def sample_logs() -> dict[str, dict[str, Any]]:
    logs: dict[str, dict[str, Any]] = {
        "mix": log(
            {
                "rows": {"mixed": 275, "train": 243, "validation": 27},
                "dropped": {"too_long": 3, "near_duplicate": 2},
                "difficulty": {"rank_correlation": 0.2625, "length_alone": 0.18},
            }
        ),
        "sft": log(
            {"train_loss": 2.01234, "validation_loss": 1.712345, "validation_loss_before": 2.1876543},
            [{"step": step, "loss": 2.5 - step / 10, "learning_rate": 2e-4} for step in range(1, 5)],
        ),
        "grpo": log(
            {"reward": 0.213456, "groups": 3, "groups_without_spread": 1, "coordinated": {"conversations": 5}},
            [grpo_step(step) for step in range(1, 4)],
        ),
        "teach": log(
            {
                "conversations": 6,
                "tasks": {"problem": 2, "improve": 4},
                "preferences": 2,
                "dropped": {"cut_off": 1},
                "gain": 0.123456,
                "scores": {"n": 5, "mean": dict.fromkeys((*FIVE, "overall"), 2.5)},
                "agreement": -0.25,
                "tokens": {"prompt": 4000, "completion": 600},
            }
        ),
        "distill": log(
            {"train_loss": 1.6, "validation_loss": 1.65, "validation_loss_before": 1.70},
            [{"step": step, "loss": 1.7 - step / 10, "learning_rate": 5e-5} for step in range(1, 3)],
        ),
    }
    for number, model in enumerate(MODELS):
        logs[f"evaluate@{model}"] = evaluation(number)
        logs[f"judge@{model}"] = judgement(number)
    return logs


def log(metrics: dict[str, Any], steps: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"input_hash": "0" * 64, "metrics": metrics, "steps": steps or []}


def grpo_step(step: int) -> dict[str, Any]:
    parts = {"gate": 0.5, "difficulty": 0.4, "novelty": 0.6, "rigor": 0.3, "diversity": None}
    return {"step": step, "loss": 0.01, "reward": 0.2 + step / 100, "reward_std": 0.1, "length": 80.0, **parts}


def evaluation(number: int) -> dict[str, Any]:
    return log(
        {
            "n": 16,
            "gate_pass_rate": 0.25 * number,
            "reasons": {"cut_off": 4 - number, "no_question": 3} if number else {"cut_off": 16},
            "rewards": {"difficulty": 0.123456, "novelty": 0.5, "rigor": 0.25, "diversity": None},
            "total": 0.1 * number,
            "contamination_rate": 0.125,
            "tokens": 77.5,
        }
    )


def judgement(number: int) -> dict[str, Any]:
    return log({"n": 2, "mean": dict.fromkeys((*FIVE, "overall"), 2.0 + number / 3), "dropped": {}})
