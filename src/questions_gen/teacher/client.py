"""Asks each request once, repeats what may be repeated, and keeps every answer before anyone uses it.

Each request ends as a parsed answer or as one of four exceptions:

    Dropped      there is no answer of the asked form: its reason is counted, and the work goes on without it
    Missing      replay, and it isn't stored
    Unreachable  the endpoint can't answer now: nothing may be made of this run, but the next one goes on from here
    OverBudget   it might have cost more than is left of the run's budget: the same holds
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

from questions_gen.errors import UserError
from questions_gen.teacher.answers import Rejected
from questions_gen.teacher.connection import Connection, Fault, Reply
from questions_gen.teacher.limits import Limits, Tokens
from questions_gen.teacher.store import Answer, Failure, Request, Store

Mode = Literal["record", "replay", "refresh"]
Parsed = TypeVar("Parsed")

ATTEMPTS = 6
"""Times that a request is sent before it counts as unreachable."""
ANSWER_ATTEMPTS = 3
"""Answers that are asked for until one has the right form, where the endpoint doesn't just repeat itself."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds before the second attempt, doubled for each further one, and the most that is waited."""
UNREACHABLE_IN_A_ROW = 3
"""Unreachable requests without an answer between them, after which nothing more is sent."""


class Dropped(Exception):
    def __init__(self, reason: str):
        self.reason = reason
        super().__init__(reason)


class Missing(Exception):
    pass


class Unreachable(Exception):
    pass


class Client:
    """One run's questions. `connect` is called when the first request isn't stored."""

    def __init__(
        self,
        store: Store,
        mode: Mode,
        connect: Callable[[], Connection],
        concurrency: int,
        limits: Limits,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        self.counts: Counter[str] = Counter()
        """stored, asked, attempts, prompt_tokens and completion_tokens: of this run, for showing only."""
        self.used: dict[str, Answer] = {}
        """The answers that parsed, by key."""
        self.calls: list[dict[str, Any]] = []
        """One row a look-up or attempt, in their order, with its start and end in seconds: for showing only."""
        self.limits = limits
        self._store, self._mode, self._connect, self._pause = store, mode, connect, pause
        self._connection: Connection | None = None
        self._slots = asyncio.Semaphore(concurrency)
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._unreachable = 0
        self._fatal: UserError | None = None
        self._pending: list[tuple[Answer | Failure, int]] = []
        self._writing = asyncio.Lock()

    async def ask(self, request: Request, parse: Callable[[str], Parsed]) -> Parsed:
        """The parsed answer. Equal requests are asked once, also while the first is under way.

        `parse` raises Rejected. Raises Dropped, Missing, Unreachable, OverBudget, or UserError if nobody can be asked
        anything.
        """
        key = request.key
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._answer(key, request, parse))
        return await self._tasks[key]

    async def close(self) -> None:
        """Write what a stop left unwritten, and hang up."""
        try:
            async with self._writing:
                self._store.keep(self._pending)
                self._pending = []
        finally:
            if self._connection is not None:
                await self._connection.close()

    async def _answer(self, key: str, request: Request, parse: Callable[[str], Parsed]) -> Parsed:
        stored = None if self._mode == "refresh" else self._store.find(key)
        if stored is not None:
            return self._use_stored(stored, parse)
        if self._mode == "replay":
            failure = self._store.find_failure(key)
            if failure is not None and failure.text is not None:
                raise Dropped(failure.reason)
            raise Missing(key)
        async with self._slots:
            if self._fatal is not None:
                raise self._fatal
            try:
                return await self._ask(key, request, parse)
            except UserError as error:
                self._fatal = error  # no key, no space on the disk: another request would fare no better
                raise

    def _use_stored(self, stored: Answer, parse: Callable[[str], Parsed]) -> Parsed:
        self.counts["stored"] += 1
        self._note(stored, "stored", time.time())
        try:
            value = parse(stored.text)
        except Rejected as error:
            raise Dropped(error.reason) from error
        self.used[stored.key] = stored
        return value

    async def _ask(self, key: str, request: Request, parse: Callable[[str], Parsed]) -> Parsed:
        """Send the request until it is answered in the right form, or there is no more sense in it."""
        rejected, cause = 0, ""
        for attempt in range(1, ATTEMPTS + 1):
            if self._unreachable >= UNREACHABLE_IN_A_ROW:
                raise Unreachable("not sent: the requests before it couldn't be answered")
            if self._connection is None:
                self._connection = self._connect()
            reply, pause, began = None, 0.0, time.time()
            try:
                reply = await self._post(request.body)
                answer, value = _read(key, request, reply, parse)
            except Fault as fault:
                await self._keep(_failure(key, request, None, fault.reason, fault.detail), attempt, began)
                cause, pause = str(fault), _pause(attempt, fault.pause)
            except Rejected as error:
                await self._keep(_failure(key, request, reply, error.reason, str(error)), attempt, began)
                rejected += 1
                if error.reason == "refused" or self._connection.repeats_itself or rejected == ANSWER_ATTEMPTS:
                    self._unreachable = 0
                    raise Dropped(error.reason) from error
            else:
                await self._keep(answer, attempt, began)
                self._unreachable = 0
                self._count(answer)
                return value
            if attempt < ATTEMPTS:
                await self._pause(pause)
        self._unreachable += 1
        raise Unreachable(cause)

    async def _post(self, body: dict[str, Any]) -> Reply:
        """Send it once, as soon as the rates and if the budget allow it."""
        charge = self.limits.reserve(body)
        wait = self.limits.wait(charge, asyncio.get_running_loop().time())
        if wait > 0:
            await asyncio.sleep(wait)
        self.counts["attempts"] += 1
        try:
            reply = await self._connection.post(body)
        except Fault as fault:
            if fault.reason.startswith("http_"):  # anything else may have been answered, and billed, all the same
                self.limits.settle(charge, Tokens(0, 0))
            raise
        except (Rejected, UserError):
            self.limits.settle(charge, Tokens(0, 0))
            raise
        usage = reply.usage or {}
        used = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        if all(type(count) is int and count >= 0 for count in used):
            self.limits.settle(charge, Tokens(*used))
        return reply

    def _note(self, entry: Answer | Failure, status: str, began: float) -> None:
        tokens = {name: entry.usage.get(name, 0) for name in ("prompt_tokens", "completion_tokens")}
        question = entry.request["messages"][-1]["content"]
        self.calls.append(
            {
                "key": entry.key[:12],
                "status": status,
                "question": question,
                "answer": entry.text or "",
                **tokens,
                "start": began,
                "end": time.time(),
            }
        )

    def _count(self, answer: Answer) -> None:
        self.used[answer.key] = answer
        self.counts["asked"] += 1
        for name in ("prompt_tokens", "completion_tokens"):
            self.counts[name] += answer.usage.get(name, 0)

    async def _keep(self, entry: Answer | Failure, attempt: int, began: float) -> None:
        """Return when the entry is on the disk. Entries that arrive together are flushed together."""
        self._pending.append((entry, attempt))
        self._note(entry, entry.reason if isinstance(entry, Failure) else "asked", began)
        async with self._writing:
            batch, self._pending = self._pending, []
            if not batch:
                return  # another one has written it
            try:
                await asyncio.to_thread(self._store.keep, batch)
            except BaseException:
                self._pending = batch + self._pending  # for the next one, or for close
                raise


def _read(key: str, request: Request, reply: Reply, parse: Callable[[str], Parsed]) -> tuple[Answer, Parsed]:
    """The whole answer and what it says. Raises Rejected."""
    choice = reply.choices[0]
    if choice.finish_reason == "length":
        raise Rejected("cut_off", "it reached max_tokens")
    if choice.finish_reason != "stop":
        raise Rejected("not_finished", f"finish_reason {choice.finish_reason}")
    if not (choice.message.content or "").strip():
        raise Rejected("empty")
    answer = Answer(**_entry(key, request, reply))
    return answer, parse(answer.text)


def _failure(key: str, request: Request, reply: Reply | None, reason: str, detail: str) -> Failure:
    return Failure(**_entry(key, request, reply), reason=reason, detail=detail)


def _entry(key: str, request: Request, reply: Reply | None) -> dict[str, Any]:
    message = reply.choices[0].message if reply else None
    usage = (reply.usage if reply else None) or {}
    return {
        "key": key,
        "request": request.body,
        "sample": request.sample,
        "text": (message.content or "") if message else None,
        "thinking": message.reasoning_content if message else None,
        "finish_reason": reply.choices[0].finish_reason if reply else None,
        "usage": {name: usage[name] for name in sorted(usage) if name.endswith("_tokens") and type(usage[name]) is int},
        "served_model": reply.model if reply else None,
    }


def _pause(attempt: int, asked_for: float | None) -> float:
    """Seconds to wait after the attempt: what the server asks for, else doubling, with a random part."""
    wished = FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.0) if asked_for is None else asked_for
    return min(wished, LONGEST_PAUSE)
