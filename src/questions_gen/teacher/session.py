"""One stage's work with the teacher: opens the store, starts what is needed, asks, and ends whole or not at all."""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from questions_gen.errors import UserError
from questions_gen.schema import Language, VariationKind
from questions_gen.stage import TeacherRun
from questions_gen.teacher.answers import Comparison, Evaluation, Kind, WrittenProblem, parse, text_limits
from questions_gen.teacher.client import Client, Dropped, Missing, Unreachable
from questions_gen.teacher.connection import LOOPBACK, Connection, Endpoint, shown
from questions_gen.teacher.embedded import serve
from questions_gen.teacher.limits import Limits, OverBudget
from questions_gen.teacher.prompts import (
    TeacherParams,
    comparison_request,
    evaluation_request,
    improvement_request,
    variation_request,
)
from questions_gen.teacher.store import Answer, Request, Store

Item = TypeVar("Item")
Result = TypeVar("Result")

NO_KEY = "no-key-needed"
"""The client insists on sending one."""


class Teacher:
    """What can be asked of it. Each question raises what Client.ask does."""

    def __init__(self, params: TeacherParams, client: Client, language: Language = "en"):
        self._params, self._client, self._language = params, client, language
        self._limits = text_limits(params.max_tokens)

    async def evaluate(self, statement: str) -> Evaluation:
        return await self._ask(partial(evaluation_request, self._params, statement), Evaluation)

    async def improve(self, statement: str, feedback: str) -> WrittenProblem:
        return await self._ask(partial(improvement_request, self._params, statement, feedback), WrittenProblem)

    async def vary(self, kind: VariationKind, statement: str) -> WrittenProblem:
        return await self._ask(partial(variation_request, self._params, kind, statement), WrittenProblem)

    async def compare(self, first: str, second: str) -> Comparison:
        return await self._ask(partial(comparison_request, self._params, first, second), Comparison)

    def _asked(self, request: Callable[..., Request], sample: int) -> Request:
        return request(sample=sample, language=self._language)

    async def _ask(self, request: Callable[..., Request], kind: type[Kind]) -> Kind:
        """The first sample of the right form; the last one's Dropped if none is."""
        for sample in range(self._params.samples - 1):
            with suppress(Dropped):
                return await self._client.ask(
                    self._asked(request, sample), partial(parse, kind=kind, limits=self._limits)
                )
        last = self._asked(request, self._params.samples - 1)
        return await self._client.ask(last, partial(parse, kind=kind, limits=self._limits))


@dataclass(frozen=True)
class Lessons(Generic[Result]):
    results: list[Result]
    """One for each item, in order."""
    answers: list[Answer]
    """The stored answers that they were made from, by key."""
    counts: Mapping[str, float]
    """Stored and asked answers, attempts, tokens, cost and hit rate (stored of all answers). They differ from run to
    run: for showing, never for an output."""
    calls: list[dict[str, Any]]
    """One row a look-up or attempt; for showing too."""


def consult(
    params: TeacherParams,
    run: TeacherRun,
    home: Path,
    work: Callable[[Teacher, Item], Awaitable[Result]],
    items: Sequence[Item],
    *,
    label: str,
    language: Language = "en",
) -> Lessons[Result]:
    """Do `work(teacher, item)` for all items at once, in `language`, each answer asked for once and kept.

    Raises UserError if any answer is missing because the endpoint couldn't be reached, wasn't to be asked, or might
    have cost more than the budget: what was answered stays stored, and nothing is made of a part.
    """
    _check(run)
    concurrency = run.concurrency if run.base_url else 1  # the embedded server has one slot
    store = Store(home)
    with ExitStack() as stack:
        connect = partial(_connect, params, run, stack)
        client = Client(store, run.mode, connect, concurrency, Limits(run))
        try:
            return asyncio.run(_consult(params, client, work, items, run, label, language))
        except KeyboardInterrupt:
            print(f"{label}: stopped. {_stored(client.counts)}", flush=True)
            raise


async def _consult(
    params: TeacherParams,
    client: Client,
    work: Callable[[Teacher, Item], Awaitable[Result]],
    items: Sequence[Item],
    run: TeacherRun,
    label: str,
    language: Language,
) -> Lessons[Result]:
    from tqdm import tqdm

    teacher = Teacher(params, client, language)
    with tqdm(total=len(items), desc=label, unit="problem", disable=None) as bar:

        async def shown(item: Item) -> Result:
            try:
                return await work(teacher, item)
            finally:
                bar.set_postfix(_progress(client, run), refresh=False)
                bar.update()

        try:
            outcomes = await asyncio.gather(*map(shown, items), return_exceptions=True)
        finally:
            await client.close()
    results = _whole(outcomes, run, client.counts, label)
    counts = {**client.counts, **({"cost": client.limits.cost} if run.prices else {})}
    found = client.counts["stored"] + client.counts["asked"]
    counts["hit_rate"] = client.counts["stored"] / found if found else 0.0
    return Lessons(results, [client.used[key] for key in sorted(client.used)], counts, client.calls)


def _progress(client: Client, run: TeacherRun) -> dict[str, str]:
    cost = {"cost": f"{client.limits.cost:.2f}"} if run.prices else {}
    return {"asked": str(client.counts["asked"]), "stored": str(client.counts["stored"]), **cost}


def _stored(counts: Mapping[str, int]) -> str:
    return f"{counts['asked'] + counts['stored']} answers are stored: run again to go on from there"


def _whole(outcomes: Sequence[Any], run: TeacherRun, counts: Counter[str], label: str) -> list[Any]:
    """The outcomes if all of them are results; else the first unexpected error, or a UserError that counts."""
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for error in errors:
        if not isinstance(error, Missing | Unreachable | OverBudget):
            raise error
    missing = [error for error in errors if isinstance(error, Missing)]
    if missing:
        raise UserError(
            f"run.teacher.mode: replay, but answers for {len(missing)} of {len(outcomes)} problems aren't stored "
            f"({counts['stored']} answers are); `questions-gen teacher record` asks for them, `questions-gen teacher "
            "plan` says first what that takes"
        )
    spent = [error for error in errors if isinstance(error, OverBudget)]
    if spent:
        raise UserError(
            f"{label}: stopped at {spent[0]}; {len(errors)} of {len(outcomes)} problems are without an answer, and "
            f"nothing is made of a part. {_stored(counts)}, with the whole budget anew"
        )
    if errors:
        where = shown(run.base_url) if run.base_url else "the embedded server"
        raise UserError(
            f"{label}: {where} left {len(errors)} of {len(outcomes)} problems without an answer ({errors[0]}); nothing "
            f"is made of a part. {_stored(counts)}"
        )
    return list(outcomes)


def _check(run: TeacherRun) -> None:
    if run.base_url and urlsplit(run.base_url).scheme not in ("http", "https"):
        raise UserError(f"run.teacher.base_url: must begin with http:// or https:// (found {shown(run.base_url)})")


def _connect(params: TeacherParams, run: TeacherRun, stack: ExitStack) -> Connection:
    """The endpoint of run.teacher, or a server of our own that ends with `stack`."""
    if run.base_url:
        key = os.environ.get(run.key_variable, "")
        if not key and urlsplit(run.base_url).hostname not in LOOPBACK:
            raise UserError(
                f"run.teacher.key_variable: {shown(run.base_url)} needs a key, and the environment variable "
                f"{run.key_variable} is empty; set it (to any word, if the server asks for none)"
            )
        return Connection(Endpoint(run.base_url, key or NO_KEY, run.timeout, repeats_itself=False))
    if params.embedded is None:
        raise UserError("run.teacher.base_url: null, and so is teacher.embedded: name one of them, or nobody can teach")
    base_url = stack.enter_context(serve(params.embedded))
    return Connection(Endpoint(base_url, NO_KEY, run.timeout, repeats_itself=True))
