"""Scores of four models, of rows that the real judge made: base writes gibberish, the rest problems."""

from functools import lru_cache
from typing import Any

from questions_gen import measures
from questions_gen.controls import controls
from questions_gen.measures import DIMENSIONS, Score
from questions_gen.report.summary import MODELS
from questions_gen.schema import Evaluated
from stages.evaluate import Asked, judged
from tests.conftest import tiny_problems
from tests.evaluations import asked_prompts, evaluated, gibberish, names, problems
from tests.rewards.judges import judge


@lru_cache(maxsize=1)
def sample_rows() -> dict[str, list[Evaluated]]:
    asked = asked_prompts(10)
    rows = {"base": [*evaluated(asked, gibberish(names(asked), 2)), *_controls()]}
    for seed, model in enumerate(MODELS[1:]):
        rows[model] = evaluated(asked, problems(names(asked), 2, seed))
    return rows


def _controls() -> list[Evaluated]:
    made = controls(tiny_problems(24)[20:], 4)
    asked = [Asked("control", cell, prompt) for cell, prompt, _ in made]
    training = [problem.statement for problem in tiny_problems(20)]
    return judged(judge(history=training, known=training), asked, [c for *_, c in made], thinking=False)


def sample_marks(rows: list[Evaluated]) -> dict[str, dict[str, Any]]:
    """The teacher's, of the first two problems."""
    marks = dict(zip(DIMENSIONS, (2, 3, 4, 4, 4), strict=True))
    return {row.completion.id: {"overall": 3.4, "feedback": "Clear.", **marks} for row in rows[:2]}


def sample_scores() -> dict[str, list[Score]]:
    return {model: measures.score(rows, sample_marks(rows)) for model, rows in sample_rows().items()}
