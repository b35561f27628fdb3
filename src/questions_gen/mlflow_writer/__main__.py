"""The writer: takes a stage's messages from stdin, keeps each on the disk, and writes MLflow. See tracking.py."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from questions_gen import files
from questions_gen.mlflow_writer import system
from questions_gen.mlflow_writer.journal import Journal, killed
from questions_gen.mlflow_writer.runs import Attempt, cause, connect

MADE_BY_DVC = ("dvc.lock", "metrics", "plots", "report")
"""Rewritten by every run: no sign that its code or params differ from the commit."""


def main() -> None:
    address = json.loads(sys.stdin.buffer.readline() or "null")
    line = sys.stdin.buffer.readline()
    if address is None or not line.endswith(b"\n"):
        return  # the stage was killed before it began
    description = json.loads(line)
    home = Path(address["home"])
    journal = Journal(home, description)
    tagged = threading.Event()
    ended = threading.Thread(target=_receive, args=(sys.stdin.buffer, journal, tagged), daemon=True)
    ended.start()
    system.watch(address["pid"], lambda numbers, number: journal.add(_sample(numbers, number)))
    try:
        journal.add({"kind": "tags", "tags": git_tags()})
    finally:
        tagged.set()
    try:
        attempt = Attempt(connect(home, address["uri"]), home, description)
        while not attempt.write(journal.take()):
            pass
    except Exception as error:  # whatever MLflow, its database or its server does, the stage has to go on
        kept = "is kept, and `questions-gen track sync` sends it later" if journal.kept else "isn't fully tracked"
        print(f"mlflow: {cause(error, address['uri'])}; the stage goes on; this attempt {kept}", file=sys.stderr)
        ended.join()
    else:
        journal.forget()


def _receive(pipe: IO[bytes], journal: Journal, tagged: threading.Event) -> None:
    """Empty the pipe at once, so that the stage never waits for MLflow. Without an `end` the stage was killed."""
    end = None
    with suppress(ValueError):  # a line torn by a kill
        for line in pipe:
            message = json.loads(line)
            if message["kind"] == "end":
                end = message
            else:
                journal.add(message)
    end = end or killed(_now())
    tagged.wait()  # Git may be slower than a stage, and nothing is written after the end
    journal.add(end)


def _sample(numbers: dict[str, float], number: int) -> dict:
    return {"kind": "metrics", "metrics": numbers, "step": number, "time": _now()}


def _now() -> int:
    """Milliseconds, as MLflow counts them."""
    return int(time.time() * 1000)


def git_tags() -> dict[str, str]:
    """The commit, whether other than DVC's own files differ from it, and the hash of dvc.lock; "unknown" where there
    is none."""
    lock = "unknown"
    with suppress(OSError):
        lock = files.digest(Path("dvc.lock"))
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--", ".", *(f":(exclude){path}" for path in MADE_BY_DVC))
    if commit is None or changes is None:
        return {"git_commit": "unknown", "dirty": "unknown", "dvc_lock": lock}
    dirty = str(bool(changes)).lower()
    return {"git_commit": commit, "mlflow.source.git.commit": commit, "dirty": dirty, "dvc_lock": lock}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


if __name__ == "__main__":
    main()
    sys.stderr.flush()
    os._exit(0)  # without Python's own ending, which fails while another thread still reads or samples
