"""Sends the attempts that were kept: with their own times, each once, and whole or not at all."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from questions_gen.errors import UserError
from questions_gen.mlflow_writer.journal import FOLDER, held, messages_of
from questions_gen.mlflow_writer.runs import Attempt, cause, connect, summary

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass
class Sent:
    attempts: list[str] = field(default_factory=list)
    """File names."""
    under_way: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """By file name, why it is still there."""


def sync(home: Path, uri: str | None) -> Sent:
    """Send what is kept in the main checkout `home`, the oldest first. A file goes when all of it was taken.

    Raises UserError if the server or the database can't be used.
    """
    done = Sent()
    paths = sorted((home / FOLDER).glob("*.jsonl"))
    if not paths:
        return done
    try:
        client = connect(home, uri)
    except Exception as error:
        raise UserError(f"run.tracking.uri: {cause(error, uri)}; {len(paths)} attempts are still kept") from None
    for path in paths:
        handle = held(path)
        if handle is None:
            done.under_way.append(path.name)
            continue
        with handle:
            try:
                _send(client, home, handle)
            except Exception as error:
                done.failed[path.name] = summary(error)
            else:
                path.unlink()
                done.attempts.append(path.name)
    return done


def _send(client: "MlflowClient", home: Path, lines: IO[bytes]) -> None:
    description, *messages = messages_of(lines)
    if description["kind"] != "description":
        raise ValueError("its first line is damaged: remove the file")
    Attempt(client, home, description).write(messages)
