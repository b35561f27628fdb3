"""Are the objects of the current run whole, in DVC's cache and on its remote? Each is read and hashed.

An object is a file under the name of its md5. DVC itself trusts a remote by default, and takes an object for whole
because its name is there. Nothing is changed here: what is damaged stays for a person to look at.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc_data.hashfile.db import HashFileDB

READERS = 8
"""Objects that are read at once."""
CHUNK = 1 << 20

State = Literal["whole", "missing", "damaged"]


@dataclass(frozen=True)
class Tracked:
    """An object that dvc.lock (or a .dvc file) names, directly or in the listing of a folder."""

    oid: str
    """Its md5; a folder's listing ends in .dir."""
    path: str
    """What it is in the checkout."""
    size: int | None
    """Bytes, where dvc.lock says it."""
    listing: str | None = None
    """The folder's listing that names it."""


@dataclass(frozen=True)
class Seen:
    """What became of an object in one store."""

    tracked: Tracked
    state: State
    url: str
    cause: str = ""


def outputs(repo: "Repo") -> list[Tracked]:
    """The outputs that DVC keeps in its cache, as dvc.lock and .dvc files name them, without the files of folders."""
    root = Path(repo.root_dir)
    return [
        Tracked(out.hash_info.value, Path(out.fs_path).relative_to(root).as_posix(), _size(out))
        for out in repo.index.outs
        if out.use_cache and out.hash_info
    ]


def _size(out: object) -> int | None:
    """A folder's size is that of its files, not of its listing."""
    return None if out.hash_info.isdir else out.meta.size  # type: ignore[attr-defined]


def stages_never_run(repo: "Repo") -> list[str]:
    """Stages of dvc.yaml that dvc.lock doesn't know."""
    return sorted(stage.addressing for stage in repo.index.stages if stage.cmd and not all(map(_is_made, stage.outs)))


def _is_made(out: object) -> bool:
    return bool(out.hash_info)  # type: ignore[attr-defined]


def look(store: "HashFileDB", tracked: list[Tracked], others: "Collection[HashFileDB]" = ()) -> list[Seen]:
    """Read every object of `tracked` in `store`, and of the folders in it.

    A folder whose listing isn't whole in `store` is looked up in `others`. Raises what the store's file system raises
    if it can't be reached.
    """
    tops = _look_at_all(store, tracked)
    inside = [
        inner
        for seen in tops
        if seen.tracked.oid.endswith(".dir")
        for inner in _members(seen.tracked, [store] if seen.state == "whole" else others)
    ]
    return [*tops, *_look_at_all(store, list({inner.oid: inner for inner in inside}.values()))]


def _members(folder: Tracked, stores: "Collection[HashFileDB]") -> Iterator[Tracked]:
    """The files of a folder, from the first store that has its listing whole."""
    for store in stores:
        if _look_at_all(store, [folder])[0].state == "whole":
            for entry in json.loads(store.fs.cat_file(store.oid_to_path(folder.oid))):
                yield Tracked(entry["md5"], f"{folder.path}/{entry['relpath']}", None, folder.oid)
            return


def _look_at_all(store: "HashFileDB", tracked: list[Tracked]) -> list[Seen]:
    from dvc_objects.db import ObjectDB

    # not the store's own method: that of a folder removes what is damaged
    there = set(ObjectDB.oids_exist(store, [one.oid for one in tracked], jobs=READERS)) if tracked else set()
    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(lambda one: _look_at(store, one, one.oid in there), tracked))


def _look_at(store: "HashFileDB", tracked: Tracked, is_there: bool) -> Seen:
    path = store.oid_to_path(tracked.oid)
    url = store.fs.unstrip_protocol(path)
    if not is_there:
        return Seen(tracked, "missing", url)
    digest, size = hashlib.md5(usedforsecurity=False), 0
    try:
        with store.fs.open(path, "rb") as handle:
            while chunk := handle.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
    except Exception as error:  # each file system has errors of its own
        return Seen(tracked, "damaged", url, f"it can't be read ({str(error) or type(error).__name__})")
    if tracked.size is not None and size != tracked.size:
        return Seen(tracked, "damaged", url, f"{size:,} bytes long, not {tracked.size:,}")
    if digest.hexdigest() != tracked.oid.removesuffix(".dir"):
        return Seen(tracked, "damaged", url, f"its {size:,} bytes aren't those that its name stands for")
    return Seen(tracked, "whole", url)


def by_state(seen: list[Seen]) -> Mapping[State, list[Seen]]:
    found: dict[State, list[Seen]] = {"whole": [], "missing": [], "damaged": []}
    for one in seen:
        found[one.state].append(one)
    return found
