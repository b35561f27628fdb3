"""What an evaluation measures: the scores of each completion, the measures made of them, and what tells two apart.

A score is a number of one completion. A measure is a mean of scores over the prompts of some tests, in which every
prompt counts as one (statistics.py), or a statistic of several means. The parts of the reward and the novelty and
diversity of a set are measured among the problems that pass the gate: a nonsense isn't a hard or a new problem.
A number that there isn't is None and never 0.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from questions_gen import statistics
from questions_gen.problem import Index, features
from questions_gen.rewards.diversity import diversity
from questions_gen.rewards.novelty import COPY_SIMILARITY
from questions_gen.schema import Evaluated, EvaluationTest
from questions_gen.statistics import Bounds, Statistic
from questions_gen.topics import keeps_topic

DIMENSIONS = ("rigor", "difficulty", "innovation", "clarity", "educational_value")
"""Of the teacher's marks, from 1 to 5."""
APPROVAL = 4.0
"""Overall mark from which on the teacher approves of a problem."""

TEACHER = tuple(f"teacher_{dimension}" for dimension in DIMENSIONS)
COLUMNS = (
    *("passed", "total", "difficulty", "novelty", "rigor", "diversity", "novelty_training", "novelty_history"),
    *("set_diversity", "copied", "contaminated", "on_topic", "tokens", *TEACHER, "approved"),
)
"""The scores of a completion, in the order of metrics/scores.csv."""


@dataclass(frozen=True)
class Score:
    """The scores of one completion, with its place in the evaluation."""

    test: EvaluationTest
    cell: str
    thinking: bool
    prompt: str
    sample: int
    values: Mapping[str, float | None]
    """One for each of COLUMNS."""

    @property
    def unit(self) -> str:
        """What is resampled and paired: the prompt, or of a variation the original, whose three variations are no
        three observations."""
        return self.prompt.rsplit("/", 1)[0] if self.test in ("variation", "own_variation") else self.prompt


def score(
    rows: Sequence[Evaluated], marks: Mapping[str, Mapping[str, Any]] | None = None, history: Index | None = None
) -> list[Score]:
    """The scores of a model's rows, in their order; of `marks`, the teacher's by completion id; of `history`, the
    problems that novelty_history is counted against."""
    sampled: Counter[tuple[Any, ...]] = Counter()
    apart = _set_diversity(rows)
    seen = _novelty_history(rows, history)
    scores = []
    for place, row in enumerate(rows):
        key = (row.test, row.thinking, row.prompt.id)
        values = {
            **_of_verdict(row),
            "novelty_history": seen[place],
            "set_diversity": apart[place],
            **_of_marks((marks or {}).get(row.completion.id)),
        }
        numbers = {name: _settled(values[name]) for name in COLUMNS}
        scores.append(Score(row.test, row.cell, row.thinking, row.prompt.id, sampled[key], numbers))
        sampled[key] += 1
    return scores


def _settled(value: float | None) -> float | None:
    """Rounded, and 0 for what is none but for the last bits of a float32, in which similarities are."""
    return None if value is None else rounded(round(value, 6))


def _of_verdict(row: Evaluated) -> dict[str, float | None]:
    verdict, statement = row.verdict, row.completion.statement.strip()
    written = row.test != "control"
    copied = "copy" in verdict.reasons
    kept = keeps_topic(statement, row.prompt.topic) if statement and written else None
    return {
        "passed": float(verdict.passed),
        "total": verdict.total,
        **verdict.rewards,
        "novelty_training": 1 - verdict.similarity if statement else None,
        "copied": float(copied) if statement else None,
        "contaminated": float(copied or verdict.known_similarity > COPY_SIMILARITY) if statement else None,
        "on_topic": None if kept is None else float(kept),
        "tokens": row.completion.tokens if written else None,
    }


def _of_marks(marks: Mapping[str, Any] | None) -> dict[str, float | None]:
    if marks is None:
        return dict.fromkeys((*TEACHER, "approved"))
    named = {f"teacher_{dimension}": float(marks[dimension]) for dimension in DIMENSIONS}
    return {**named, "approved": float(marks["overall"] >= APPROVAL)}


def _set_diversity(rows: Sequence[Evaluated]) -> list[float | None]:
    """For each new problem that passed: 1 − its highest similarity to another one of the whole set."""
    found: list[float | None] = [None] * len(rows)
    for thinking in (False, True):
        places = [
            i for i, row in enumerate(rows) if row.test == "new" and row.thinking == thinking and row.verdict.passed
        ]
        apart = diversity([features(rows[i].completion.statement) for i in places])
        for place, value in zip(places, apart, strict=True):
            found[place] = value
    return found


def _novelty_history(rows: Sequence[Evaluated], history: Index | None) -> list[float | None]:
    if history is None or not len(history):
        return [None] * len(rows)
    nearest, _ = history.nearest([row.completion.statement for row in rows])
    return [
        1 - value if row.completion.statement.strip() else None
        for row, value in zip(rows, nearest.tolist(), strict=True)
    ]


def rounded(value: Any) -> int | float | None:
    """To four significant digits; counts stay exact.

    >>> rounded(0.123456), rounded(25669), rounded(float("nan")), rounded(None)
    (0.1235, 25669, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.4g}")


# Measures

UNIT = (0.0, 1.0)
MARKS = (1.0, 5.0)
Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Measure:
    columns: tuple[str, ...]
    better: Better | None
    """None: neither is (a length)."""
    bounds: Bounds = UNIT
    statistic: Statistic = statistics.only
    tests: tuple[EvaluationTest, ...] = ("new",)
    thinking: bool = False
    passed: bool = False
    """Whether only what passed the gate is counted."""


def mean_of_columns(means: np.ndarray) -> np.ndarray:
    return means.mean(axis=-1)


MEASURES: dict[str, Measure] = {
    "gate_pass_rate": Measure(("passed",), "higher"),
    "total": Measure(("total",), "higher"),
    "difficulty": Measure(("difficulty",), "higher", passed=True),
    "novelty": Measure(("novelty",), "higher", passed=True),
    "rigor": Measure(("rigor",), "higher", passed=True),
    "diversity": Measure(("diversity",), "higher", passed=True),
    "set_diversity": Measure(("set_diversity",), "higher", passed=True),
    "novelty_training": Measure(("novelty_training",), "higher", passed=True),
    "novelty_history": Measure(("novelty_history",), "higher", passed=True),
    "copies": Measure(("copied",), "lower"),
    "contamination_rate": Measure(("contaminated",), "lower"),
    "topic_adherence": Measure(("on_topic",), "higher"),
    "tokens": Measure(("tokens",), None, bounds=None),
    "thinking_gate_pass_rate": Measure(("passed",), "higher", thinking=True),
    "thinking_total": Measure(("total",), "higher", thinking=True),
    "thinking_tokens": Measure(("tokens",), None, bounds=None, thinking=True),
    "variation_success": Measure(("passed",), "higher", tests=("variation", "own_variation")),
    "held_out_variation_success": Measure(("passed",), "higher", tests=("variation",)),
    "own_variation_success": Measure(("passed",), "higher", tests=("own_variation",)),
    **{name: Measure((name,), "higher", bounds=MARKS) for name in TEACHER},
    "teacher_overall": Measure(TEACHER, "higher", bounds=MARKS, statistic=mean_of_columns),
    "teacher_approval": Measure(("approved",), "higher"),
    "balance": Measure(TEACHER, "higher", bounds=None, statistic=statistics.evenness),
}
CELL_MEASURES = {
    "gate_pass_rate": ("passed",),
    "total": ("total",),
    "topic_adherence": ("on_topic",),
}
"""What is told of each cell of a test: name → column."""

Estimate = dict[str, int | float | None]
"""mean, low and high of its 95 % interval, n (completions that were counted) and prompts (units of these)."""


def estimate(scores: Sequence[Score], measure: Measure) -> Estimate | None:
    """None where the test wasn't done at all, as with thinking on a model that knows none."""
    chosen = selected(scores, measure)
    if not chosen:
        return None
    rows = counted(chosen, measure)
    values = as_table(statistics.by_prompt(rows))
    if not rows:
        return {"mean": None, "low": None, "high": None, "n": 0, "prompts": 0}
    found = statistics.interval(values, measure.statistic, measure.bounds)
    return {
        "mean": rounded(_statistic(values, measure)),
        "low": rounded(found and found.low),
        "high": rounded(found and found.high),
        "n": len(rows),
        "prompts": len(values),
    }


def cell_estimates(scores: Sequence[Score], test: EvaluationTest) -> dict[str, Any]:
    """cell → {"without_thinking" | "with_thinking": {measure: Estimate} or None where that wasn't done}."""
    cells = sorted({row.cell for row in scores if row.test == test})
    found: dict[str, Any] = {}
    for cell in cells:
        own = [row for row in scores if row.test == test and row.cell == cell]
        found[cell] = {}
        for name, thinking in (("without_thinking", False), ("with_thinking", True)):
            told = {
                measure: estimate(own, Measure(columns, None, tests=(test,), thinking=thinking))
                for measure, columns in CELL_MEASURES.items()
            }
            found[cell][name] = told if any(value is not None for value in told.values()) else None
    return found


def selected(scores: Iterable[Score], measure: Measure) -> list[Score]:
    """The completions of the measure's tests."""
    return [row for row in scores if row.test in measure.tests and row.thinking == measure.thinking]


def counted(scores: Iterable[Score], measure: Measure) -> list[tuple[str, list[float]]]:
    """(unit, values) of those completions that have all of the measure's scores."""
    found = []
    for row in scores:
        values = [value for name in measure.columns if (value := row.values[name]) is not None]
        if len(values) == len(measure.columns) and (row.values["passed"] or not measure.passed):
            found.append((row.unit, values))
    return found


def as_table(means: Mapping[str, np.ndarray], prompts: Sequence[str] | None = None) -> np.ndarray:
    """Prompts × columns."""
    return np.array([means[prompt] for prompt in (means if prompts is None else prompts)], dtype=float)


def _statistic(values: np.ndarray, measure: Measure) -> float | None:
    return float(measure.statistic(values.mean(axis=0))) if len(values) else None


# Two sets of scores

Verdict = Literal["better", "worse", "higher", "lower", "can't tell"]


class Difference(NamedTuple):
    before: float | None
    after: float | None
    difference: float | None
    """after − before, over the prompts that were counted on both sides."""
    low: float | None
    high: float | None
    prompts: int
    """That both sides were compared on; the smaller number where they aren't paired."""
    paired: bool
    verdict: Verdict


def compare(before: Sequence[Score], after: Sequence[Score], measure: Measure) -> Difference | None:
    """None where neither side did the test.

    Paired by prompt, where at least half of the prompts of the smaller side were asked on the other one too; else
    each side is taken for itself. Where not one prompt was counted on both sides, each mean is its own side's.
    """
    chosen = selected(before, measure), selected(after, measure)
    if not any(chosen):
        return None
    asked = [{row.unit for row in side} for side in chosen]
    is_paired = 2 * len(asked[0] & asked[1]) >= min(map(len, asked))
    means = [statistics.by_prompt(counted(side, measure)) for side in chosen]
    if not is_paired and all(means):
        tables = [as_table(side) for side in means]
        found = statistics.unpaired(*tables, measure.statistic)
        return _difference(tables, found, min(map(len, tables)), False, measure)
    common = sorted(means[0].keys() & means[1].keys())
    if not common:
        values = [rounded(_statistic(as_table(side), measure)) for side in means]
        return Difference(*values, None, None, None, 0, is_paired, "can't tell")
    tables = [as_table(side, common) for side in means]
    found = statistics.paired(*tables, measure.statistic, measure.bounds)
    return _difference(tables, found, len(common), True, measure)


def _difference(
    tables: Sequence[np.ndarray], found: statistics.Interval | None, prompts: int, paired: bool, measure: Measure
) -> Difference:
    before, after = (float(measure.statistic(table.mean(axis=0))) for table in tables)
    return Difference(
        rounded(before),
        rounded(after),
        _settled(after - before),
        rounded(found and found.low),
        rounded(found and found.high),
        prompts,
        paired,
        verdict(found, measure.better),
    )


def verdict(found: statistics.Interval | None, better: Better | None) -> Verdict:
    """What the interval of a difference says: it can tell where 0 lies outside.

    >>> verdict(statistics.Interval(0.1, 0.3), "higher"), verdict(statistics.Interval(0.1, 0.3), "lower")
    ('better', 'worse')
    """
    if found is None or found.low <= 0 <= found.high:
        return "can't tell"
    direction: Better = "higher" if found.low > 0 else "lower"
    if better is None:
        return direction
    return "better" if direction == better else "worse"
