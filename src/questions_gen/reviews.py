"""What people say of the problems, and how far the rewards agree with them.

A review keeps the verdict that the evaluation gave at the time, so that it can be read without the evaluation.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from filelock import FileLock
from pydantic import Field, model_validator

from questions_gen import files
from questions_gen.rewards.difficulty import rank_correlation
from questions_gen.schema import Evaluated, Record

REVIEWS = Path("data/reviews/reviews.jsonl")
LOCK = Path(".locks/reviews.lock")
MAX_COMMENT = 2_000
"""Characters."""

Agreement = dict[str, float | int | None]


class Review(Record):
    """One person's word on one problem."""

    version: Literal[1] = 1
    reviewer: str = Field(min_length=1, max_length=60)
    problem: str
    """Of the statement and the answer, whoever wrote them: `item_id`."""
    statement: str
    answer: str | None
    models: tuple[str, ...]
    """Those that wrote it; the person isn't told."""
    valid: bool
    """One well-posed problem that can be understood and solved."""
    difficulty: Annotated[int, Field(ge=1, le=5)] | None
    """1 for an exercise, 5 for an olympiad's last problem; None for one that isn't valid."""
    liked: bool
    comment: str = Field(max_length=MAX_COMMENT)
    passed: bool
    """The gate's word."""
    total: float
    rewarded_difficulty: float | None

    @model_validator(mode="after")
    def _difficulty_of_valid(self) -> Self:
        if self.valid and self.difficulty is None:
            raise ValueError("difficulty: a valid problem needs one, 1 to 5")
        return self


class Item(Record):
    """A problem to be rated."""

    id: str
    statement: str
    answer: str | None
    models: tuple[str, ...]
    passed: bool
    total: float
    rewarded_difficulty: float | None


def item_id(statement: str, answer: str | None) -> str:
    return hashlib.sha256(files.to_json([statement, answer]).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def items(evaluations: dict[str, Sequence[Evaluated]]) -> list[Item]:
    """The new problems of `evaluations` (model → rows), each once, by id; without a statement there is none."""
    found: dict[str, Item] = {}
    for model, rows in evaluations.items():
        for row in rows:
            completion, verdict = row.completion, row.verdict
            if row.test != "new" or not completion.statement.strip():
                continue
            name = item_id(completion.statement, completion.answer)
            others = found[name].models if name in found else ()
            found[name] = Item(
                id=name,
                statement=completion.statement,
                answer=completion.answer,
                models=tuple(sorted({*others, model})),
                passed=verdict.passed,
                total=verdict.total,
                rewarded_difficulty=verdict.rewards.get("difficulty"),
            )
    return [found[name] for name in sorted(found)]


def read_reviews(path: Path) -> list[Review]:
    """The reviews of a file; of several by one person on one problem the last. UserError for another schema."""
    last = {(review.reviewer, review.problem): review for review in files.read_records(path, Review)}
    return list(last.values())


def add_review(path: Path, review: Review) -> None:
    """Append a review: the file is replaced as a whole, so that it is never half-written."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(LOCK):
        before = path.read_bytes() if path.exists() else b""
        if before and not before.endswith(b"\n"):
            before += b"\n"
        with files.replacing(path) as handle:
            handle.write(before + files.to_json(review.model_dump(mode="json")).encode() + b"\n")


def agreement(reviews: Sequence[Review]) -> Agreement:
    """How people and rewards agree; None where there is nothing to tell from, as without any review.

    valid_kappa: Cohen's, of "valid" and the gate · difficulty_rank_correlation: Spearman's, of the valid problems ·
    liked_rank_correlation: Spearman's, of "liked" and the total.
    """
    hard = [r for r in reviews if r.difficulty is not None and r.rewarded_difficulty is not None]
    return {
        "reviews": len(reviews) or None,
        "valid": sum(r.valid for r in reviews) / len(reviews) if reviews else None,
        "valid_kappa": kappa([r.valid for r in reviews], [r.passed for r in reviews]),
        "difficulty_rank_correlation": _correlation(
            [r.difficulty for r in hard], [r.rewarded_difficulty for r in hard]
        ),
        "liked_rank_correlation": _correlation([r.liked for r in reviews], [r.total for r in reviews]),
    }


def kappa(left: Sequence[bool], right: Sequence[bool]) -> float | None:
    """Cohen's kappa (Cohen 1960) of two raters: 1 agree, 0 as by chance; None if both say one thing only, or none.

    >>> kappa([True, True, False, False], [True, False, False, False])
    0.5
    """
    if not left:
        return None
    count = len(left)
    agreed = sum(a == b for a, b in zip(left, right, strict=True)) / count
    yes, also = sum(left) / count, sum(right) / count
    chance = yes * also + (1 - yes) * (1 - also)
    return None if chance == 1 else (agreed - chance) / (1 - chance)


def _correlation(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Spearman's, or None where one side doesn't vary."""
    if len(set(left)) < 2 or len(set(right)) < 2:
        return None
    return rank_correlation(np.array(left, dtype=float), np.array(right, dtype=float))
