"""Reading and writing whole files: strict on the way in, atomic on the way out.

Every writer writes to a temporary name beside the target, flushes it to the disk and renames it, so that
a process that dies half-way, or a disk that fills, leaves the old file or none.
"""

import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import BaseModel, ValidationError

from questions_gen.errors import UserError

Record = TypeVar("Record", bound=BaseModel)

FULL_DISK = (ENOSPC, EDQUOT)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that takes the place of `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def disk_errors(path: str) -> Iterator[None]:
    """Say it plainly when the disk is full: the writers leave nothing half-written."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        raise UserError(f"{path}: {error.strerror}; free some space and run `dvc repro` again") from None


def write_text(path: Path, text: str) -> None:
    with replacing(path) as handle:
        handle.write(text.encode())


def to_json(value: Any, **options: Any) -> str:
    """JSON with sorted keys; NaN and infinity are refused (ValueError), as no reader agrees on them."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, **options)


def write_json(path: Path, value: Any) -> None:
    write_text(path, to_json(value, indent=2) + "\n")


def write_rows(path: Path, rows: Iterable[dict | BaseModel]) -> int:
    """Write JSON lines and return how many."""
    count = 0
    with replacing(path) as handle:
        for row in rows:
            value = row.model_dump(mode="json") if isinstance(row, BaseModel) else row
            handle.write(to_json(value).encode() + b"\n")
            count += 1
    return count


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; `dvc repro` or `dvc pull` makes it") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); remove it and make it again") from None


def iterate_rows(path: Path) -> Iterator[dict]:
    """Yield the objects of a JSON lines file (gzip by its ending). A line that isn't an object is a UserError."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as handle:
            for number, line in enumerate(handle, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise UserError(f"{path}, line {number}: not valid JSON ({error})") from None
                if not isinstance(row, dict):
                    raise UserError(f"{path}, line {number}: expected an object, found {type(row).__name__}")
                yield row
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (EOFError, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: a damaged gzip file ({error}); fetch it again") from None


def read_rows(path: Path) -> list[dict]:
    return list(iterate_rows(path))


def read_records(path: Path, kind: type[Record]) -> list[Record]:
    """Read JSON lines into records of `kind`; a row of another schema is a UserError that names its line."""
    records = []
    for number, row in enumerate(iterate_rows(path), 1):
        try:
            records.append(kind.model_validate(row))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise UserError(f"{path}, row {number}: not a {kind.__name__}: {key}: {first['msg']}") from None
    return records


def digest(path: Path) -> str:
    """sha256 of a file, or of the sorted names and digests of all files below a folder."""
    if path.is_dir():
        names = sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        listing = [[p.relative_to(path).as_posix(), digest(p)] for p in names]
        return hashlib.sha256(json.dumps(listing).encode()).hexdigest()
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
