"""Where every answer is kept: an append-only journal in the main checkout, and the sealed store beside it.

    .teacher/answers.jsonl       answers, as they arrived; the last one of a key counts
    .teacher/failures.jsonl      errors, and answers that were cut off or rejected: never hits
    data/teacher_store/*.jsonl   sealed answers, versioned by DVC; read only, and only if it is there
    data/teacher_store/rejected  sealed failures: a replay has to know which questions got no answer

The journal is ignored by Git and DVC and stands in the main checkout, so that queued and temporary experiments
share it and no `git checkout` or `dvc checkout` takes an answer away. Several processes may append at once.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from questions_gen import files
from questions_gen.errors import UserError

FOLDER = Path(".teacher")
ANSWERS, FAILURES = FOLDER / "answers.jsonl", FOLDER / "failures.jsonl"
SEALED = Path("data/teacher_store")
REJECTED = SEALED / "rejected"
KEY_VERSION = 1
"""Raised when stored answers may no longer be taken for answers to the same request."""


@dataclass(frozen=True)
class Request:
    """All that decides an answer."""

    body: dict[str, Any]
    """What is sent: model, messages, sampling parameters, schema, seed."""
    sample: int = 0
    """Which one of several answers to the same body."""

    @property
    def key(self) -> str:
        """sha256 of the canonical request. Where it is sent, with which key and how patiently isn't part of it."""
        identity = {"version": KEY_VERSION, "body": self.body, "sample": self.sample}
        return sha256(files.to_json(identity).encode()).hexdigest()


class Entry(BaseModel):
    model_config = ConfigDict(frozen=True)

    key: str
    request: dict[str, Any]
    """The body that was sent."""
    sample: int
    text: str | None
    """The raw answer; None where none came."""
    thinking: str | None
    """What a reasoning model's server returned apart from the answer."""
    finish_reason: str | None
    usage: dict[str, int]
    """Tokens, as the server counted them."""
    served_model: str | None


class Answer(Entry):
    """A whole answer of the asked form. It holds nothing that differs between two runs: no id, time or attempts."""

    text: str


class Failure(Entry):
    reason: str
    detail: str


Kind = TypeVar("Kind", bound=Entry)


class Journal(Generic[Kind]):
    """A file of JSON lines that only grows. What was appended is on the disk when `append` returns."""

    def __init__(self, path: Path, kind: type[Kind]):
        self.path = path
        self._kind = kind
        self._lock = FileLock(path.with_suffix(".lock"))
        self._entries: dict[str, Kind] = {}
        self._read = 0
        """Bytes read so far, always whole lines, of the file with the inode `_file`."""
        self._file: int | None = None
        if path.exists():
            with self._lock:
                self._repair()
        self._read_more()

    def find(self, key: str) -> Kind | None:
        """The last entry of `key`, of other processes too."""
        if key not in self._entries:
            self._read_more()
        return self._entries.get(key)

    def append(self, entries: Sequence[tuple[Kind, dict[str, Any]]]) -> None:
        """Write entries, each with its note (time, attempts), and flush them to the disk.

        Raises UserError if they can't be written; the file then ends as it did before.
        """
        if not entries:
            return
        rows = [{"entry": entry.model_dump(mode="json"), "note": note} for entry, note in entries]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock:
                self._repair()
                self._write("".join(files.to_json(row) + "\n" for row in rows).encode())
        except OSError as error:
            cause = error.strerror or str(error)
            raise UserError(f"{self.path}: an answer can't be kept ({cause}); mend that, and run again") from error
        self._entries.update((entry.key, entry) for entry, _ in entries)

    def keep_last(self, wanted: Callable[[Kind], bool]) -> int:
        """Leave the last row of each key, with its note, if its entry is wanted. Returns how many rows went."""
        if not self.path.exists():
            return 0
        with self._lock:
            self._repair()
            rows = self.path.read_bytes().splitlines(keepends=True)
            last = {entry.key: (entry, row) for row in rows if (entry := _parse(row, self._kind)) is not None}
            kept = [row for entry, row in last.values() if wanted(entry)]
            with files.replacing(self.path) as handle:
                handle.writelines(kept)
        return len(rows) - len(kept)

    def _write(self, lines: bytes) -> None:
        with open(self.path, "ab") as handle:
            size = handle.tell()
            try:
                handle.write(lines)
                handle.flush()
                os.fsync(handle.fileno())
            except OSError:
                os.ftruncate(handle.fileno(), size)
                raise

    def _repair(self) -> None:
        """End the file with a whole line: a process that died while writing may have left a part of one."""
        try:
            with open(self.path, "rb+") as handle:
                size = handle.seek(0, os.SEEK_END)
                start = _last_line_start(handle, size)
                if start == size:
                    return
                handle.seek(start)
                if _parse(handle.read(), self._kind) is None:
                    handle.truncate(start)
                else:
                    handle.write(b"\n")
                handle.flush()
                os.fsync(handle.fileno())
        except FileNotFoundError:
            return

    def _read_more(self) -> None:
        """Take in the whole lines that were added since; a damaged one is passed over."""
        try:
            status = self.path.stat()
            if status.st_ino != self._file:  # another process pruned it
                self._file, self._read = status.st_ino, 0
            if status.st_size <= self._read:
                return
            with open(self.path, "rb") as handle:
                handle.seek(self._read)
                content = handle.read()
        except FileNotFoundError:
            return
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            if (entry := _parse(line, self._kind)) is not None:
                self._entries[entry.key] = entry


class Store:
    """All answers that there are."""

    def __init__(self, home: Path):
        self._answers = Journal(home / ANSWERS, Answer)
        self._failures = Journal(home / FAILURES, Failure)
        self._sealed = {answer.key: answer for answer in _read_sealed(home / SEALED, Answer)}
        self._rejected = {failure.key: failure for failure in _read_sealed(home / REJECTED, Failure)}

    def find(self, key: str) -> Answer | None:
        """The newest answer: the journal's before the sealed one."""
        return self._answers.find(key) or self._sealed.get(key)

    def find_failure(self, key: str) -> Failure | None:
        """Why there is no answer, if it was asked for."""
        return self._failures.find(key) or self._rejected.get(key)

    def keep(self, entries: Sequence[tuple[Answer | Failure, int]]) -> None:
        """Write answers and failures, each with the number of its attempt, to the disk. Raises UserError."""
        time = datetime.now(UTC).isoformat(timespec="seconds")
        noted = [(entry, {"attempt": attempt, "time": time}) for entry, attempt in entries]
        self._answers.append([(entry, note) for entry, note in noted if isinstance(entry, Answer)])
        self._failures.append([(entry, note) for entry, note in noted if isinstance(entry, Failure)])


def journal_rows(path: Path, kind: type[Kind]) -> Iterator[tuple[int, Kind | None]]:
    """Each line of a journal with its number, from 1; None for a damaged one. A file that isn't there has no lines."""
    if path.exists():
        with open(path, "rb") as handle:
            for number, line in enumerate(handle, 1):
                yield number, _parse(line, kind)


def _last_line_start(handle: Any, size: int) -> int:
    """Where the line begins that the file ends with; `size` if the file ends with a newline."""
    position, tail = size, b""
    while position > 0 and b"\n" not in tail:
        step = min(position, 1 << 16)
        position -= step
        handle.seek(position)
        tail = handle.read(step) + tail
    return position + tail.rfind(b"\n") + 1


def _parse(line: bytes, kind: type[Kind]) -> Kind | None:
    try:
        return kind.model_validate(json.loads(line)["entry"])
    except (ValueError, KeyError, TypeError, ValidationError):
        return None


def _read_sealed(folder: Path, kind: type[Kind]) -> Iterator[Kind]:
    for path in sorted(folder.glob("*.jsonl")):
        yield from files.read_records(path, kind)
