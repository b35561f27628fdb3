"""What a run would ask, before a cent is spent: the stages' own work, done with a teacher that asks nobody."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from questions_gen.schema import Language
from questions_gen.teacher.answers import (
    Comparison,
    Evaluation,
    Kind,
    Rejected,
    TeacherAnswer,
    WrittenProblem,
    parse,
    text_limits,
)
from questions_gen.teacher.client import Dropped
from questions_gen.teacher.limits import Tokens, most
from questions_gen.teacher.prompts import TeacherParams
from questions_gen.teacher.session import Teacher
from questions_gen.teacher.store import Request, Store

Item = TypeVar("Item")


@dataclass
class Plan:
    stored: int = 0
    requests: int = 0
    """Answers that aren't stored, each asked for once."""
    most_requests: int = 0
    """If every answer but the last sample has the wrong form."""
    tokens: Tokens = Tokens(0, 0)
    """The most that `requests` take: an answer seldom needs all of teacher.max_tokens."""


class Planner(Teacher):
    """Answers from the store; where it has none, counts the request and goes on with an answer of usual length."""

    def __init__(self, params: TeacherParams, store: Store, language: Language = "en"):
        self._params, self._limits, self._store = params, text_limits(params.max_tokens), store
        self._language = language
        self.plan = Plan()

    async def _ask(self, request: Callable[..., Request], kind: type[Kind]) -> Kind:
        for sample in range(self._params.samples):
            wanted = self._asked(request, sample)
            stored = self._store.find(wanted.key)
            if stored is None:
                self._count(wanted, self._params.samples - sample)
                return _stand_in(kind, self._limits["feedback"])
            self.plan.stored += 1
            try:
                return parse(stored.text, kind, self._limits)
            except Rejected as error:
                reason = error.reason
        raise Dropped(reason)

    def _count(self, request: Request, samples: int) -> None:
        charge = most(request.body)
        self.plan.requests += 1
        self.plan.most_requests += samples
        self.plan.tokens = Tokens(
            self.plan.tokens.prompt + charge.prompt, self.plan.tokens.completion + charge.completion
        )


def make_plan(
    params: TeacherParams,
    home: Path,
    work: Callable[[Teacher, Item], Awaitable[object]],
    items: Sequence[Item],
    *,
    language: Language = "en",
) -> Plan:
    """What `session.consult` would ask for the same work and items."""
    planner = Planner(params, Store(home), language)

    async def all_work() -> None:
        for item in items:
            await work(planner, item)

    asyncio.run(all_work())
    return planner.plan


def _stand_in(kind: type[Kind], characters: int) -> Kind:
    stand_in: TeacherAnswer
    if kind is Evaluation:
        scores = dict.fromkeys(("rigor", "difficulty", "innovation", "clarity", "educational_value"), 3)
        stand_in = Evaluation(feedback="x" * characters, **scores)
    elif kind is Comparison:
        stand_in = Comparison(feedback="x" * characters, better="second")
    else:
        stand_in = WrittenProblem(problem="What is the sum of the first ten odd numbers?", answer="100")
    return stand_in  # type: ignore[return-value]
