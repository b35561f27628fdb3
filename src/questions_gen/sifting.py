"""A mixture of any size, made and sifted in its order: batches of rows, on several processes.

What is held is bounded. A row's text is in memory while its batch is; then it waits in a spool file beside the
outputs, and only its statement and a few short fields stay, ROW_BYTES, because a near duplicate may come last.
Batches end where they would be too large, so their number depends on the memory allowed; no result does, nor on the
number of processes.
"""

import hashlib
import json
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

from questions_gen import duplicates, files, mixing
from questions_gen.errors import UserError
from questions_gen.mixing import Item, Mixture, Reason
from questions_gen.schema import Problem, Task

GIB = 2**30
MAIN_BYTES = int(1.2 * GIB)
"""The process that writes: libraries, tokenizer, and the fit of the difficulty model (measured, docs/scale.md)."""
WORKER_BYTES = int(0.2 * GIB)
ROW_BYTES = 3_000
"""Of a row that stays: statement, ids, digest, signature and, where it is like another, features."""
EXPANSION = 10
"""Bytes of memory for a byte of a batch: parsed, as records, and as lines again."""
SMALLEST_BATCH, LARGEST_BATCH = 2**18, 2**22
WAITING = 2
"""Batches of each process that are at work or wait to be written."""

Lengths = Callable[[Sequence[list[dict[str, str]]]], Sequence[int]]
"""Tokens of each of several conversations, given as lists of {role, content}."""


def batch_size(rows: int, memory: float, processes: int) -> int:
    """Bytes of raw rows in a batch, so that everything stays within `memory` GiB. Raises UserError where it can't."""
    in_flight = (WAITING * processes + 1) * EXPANSION
    workers = processes if processes > 1 else 0
    fixed = MAIN_BYTES + workers * WORKER_BYTES + rows * ROW_BYTES
    size = int(memory * GIB - fixed) // in_flight
    if size < SMALLEST_BATCH:
        needed = (fixed + in_flight * SMALLEST_BATCH) / GIB
        raise UserError(
            f"run.data.memory: {memory} GiB, but mixing {rows} rows with {processes} processes needs {needed:.2f}; "
            "raise it, or lower run.data.processes"
        )
    return min(size, LARGEST_BATCH)


def batches(mixture: Mixture, size: int) -> Iterator[range]:
    """Neighbours in the mixture whose raw lines are at most `size` bytes together; one row at least."""
    ends = np.cumsum(mixture.sizes())
    start = 0
    while start < len(ends):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + size, side="right")))
        yield range(start, stop)
        start = stop


class Row(NamedTuple):
    """An item that can be trained on, as two lines of JSON and what decides whether it stays."""

    id: str
    source: str
    task: Task
    source_id: str
    digest: bytes
    """Of what is equal in an exact duplicate."""
    statement: str | None
    labelled: bool
    """Whether the source says how difficult it is."""
    signature: np.ndarray | None
    conversation: bytes
    problem: bytes


class Dropped(NamedTuple):
    id: str
    source: str
    reason: Reason


@dataclass(frozen=True)
class Screen:
    """What can be said of an item alone. Goes to every process once."""

    mixture: Mixture
    evaluation: Sequence[Problem]
    near: float
    ngram: int
    signed: bool
    """Whether near duplicates are found by signatures: the statements are too many to compare each with all."""

    @cached_property
    def _contamination(self) -> mixing.Contamination:
        return mixing.Contamination(self.evaluation, self.ngram, self.near)

    def rows(self, places: range) -> list[Row | Dropped]:
        items = self.mixture[places.start : places.stop]
        reasons = mixing.unusable(items)
        left = [place for place, reason in enumerate(reasons) if reason is None]
        for place, reason in zip(left, self._contamination.reasons([items[i] for i in left]), strict=True):
            reasons[place] = reason
        statements = [item.problem.statement for item in items if item.problem]
        signatures = iter(duplicates.signatures(statements, self.near) if self.signed and statements else ())
        signed = [next(signatures, None) if item.problem else None for item in items]
        return [
            Dropped(item.id, item.source, reason) if reason else _row(item, signature)
            for item, reason, signature in zip(items, reasons, signed, strict=True)
        ]


def _row(item: Item, signature: np.ndarray | None) -> Row:
    conversation, problem = item.conversation, item.problem
    digest = hashlib.sha256(mixing.identity(item).encode("utf-8", "surrogatepass")).digest()[:16]
    return Row(
        item.id,
        item.source,
        conversation.task,
        conversation.source_id,
        digest,
        problem.statement if problem else None,
        problem is not None and problem.difficulty is not None,
        signature,
        files.to_json(conversation.model_dump(mode="json")).encode() + b"\n",
        files.to_json(problem.model_dump(mode="json")).encode() + b"\n" if problem else b"",
    )


@dataclass(frozen=True)
class Sifted:
    """What was found of every row, in the mixture's order; the texts of `rows` are in the spool, in their order."""

    rows: list[Row] = field(default_factory=list)
    """Without their signatures and lines of JSON."""
    dropped: list[Dropped] = field(default_factory=list)
    repeats: set[int] = field(default_factory=set)
    """Places of `rows` that are near duplicates, and among `dropped` too."""

    def stay(self) -> Iterator[Row]:
        return (row for place, row in enumerate(self.rows) if place not in self.repeats)

    @cached_property
    def kept(self) -> Counter[str]:
        """How many rows of each source stay, by its address."""
        return Counter(row.source for row in self.stay())

    @cached_property
    def tasks(self) -> Counter[str]:
        return Counter(row.task for row in self.stay())

    def lines(self, spool: Path) -> Iterator[tuple[Row, bytes, bytes]]:
        """Each row that stays with the lines of its conversation and of its problem (empty for a dialogue)."""
        with open(spool, "rb") as handle:
            for place, row in enumerate(self.rows):
                conversation = handle.readline()
                problem = handle.readline() if row.statement is not None else b""
                if place not in self.repeats:
                    yield row, conversation, problem


def sift(screen: Screen, *, lengths: Lengths, max_tokens: int, processes: int, memory: float, spool: Path) -> Sifted:
    """Drop what can't be trained on, one reason after the other; near duplicates last, of what is left.

    Writes the texts of what is left to `spool`. Raises UserError where `memory` GiB can't be enough.
    """
    size = batch_size(len(screen.mixture), memory, processes)
    sifted, seen, signatures = Sifted(), set(), []
    with open(spool, "wb") as handle:
        for batch in screened(screen, list(batches(screen.mixture, size)), processes):
            for row in _short_enough(batch, lengths, max_tokens):
                if isinstance(row, Row) and row.digest in seen:
                    row = Dropped(row.id, row.source, "exact_duplicate")
                if isinstance(row, Dropped):
                    sifted.dropped.append(row)
                    continue
                seen.add(row.digest)
                handle.writelines((row.conversation, row.problem))
                if row.signature is not None:
                    signatures.append(row.signature)
                sifted.rows.append(row._replace(signature=None, conversation=b"", problem=b""))
    seen.clear()
    return _without_repeats(sifted, np.array(signatures) if screen.signed and signatures else None, screen.near)


def screened(screen: Screen, places: Sequence[range], processes: int) -> Iterator[list[Row | Dropped]]:
    """The batches at `places`, screened, in their order; never more than WAITING of each process at once."""
    processes = min(processes, len(places))
    if processes <= 1:
        yield from map(screen.rows, places)
        return
    # spawn: the main process has threads (BLAS, tokenizer, tracker), and a fork copies their locks
    context = get_context("spawn")
    waiting: deque = deque()
    try:
        with ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(screen,)) as pool:
            for batch in places:
                waiting.append(pool.submit(_rows, batch))
                if len(waiting) >= WAITING * processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    except BrokenProcessPool:
        raise UserError(
            "mix: one of its processes was killed, as a machine does that has no memory left; lower "
            "run.data.processes, or run.data.memory to what is free"
        ) from None


_screen: Screen | None = None
"""Of a worker process."""


def _begin(screen: Screen) -> None:
    global _screen
    _screen = screen


def _rows(places: range) -> list[Row | Dropped]:
    return _screen.rows(places)


def _short_enough(batch: Sequence[Row | Dropped], lengths: Lengths, limit: int) -> list[Row | Dropped]:
    rows = [row for row in batch if isinstance(row, Row)]
    counted = iter(lengths([json.loads(row.conversation)["messages"] for row in rows]))
    return [
        Dropped(row.id, row.source, "too_long") if isinstance(row, Row) and next(counted) > limit else row
        for row in batch
    ]


def _without_repeats(sifted: Sifted, signatures: np.ndarray | None, limit: float) -> Sifted:
    places = [place for place, row in enumerate(sifted.rows) if row.statement is not None]
    found = duplicates.repeats([sifted.rows[place].statement for place in places], signatures, limit)
    repeats = [place for place, earlier in zip(places, found, strict=True) if earlier is not None]
    rows = [sifted.rows[place] for place in repeats]
    dropped = [Dropped(row.id, row.source, "near_duplicate") for row in rows]
    return Sifted(sifted.rows, [*sifted.dropped, *dropped], set(repeats))
