"""The sealed store: the journal's answers, sorted into shards that DVC can version and a remote can share.

A shard holds the answers whose key begins with its hexadecimal digit, sorted by key: the same answers make the same
bytes, in whatever order they arrived. Of the failures those are sealed that say what a question got instead of an
answer, for a replay; errors stay in the journal. No stage writes the sealed store or depends on it;
look-ups read it beside the journal (store.py).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.teacher.store import (
    ANSWERS,
    FAILURES,
    REJECTED,
    SEALED,
    Answer,
    Entry,
    Failure,
    Journal,
    Request,
    journal_rows,
)

DIGITS = "0123456789abcdef"


class Damage(NamedTuple):
    """A row that can't be used."""

    path: Path
    line: int
    cause: str


def answers(home: Path) -> dict[str, Answer]:
    """Every stored answer by key; the journal's comes before the sealed one, its last before its first."""
    found = {answer.key: answer for path in shards(home) for answer in files.read_records(path, Answer)}
    for _, entry in journal_rows(home / ANSWERS, Answer):
        if entry is not None:
            found[entry.key] = entry
    return found


def shards(home: Path, folder: Path = SEALED) -> list[Path]:
    return sorted((home / folder).glob("*.jsonl"))


def rejected(home: Path) -> dict[str, Failure]:
    """By key, the last text that a question without an answer got and that was rejected."""
    stored = answers(home)
    found = {failure.key: failure for path in shards(home, REJECTED) for failure in files.read_records(path, Failure)}
    for _, entry in journal_rows(home / FAILURES, Failure):
        if entry is not None and entry.text is not None:
            found[entry.key] = entry
    return {key: failure for key, failure in found.items() if key not in stored}


def seal(home: Path) -> int:
    """Write all answers into the shards of the sealed store, and what was rejected; the journal stays.

    Returns how many answers there are.

    Raises UserError if there is nothing to seal.
    """
    found = answers(home)
    if not found:
        raise UserError(f"{home / ANSWERS}: no answer is stored yet; `dvc repro teach` records some")
    for folder, entries in ((SEALED, found), (REJECTED, rejected(home))):
        for digit in DIGITS:
            own = [entries[key] for key in sorted(entries) if key.startswith(digit)]
            path = home / folder / f"{digit}.jsonl"
            if own:
                files.write_rows(path, own)
            else:
                path.unlink(missing_ok=True)
    return len(found)


def prune(home: Path) -> int:
    """Take out of the journal what nobody looks up: answers that a later one replaced or that are sealed as they are,
    and failures but the last one of each key without an answer. Returns how many rows went; no answer is lost.
    """
    found = answers(home)
    sealed = {answer.key: answer for path in shards(home) for answer in files.read_records(path, Answer)}
    # each row is looked at under the journal's lock: a stage may be adding answers
    return Journal(home / ANSWERS, Answer).keep_last(lambda answer: sealed.get(answer.key) != answer) + Journal(
        home / FAILURES, Failure
    ).keep_last(lambda failure: failure.key not in found)


def verify(home: Path) -> tuple[int, list[Damage]]:
    """How many rows are whole, and what is wrong with the others: torn, or stored under another request's key."""
    whole, damaged = 0, []
    for path, number, entry in _rows(home):
        if entry is None:
            damaged.append(Damage(path, number, "not a whole entry"))
        elif Request(entry.request, entry.sample).key != entry.key:
            damaged.append(Damage(path, number, f"its key {entry.key[:12]} isn't that of its request"))
        else:
            whole += 1
    return whole, damaged


def stats(home: Path) -> dict[str, Any]:
    """Counts of the stored answers: in the journal and sealed, by served model, failures by reason, tokens."""
    found = answers(home)
    journal = {entry.key for _, entry in journal_rows(home / ANSWERS, Answer) if entry is not None}
    failures = [entry for _, entry in journal_rows(home / FAILURES, Failure) if entry is not None]
    sealed = {answer.key for path in shards(home) for answer in files.read_records(path, Answer)}
    tokens: Counter[str] = Counter()
    for answer in found.values():
        tokens.update(answer.usage)
    return {
        "answers": len(found),
        "not_sealed": len(journal - sealed),
        "models": _counted(answer.served_model or "unknown" for answer in found.values()),
        "failures": _counted(failure.reason for failure in failures),
        "tokens": dict(sorted(tokens.items())),
    }


def find(home: Path, start: str) -> Answer:
    """The answer whose key begins with `start`. Raises UserError for none, or for several."""
    matches = [answer for key, answer in sorted(answers(home).items()) if key.startswith(start)]
    if len(matches) != 1:
        listed = ", ".join(match.key[:12] for match in matches[:5])
        what = (
            f"{len(matches)} keys begin with it: {listed} …; give more of it" if matches else "no stored key begins so"
        )
        raise UserError(f"{start}: {what}")
    return matches[0]


def _rows(home: Path) -> Iterator[tuple[Path, int, Entry | None]]:
    for path, kind in ((home / ANSWERS, Answer), (home / FAILURES, Failure)):
        for number, entry in journal_rows(path, kind):
            yield path, number, entry
    for folder, kind in ((SEALED, Answer), (REJECTED, Failure)):
        for path in shards(home, folder):
            for number, row in enumerate(files.iterate_rows(path), 1):
                try:
                    yield path, number, kind.model_validate(row)
                except ValueError:
                    yield path, number, None


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
