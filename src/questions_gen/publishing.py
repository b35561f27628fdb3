"""Exports become repositories of the Hugging Face Hub: one a stage, private unless it is said otherwise.

The large files go first, one by one, each into the Hub's own store, where nobody sees them; then one commit names all
of them. So a repository holds all that was to be published, or what it held before. What is there already, by its
hash, isn't sent again, and what was sent is compared by its hash before it counts as published.
"""

import hashlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from questions_gen import files, hub
from questions_gen.errors import UserError
from questions_gen.stage import PublishRun

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.hf_api import RepoFile

EXPORT = Path("models/export")
"""What the stage export makes: a folder for each stage's model, with folders of artifacts, a card and checks."""
CARD = "README.md"
BESIDE = ("checks.json",)
"""Files of an export that go with any of its folders."""
NAMED = 5
"""How many missing files an error names."""


@dataclass(frozen=True)
class Item:
    """A file that is to be in a repository."""

    path: str
    """In the repository."""
    source: Path | bytes
    size: int
    sha256: str

    def is_same(self, there: "RepoFile | None") -> bool:
        """Does the Hub hold these bytes? It knows a large file by its sha256 and a small one by its Git blob id."""
        if there is None or there.size != self.size:
            return False
        return there.lfs.sha256 == self.sha256 if there.lfs else there.blob_id == _blob_id(_content(self.source))


@dataclass(frozen=True)
class Publication:
    """A repository as it is to be."""

    repo_id: str
    stage: str
    private: bool
    items: tuple[Item, ...]
    folders: tuple[str, ...]
    """Folders that are to hold the items and nothing else."""


@dataclass(frozen=True)
class Published:
    repo_id: str
    url: str
    """Of the commit on the Hub."""
    sent: tuple[str, ...]
    """Files that weren't there before."""
    removed: tuple[str, ...]


class PublishError(UserError):
    """The Hub failed: what is there, what isn't, and how to go on."""


def publishable(stage: str) -> dict[str, Path]:
    """Artifact (adapter, merged, gguf …) → its folder, as `export` made and checked them for a stage's model."""
    folder = EXPORT / stage
    return {path.name: path for path in sorted(folder.iterdir()) if path.is_dir()} if folder.is_dir() else {}


def plan(settings: PublishRun, commit: str) -> list[Publication]:
    """What `run.publish` asks for, every file hashed. Raises UserError for a namespace or an export that is missing."""
    if settings.namespace is None:
        raise UserError("run.publish.namespace: null; name a user or an organisation of the Hub, then publish")
    return [_publication(settings, settings.namespace, stage, commit) for stage in settings.stages]


def _publication(settings: PublishRun, namespace: str, stage: str, commit: str) -> Publication:
    folder, found = EXPORT / stage, publishable(stage)
    if missing := [name for name in settings.artifacts if name not in found]:
        raise UserError(
            f"run.publish.artifacts: the export of {stage} has no {', '.join(missing)} ({folder} holds "
            f"{', '.join(found) or 'nothing'}); see to export.models and export.formats and "
            "`dvc repro export`, or publish less"
        )
    paths = [path for name in settings.artifacts for path in sorted(found[name].rglob("*")) if path.is_file()]
    paths += [folder / name for name in BESIDE]
    items = [_item(path.relative_to(folder).as_posix(), path) for path in paths]
    items.append(_item(CARD, card_with_commit(_text(folder / CARD), commit).encode()))
    repo_id = f"{namespace}/{settings.model}-{stage}"
    return Publication(repo_id, stage, settings.private, tuple(items), tuple(settings.artifacts))


def card_with_commit(card: str, commit: str) -> str:
    """The card of an export, which must not differ between equal runs, with the commit that it was made from."""
    return f"{card.rstrip()}\n\n## Source\n\nMade by the Questions-Gen pipeline at its commit `{commit}`.\n"


def current_commit() -> str:
    """The checkout's commit. Raises UserError if it doesn't tell what was made: tracked files differ from it."""
    commit = _git("rev-parse", "HEAD").strip()
    if changed := _git("status", "--porcelain", "--untracked-files=no").splitlines():
        names = ", ".join(line[3:] for line in changed[:NAMED])
        raise UserError(
            f"{names}: not as in the commit {commit[:12]}, which the card would name; commit them, then publish"
        )
    return commit


def refuse_stale() -> None:
    """Raise UserError if the export isn't what dvc.lock names: after `git checkout`, say, without `dvc checkout`."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with closing(Repo()) as repo:
            outs = {Path(out.fs_path).relative_to(repo.root_dir): out for out in repo.index.outs}
            states = set(outs[EXPORT].workspace_status().values()) if EXPORT in outs else {"in no stage of dvc.yaml"}
    except DvcException as error:
        raise UserError(f"{EXPORT}: DVC can't read this checkout ({error})") from None
    if wrong := states - {"not in cache"}:
        raise UserError(
            f"{EXPORT}: {', '.join(sorted(wrong))}, so the commit doesn't tell how it was made; `dvc checkout "
            f"{EXPORT}` or `dvc repro export`, then publish"
        )


def publish(publication: Publication, token: str) -> Published:
    """Make the repository hold exactly the items, then look that it does. May be run again, and goes on from there.

    Raises PublishError, a UserError, that says which files aren't there.
    """
    api = hub.client(token)
    there: dict[str, RepoFile] = {}
    try:
        hub.patiently(lambda: _create(api, publication))
        there = hub.patiently(lambda: _list(api, publication.repo_id))
        missing, stale = _differences(publication, there)
        additions = [_addition(item) for item in missing]
        for addition in additions:
            hub.patiently(lambda one=addition: _send_content(api, publication.repo_id, one))
        hub.patiently(lambda: _commit(api, publication, additions, stale))
        there = hub.patiently(lambda: _list(api, publication.repo_id))
        commit = hub.patiently(lambda: api.repo_info(publication.repo_id)).sha
    except Exception as error:
        raise _told(error, publication, there) from hub.failure(error)
    wrong, left = _differences(publication, there)
    if wrong or left:
        names = _names([*(item.path for item in wrong), *left])
        raise PublishError(f"{publication.repo_id}: the Hub holds other bytes than were sent: {names}; publish again")
    url = f"{api.endpoint}/{publication.repo_id}/commit/{commit}"
    return Published(publication.repo_id, url, tuple(item.path for item in missing), tuple(stale))


def token_of(settings: PublishRun) -> str:
    """The token of the environment; no other is looked for, and it is shown nowhere. Raises UserError."""
    token = os.environ.get(settings.token_variable)
    if not token:
        raise UserError(f"{settings.token_variable}: not set; run.publish.token_variable says that it holds the token")
    return token


def _create(api: "HfApi", publication: Publication) -> None:
    """Have the repository. Raises UserError for one that anybody can read where it is to be private."""
    api.create_repo(publication.repo_id, private=publication.private, exist_ok=True)
    if publication.private and not api.repo_info(publication.repo_id).private:
        raise UserError(
            f"{publication.repo_id}: anybody can read it, and run.publish.private is true; make it private on its "
            "page, or publish under another name"
        )


def _list(api: "HfApi", repo_id: str) -> "dict[str, RepoFile]":
    from huggingface_hub.hf_api import RepoFile

    return {entry.path: entry for entry in api.list_repo_tree(repo_id, recursive=True) if isinstance(entry, RepoFile)}


def _differences(publication: Publication, there: "Mapping[str, RepoFile]") -> tuple[list[Item], list[str]]:
    """Items that the Hub lacks, and files that it has in the items' folders and shouldn't."""
    wanted = {item.path for item in publication.items}
    missing = [item for item in publication.items if not item.is_same(there.get(item.path))]
    stale = [path for path in there if path not in wanted and path.split("/")[0] in publication.folders]
    return missing, sorted(stale)


def _send_content(api: "HfApi", repo_id: str, addition: "CommitOperationAdd") -> None:
    """Put a large file into the Hub's store, unless it is there; a small one travels with the commit."""
    api.preupload_lfs_files(repo_id, [addition], free_memory=False)


def _commit(
    api: "HfApi", publication: Publication, additions: "Sequence[CommitOperationAdd]", stale: Sequence[str]
) -> None:
    """One commit for all. An earlier attempt may have made it, and only its answer was lost."""
    from huggingface_hub import CommitOperationDelete

    if not any(_differences(publication, _list(api, publication.repo_id))):
        return
    operations = [*additions, *(CommitOperationDelete(path) for path in stale)]
    api.create_commit(publication.repo_id, operations, commit_message=f"The model after the stage {publication.stage}")


def _addition(item: Item) -> "CommitOperationAdd":
    from huggingface_hub import CommitOperationAdd

    return CommitOperationAdd(item.path, item.source)


def _told(error: Exception, publication: Publication, there: "Mapping[str, RepoFile]") -> Exception:
    """What went wrong, without a word of the request that it went wrong with."""
    from huggingface_hub.errors import HFValidationError

    if isinstance(error, HFValidationError):
        return UserError(f"{publication.repo_id}: no name for a repository; mend run.publish.namespace and model")
    cause = hub.failure(error)
    if isinstance(error, UserError) or cause is None:
        return error
    code = hub.status(cause)
    if code in (401, 403, 404):
        return UserError(
            f"{publication.repo_id}: the Hub refused (HTTP {code}); the token must be one that may write there, and "
            "run.publish.namespace a user or an organisation that exists"
        )
    times = f"failed {hub.ATTEMPTS} times in a row" if hub.is_passing(cause) else "refused"
    missing = [item.path for item in _differences(publication, there)[0]]
    return PublishError(
        f"{publication.repo_id}: the Hub {times} ({f'HTTP {code}' if code else type(cause).__name__}); of its "
        f"{len(publication.items)} files {len(missing)} were not seen there: {_names(missing)}. Running "
        "`questions-gen publish` again goes on from here"
    )


def _names(paths: Sequence[str]) -> str:
    return ", ".join(paths[:NAMED]) + (f" and {len(paths) - NAMED} more" if len(paths) > NAMED else "")


def _item(path: str, source: Path | bytes) -> Item:
    if isinstance(source, bytes):
        return Item(path, source, len(source), hashlib.sha256(source).hexdigest())
    return Item(path, source, source.stat().st_size, files.digest(source))


def _content(source: Path | bytes) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()


def _blob_id(content: bytes) -> str:
    """The id that Git gives a file: sha1 over a header and the content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; `dvc repro export` makes it") from None


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"git {arguments[0]}: {done.stderr.strip()}; publish from a checkout of Git")
    return done.stdout
