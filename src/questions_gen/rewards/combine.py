"""The judge: gate × weighted mean of the rewards.

    total = gate · penalty · Σ wᵢ·rewardᵢ / Σ wᵢ      over the rewards that were judged

`penalty` is `penalty_factor` for a problem that is nearer than `similarity_limit` to the history or to a known
problem, else 1. A variation isn't compared with its own original there; it has a check of its own (variation.py).
A completion whose prompt asks for the line with the answer is refused without one, unless it asks for a proof: a policy
that may leave it out soon does.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from questions_gen import files
from questions_gen.history import History, Neighbour
from questions_gen.params import Count, Section
from questions_gen.problem import Features, Index, features, similarity
from questions_gen.prompts import asks_for_answer
from questions_gen.rewards import chinese_gate, difficulty, gate, variation
from questions_gen.rewards.core import core
from questions_gen.rewards.difficulty import DifficultyModel
from questions_gen.rewards.diversity import diversity
from questions_gen.rewards.gate import MAX_CHARACTERS, REASONS, Rules, asks_for_proof, reasons_against
from questions_gen.rewards.novelty import is_copy, novelty
from questions_gen.rewards.rigor import rigor
from questions_gen.rewards.text import Text
from questions_gen.schema import Completion, Language, Problem, Prompt, Verdict

JUDGED_TASKS = ("problem", "variation", "innovation", "improve")
NAMES = ("difficulty", "novelty", "rigor", "diversity")
GATES: dict[Language, Rules] = {"en": gate.RULES, "zh": chinese_gate.RULES}
COPY_FROM = 0.5
"""Similarity below which nothing is a copy: spares the closer look."""

Weight = Annotated[float, Field(ge=0)]


class RewardWeights(Section):
    """They are normalised."""

    difficulty: Weight
    novelty: Weight
    rigor: Weight
    diversity: Weight

    @model_validator(mode="after")
    def _some(self) -> "RewardWeights":
        if self.difficulty + self.novelty + self.rigor + self.diversity <= 0:
            raise ValueError("at least one weight must be above 0")
        return self


class RewardParams(Section):
    weights: RewardWeights
    history_size: Count
    """Problems that the history keeps."""
    similarity_limit: Annotated[float, Field(gt=0, le=1)]
    """Above it, a problem is too near to the history."""
    penalty_factor: Annotated[float, Field(ge=0, le=1)]
    """Multiplies the total of a problem that is too near."""


class _Read(NamedTuple):
    """A completion as the rewards look at it."""

    reasons: tuple[str, ...]
    statement: str
    answer: str | None
    core: Text
    core_features: Features
    whole_features: Features


class Judge:
    """Judges completions; it doesn't add to the history: the caller does, and decides what."""

    def __init__(
        self,
        params: RewardParams,
        difficulty_model: DifficultyModel,
        history: History,
        known: Index,
        language: Language = "en",
    ):
        self.params = params
        self.language: Language = language
        self.difficulty_model = difficulty_model
        self.history = history
        self.known = known
        self.weights: dict[str, float] = params.weights.model_dump()

    def judge(
        self,
        completions: Sequence[Completion],
        prompts: Sequence[Prompt],
        weights: Mapping[str, float] | None = None,
    ) -> list[Verdict]:
        """A verdict for each completion; those of one prompt are a group. `weights` replaces those of the params.

        Raises ValueError for a completion whose prompt is missing or asks for no problem.
        """
        asked = {prompt.id: prompt for prompt in prompts}
        self._check(completions, asked)
        read = [self._read(completion) for completion in completions]
        history = self._nearest(read, self.history.nearest_features)
        known = self._nearest(read, self._nearest_known)
        spread = self._diversity(completions, read)
        return [
            self._verdict(asked[c.prompt_id], read[i], history[i], known[i], spread[i], weights or self.weights)
            for i, c in enumerate(completions)
        ]

    def nearest_known(self, completions: Sequence[Completion]) -> list[str | None]:
        """The known problem that each statement is most like, by its core or as a whole; None where nothing is."""
        found = self._nearest([self._read(completion) for completion in completions], self._nearest_known)
        return [max(neighbours, key=lambda neighbour: neighbour.similarity).statement for neighbours in found]

    def _check(self, completions: Sequence[Completion], asked: Mapping[str, Prompt]) -> None:
        for completion in completions:
            prompt = asked.get(completion.prompt_id)
            if prompt is None:
                raise ValueError(f"completion {completion.id}: its prompt {completion.prompt_id} wasn't given")
            if prompt.task not in JUDGED_TASKS:
                raise ValueError(f"completion {completion.id}: the task {prompt.task!r} asks for no problem")

    def _read(self, completion: Completion) -> _Read:
        reasons = reasons_against(completion, GATES[self.language])
        statement = completion.statement[:MAX_CHARACTERS]
        text = Text(core(statement) if len(completion.statement) <= MAX_CHARACTERS else statement)
        return _Read(reasons, statement.strip(), completion.answer, text, features(text.statement), features(statement))

    def _nearest_known(self, queries: Sequence[Features]) -> list[Neighbour]:
        values, places = self.known.nearest_features(queries)
        return [
            Neighbour(float(value), self.known.statement(int(place)) if place >= 0 else None)
            for value, place in zip(values, places, strict=True)
        ]

    def _nearest(
        self, read: Sequence[_Read], look_up: Callable[[Sequence[Features]], list[Neighbour]]
    ) -> list[list[Neighbour]]:
        """The neighbours of each completion's core, and of its whole text where that is another one."""
        padded = [i for i, r in enumerate(read) if not np.array_equal(r.core_features.hashes, r.whole_features.hashes)]
        found = look_up([r.core_features for r in read] + [read[i].whole_features for i in padded])
        neighbours = [[neighbour] for neighbour in found[: len(read)]]
        for place, i in enumerate(padded):
            neighbours[i].append(found[len(read) + place])
        return neighbours

    def _diversity(self, completions: Sequence[Completion], read: Sequence[_Read]) -> list[float | None]:
        groups: dict[str, list[int]] = defaultdict(list)
        for place, completion in enumerate(completions):
            if completion.statement.strip():
                groups[completion.prompt_id].append(place)
        found: list[float | None] = [None] * len(completions)
        for places in groups.values():
            for place, value in zip(places, diversity([read[i].core_features for i in places]), strict=True):
                found[place] = value
        return found

    def _verdict(
        self,
        prompt: Prompt,
        read: _Read,
        history: Sequence[Neighbour],
        known: Sequence[Neighbour],
        spread: float | None,
        weights: Mapping[str, float],
    ) -> Verdict:
        statement = read.statement
        reasons = set(read.reasons)
        if any(n.similarity >= COPY_FROM and n.statement and self._copies(read, n.statement) for n in known):
            reasons.add("copy")
        if prompt.original is not None and statement:
            reasons |= set(variation.reasons_against(prompt.kind, statement, prompt.original))
        if asks_for_answer(prompt) and read.answer is None and not asks_for_proof(read.core):
            reasons.add("no_answer")
        neighbours = [n.similarity for n in (*history, *known) if not self._is_of_original(n, prompt)]
        rewards: dict[str, float | None] = dict.fromkeys(NAMES)
        if statement and len(statement) <= MAX_CHARACTERS and "too_long" not in reasons:
            rewards["difficulty"] = self.difficulty_model.score_core(read.core)
            rewards["novelty"] = novelty(neighbours)
            rewards["rigor"] = rigor(read.core)
            rewards["diversity"] = spread
        judged = {name: value for name, value in rewards.items() if value is not None}
        weight = sum(weights[name] for name in judged)
        mean = sum(weights[name] * value for name, value in judged.items()) / weight if weight > 0 else 0.0
        near = max(neighbours, default=0.0) > self.params.similarity_limit
        factor = self.params.penalty_factor if near else 1.0
        return Verdict(
            passed=not reasons,
            reasons=tuple(reason for reason in REASONS if reason in reasons),
            rewards=rewards,
            similarity=max((n.similarity for n in history), default=0.0),
            known_similarity=max((n.similarity for n in known), default=0.0),
            total=0.0 if reasons else min(1.0, factor * mean),
        )

    def _copies(self, read: _Read, other: str) -> bool:
        return is_copy(read.statement, other) or is_copy(read.core.statement, other)

    def _is_of_original(self, neighbour: Neighbour, prompt: Prompt) -> bool:
        """Whether the neighbour is the problem that a variation starts from, or another one like it."""
        if prompt.task not in ("variation", "improve") or prompt.original is None or neighbour.statement is None:
            return False
        if neighbour.similarity <= self.params.similarity_limit / 2:
            return False
        return similarity(features(neighbour.statement), features(prompt.original)) > self.params.similarity_limit


MIXED_PROBLEMS = ("problems.jsonl", "evaluation.jsonl")


def load_judge(
    params: RewardParams,
    mixed: Path,
    history: History,
    names: Sequence[str] = MIXED_PROBLEMS,
    *,
    language: Language = "en",
) -> Judge:
    """A judge of problems in `language` that knows what `mix` wrote: the difficulty model, and the training and
    evaluation problems, or those of the files `names` alone."""
    known = Index()
    for name in names:
        known.add(problem.statement for problem in files.read_records(mixed / name, Problem))
    return Judge(params, difficulty.load(mixed / "difficulty.json"), history, known, language)
