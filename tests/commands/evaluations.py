"""Evaluated problems of several models, as `evaluate` writes them."""

from collections.abc import Sequence
from pathlib import Path

from questions_gen import files
from questions_gen.answers import parse_completion
from questions_gen.prompts import problem_messages
from questions_gen.schema import Evaluated, Prompt, Verdict


def evaluated(model: str, number: int, statement: str, *, answer: str | None = "3", **changes: object) -> Evaluated:
    """A row of a new problem; every third one's gate is closed."""
    text = statement if answer is None else f"{statement}\nAnswer: \\boxed{{{answer}}}"
    passed = number % 3 != 0
    row = Evaluated(
        test="new",
        cell="number theory",
        thinking=False,
        prompt=Prompt(id=f"prompt-{number}", task="problem", messages=problem_messages("number theory")),
        completion=parse_completion(
            id=f"prompt-{number}/0", prompt_id=f"prompt-{number}", text=text, finish_reason="stop", tokens=9, seed=1
        ),
        verdict=Verdict(
            passed=passed,
            reasons=() if passed else ("no_question",),
            rewards={"difficulty": number / 10, "novelty": 0.5, "rigor": 0.5, "diversity": None},
            similarity=0.1,
            known_similarity=0.1,
            total=0.5 + number / 100 if passed else 0.0,
        ),
        nearest=None,
    )
    return row.model_copy(update=changes)


def write_evaluation(root: Path, model: str, statements: Sequence[str]) -> None:
    rows = [evaluated(model, number, statement) for number, statement in enumerate(statements)]
    files.write_rows(root / "data/evaluation" / model / "rows.jsonl", rows)
