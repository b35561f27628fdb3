"""What a stage said while it worked, on the disk: an attempt that could not be sent to MLflow is sent later.

One file an attempt, `.tracking/<time>-<stage>-<id>.jsonl` in the main checkout, from its description to its end, one
message a line. A line is on the disk before MLflow hears of it, and the file goes when MLflow has all of it. Whoever
works on a file holds its lock, which ends with the process.
"""

import fcntl
import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

FOLDER = Path(".tracking")
TOGETHER = 1000
"""The most messages that are taken at once."""

Message = dict[str, Any]
"""{"kind": "description" | "tags" | "metrics" | "table" | "file" | "datasets" | "links" | "model" | "end", …}"""


class Journal:
    """The messages of an attempt that is under way. Any thread may add one."""

    def __init__(self, home: Path, description: Message):
        """Begin the file with `description`. Where the disk refuses, that is said and the messages only pass."""
        name = f"{description['time']}-{description['name']}-{description['attempt'][:8]}.jsonl"
        self._path = home / FOLDER / name
        self._waiting: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            hidden = self._path.with_suffix(".new")  # seen by nobody before it is locked
            self._file = open(hidden, "ab")  # noqa: SIM115 - open as long as the attempt is under way
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._keep(description)
            hidden.rename(self._path)
        except OSError as error:
            self._give_up(error)

    @property
    def kept(self) -> bool:
        """Whether all messages so far are on the disk."""
        return self._file is not None

    def add(self, message: Message) -> None:
        with self._lock:
            if self._file is not None:
                try:
                    self._keep(message)
                except OSError as error:
                    self._give_up(error)
            self._waiting.put(message)

    def take(self) -> list[Message]:
        """Wait for messages; return what has come."""
        taken = [self._waiting.get()]
        while not self._waiting.empty() and len(taken) < TOGETHER:
            taken.append(self._waiting.get())
        return taken

    def forget(self) -> None:
        """Everything is sent."""
        self._path.unlink(missing_ok=True)

    def _keep(self, message: Message) -> None:
        self._file.write(json.dumps(message).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _give_up(self, error: OSError) -> None:
        self._file = None
        print(f"mlflow: {self._path} can't be written ({error.strerror})", file=sys.stderr, flush=True)


def held(path: Path) -> "IO[bytes] | None":
    """The file, open and locked; None while another process works on it, or if it is gone."""
    try:
        handle = open(path, "rb")  # noqa: SIM115 - its lock lasts as long as it is open
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    if os.fstat(handle.fileno()).st_nlink == 0:  # sent by another process since
        handle.close()
        return None
    return handle


def messages_of(lines: IO[bytes]) -> Iterator[Message]:
    """The whole messages of a file. The last line may be torn; without an `end` the attempt was killed."""
    time, ended = 0, False
    for line in lines:
        try:
            message = json.loads(line)
        except ValueError:
            continue
        time, ended = message.get("time", time), message["kind"] == "end"
        yield message
    if not ended:
        yield killed(time)


def killed(time: int) -> Message:
    """What stands for the end of an attempt that could not say how it ended; `time` in milliseconds."""
    return {"kind": "end", "status": "KILLED", "time": time, "tags": {}}
