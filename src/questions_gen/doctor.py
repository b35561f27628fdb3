"""What is well in a checkout and what isn't, each finding with its cause and its remedy.

A check is a function that returns findings and changes nothing. The commands line them up (commands/doctor.py).
"""

import importlib.metadata
import importlib.util
import os
import shutil
import sqlite3
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from questions_gen.errors import UserError
from questions_gen.stage import VERSIONED, PublishRun, TeacherRun, TrackingRun

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc_data.hashfile.db import HashFileDB

    from questions_gen.integrity import Seen
    from questions_gen.training.backend import ModelParams

OLDEST_PYTHON = (3, 11)
LOCK = Path("requirements.lock")
SET_UP = "rm -rf .venv && make setup"
NAMED = 5
"""How many of several things a finding names."""
PATIENCE = 10.0
"""Seconds that a service may take to answer."""
GIB = 1 << 30


class Finding(NamedTuple):
    check: str
    state: Literal["ok", "warn", "broken"]
    cause: str
    """What is so, good or bad."""
    remedy: str = ""


# The environment


def python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        needed = ".".join(map(str, OLDEST_PYTHON))
        return Finding(
            "python", "broken", f"Python {version}; {needed} or newer is needed", "make setup PYTHON=python3.11"
        )
    return Finding("python", "ok", f"Python {version}")


def packages(lock: Path = LOCK) -> list[Finding]:
    """The installed releases against the locked ones. Another release of what makes outputs makes other outputs."""
    locked = dict(
        line.split(";")[0].strip().split("==")
        for line in lock.read_text(encoding="utf-8").splitlines()
        if "==" in line and not line.startswith("#")
    )
    missing = [name for name in locked if _installed(name) is None]
    other = {name: _installed(name) for name in locked if _installed(name) not in (None, locked[name])}
    findings = []
    if missing:
        cause = f"{len(missing)} locked packages aren't installed: {_some(missing)}"
        findings.append(Finding("packages", "broken", cause, SET_UP))
    if other:
        shown = _some(f"{name} {version} (locked {locked[name]})" for name, version in other.items())
        matters = " and outputs may differ" if {_plain(name) for name in other} & set(map(_plain, VERSIONED)) else ""
        findings.append(Finding("packages", "warn", f"{len(other)} of another release{matters}: {shown}", SET_UP))
    return findings or [Finding("packages", "ok", f"{len(locked)} as in {lock}")]


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


# The current run, in the cache and on the remote


def objects(root: Path) -> list[Finding]:
    """dvc.lock, the cache and the remote: every object of the current run is read and hashed in both."""
    from dvc.exceptions import DvcException

    from questions_gen import integrity

    try:
        with closing(_open(root)) as repo:
            tracked, cache = integrity.outputs(repo), repo.cache.local
            remote, findings = _remote_store(repo)
            there: list[Seen] = []
            if remote is not None:
                try:
                    there = integrity.look(remote, tracked, [cache])
                except Exception as error:  # each file system has errors of its own
                    findings.append(_unreachable(remote, error))
                    remote = None
            here = integrity.look(cache, tracked, [remote] if remote is not None else [])
            if remote is not None:
                findings += _on_remote(there, here)
            return [*_lock(repo), *_in_cache(here, there), *findings]
    except DvcException as error:
        return [Finding("dvc.lock", "broken", f"DVC can't read this checkout: {_line(error)}", "mend what it names")]


def _unreachable(remote: "HashFileDB", error: Exception) -> Finding:
    url = remote.fs.unstrip_protocol(remote.path)
    return Finding("remote", "broken", f"{url}: {_line(error)}", "see to network, key and address: docs/remotes.md")


def _open(root: Path) -> "Repo":
    from dvc.repo import Repo

    return Repo(str(root))


def _lock(repo: "Repo") -> list[Finding]:
    from questions_gen.integrity import stages_never_run

    if waiting := stages_never_run(repo):
        return [Finding("dvc.lock", "warn", f"stages that were never run: {_some(waiting)}", "dvc repro")]
    return [Finding("dvc.lock", "ok", "every stage has been run")]


def _in_cache(here: "Sequence[Seen]", there: "Sequence[Seen]") -> list[Finding]:
    from questions_gen.integrity import by_state

    found = by_state(list(here))
    elsewhere = {seen.tracked.oid for seen in there if seen.state == "whole"}
    findings = [
        Finding("cache", "broken", f"{seen.tracked.path}: {seen.cause}", _again(seen, elsewhere))
        for seen in found["damaged"]
    ]
    if missing := found["missing"]:
        paths = _some(seen.tracked.path for seen in missing)
        remedy = "dvc pull" if {seen.tracked.oid for seen in missing} <= elsewhere else "dvc repro"
        cause = f"{len(missing)} of {len(here)} objects of the run aren't in this checkout: {paths}"
        findings.append(Finding("cache", "warn", cause, remedy))
    return findings or [Finding("cache", "ok", f"all {len(here)} objects of the run, each hashed")]


def _again(seen: "Seen", elsewhere: Collection[str]) -> str:
    return f"rm -f {seen.url}, then {'dvc pull' if seen.tracked.oid in elsewhere else 'dvc repro'}"


def _remote_store(repo: "Repo") -> "tuple[HashFileDB | None, list[Finding]]":
    """The default remote, with a warning where DVC doesn't check what it gets from there."""
    name = repo.config["core"].get("remote")
    if not name:
        return None, [Finding("remote", "warn", "no default remote", "dvc remote add -d NAME URL: docs/remotes.md")]
    try:
        store = repo.cloud.get_remote_odb(name)
    except Exception as error:  # each file system has errors of its own
        return None, [Finding("remote", "broken", f"{name}: {_line(error)}", "mend .dvc/config: docs/remotes.md")]
    if store.verify:
        return store, []
    cause = f"{name}: `dvc pull` takes what it finds there without hashing it"
    return store, [Finding("remote", "warn", cause, f"dvc remote modify {name} verify true")]


def _on_remote(there: "Sequence[Seen]", here: "Sequence[Seen]") -> list[Finding]:
    """Damaged objects, lost ones (their listing is there: DVC sends it last), and those that were never sent."""
    from questions_gen.integrity import by_state

    found = by_state(list(there))
    cached = {seen.tracked.oid for seen in here if seen.state == "whole"}
    urls = {seen.tracked.oid: seen.url for seen in there if seen.state != "missing"}
    lost = [seen for seen in found["missing"] if seen.tracked.listing in urls]
    unsent = [seen for seen in found["missing"] if seen.tracked.listing not in urls]
    findings = [
        Finding("remote", "broken", f"{seen.tracked.path}: {seen.cause}", _send_again(seen, urls, cached))
        for seen in found["damaged"]
    ]
    findings += [
        Finding("remote", "broken", f"{seen.tracked.path}: lost there", _send_again(seen, urls, cached))
        for seen in lost
    ]
    if not urls and not cached:
        return [
            Finding("remote", "warn", "it has nothing of the run, nor has this checkout", "dvc repro, then dvc push")
        ]
    if nowhere := [seen for seen in unsent if seen.tracked.oid not in cached]:
        cause = f"{len(nowhere)} objects are neither here nor there: {_some(s.tracked.path for s in nowhere)}"
        findings.append(Finding("remote", "broken", cause, "dvc push from a checkout that has them, or dvc repro"))
    if waiting := [seen for seen in unsent if seen.tracked.oid in cached]:
        cause = f"{len(waiting)} of {len(there)} objects weren't sent: {_some(s.tracked.path for s in waiting)}"
        findings.append(Finding("remote", "warn", cause, "dvc push"))
    return findings or [Finding("remote", "ok", f"all {len(there)} objects of the run, each hashed")]


def _send_again(seen: "Seen", urls: Mapping[str, str], cached: Collection[str]) -> str:
    """DVC believes that what a listing names is there: the listing has to go too, or `dvc push` sends nothing."""
    doomed = [url for url in (urls.get(seen.tracked.oid), urls.get(seen.tracked.listing or "")) if url]
    where = "here" if seen.tracked.oid in cached else "in a checkout that has it"
    return f"remove {' and '.join(doomed)}; then dvc push {where}"


# What else a run uses


def teacher_store(home: Path) -> Finding:
    from questions_gen.teacher.sealing import verify

    try:
        whole, damaged = verify(home)
    except UserError as error:
        return Finding("teacher store", "broken", str(error), "dvc checkout data/teacher_store")
    if damaged:
        shown = _some(f"{damage.path}, line {damage.line}: {damage.cause}" for damage in damaged)
        remedy = "remove those lines; `dvc repro` asks again for what it needs"
        return Finding("teacher store", "broken", f"{len(damaged)} of {whole + len(damaged)} rows: {shown}", remedy)
    return Finding("teacher store", "ok", f"{whole} rows, each under its request's key")


def mlflow(tracking: TrackingRun, home: Path) -> Finding:
    """No stage fails without MLflow, so nothing here is broken."""
    if not tracking.enabled:
        return Finding("mlflow", "ok", "run.tracking.enabled: false")
    if tracking.uri is None:
        return _mlflow_file(home / "mlflow.db")
    import httpx

    from questions_gen.teacher.connection import shown

    where = shown(tracking.uri)
    try:
        answer = httpx.get(f"{tracking.uri.rstrip('/')}/health", timeout=PATIENCE)
        cause = f"{where}: HTTP {answer.status_code}"
        good = answer.status_code == 200
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        cause, good = f"{where}: {type(error).__name__}", False
    if good:
        return Finding("mlflow", "ok", cause)
    return Finding("mlflow", "warn", f"{cause}; runs wouldn't be shown", "start it, or mend run.tracking.uri")


def _mlflow_file(path: Path) -> Finding:
    if not path.exists():
        return Finding("mlflow", "ok", f"{path.name} isn't there yet; the first stage makes it")
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            said = database.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.DatabaseError as error:
        said = str(error)
    if said == "ok":
        return Finding("mlflow", "ok", f"{path.name} is whole")
    return Finding("mlflow", "warn", f"{path.name}: {said}; runs wouldn't be shown", f"move {path.name} away")


# Before a run


def gpu(model: "ModelParams") -> Finding:
    """A GPU where the profile needs one. Raises nothing: what torch says of the driver is the cause."""
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        cause = f"{torch.cuda.get_device_name()}, {free / GIB:.1f} of {total / GIB:.1f} GiB free"
        if model.backend == "unsloth" and importlib.util.find_spec("unsloth") is None:
            return Finding("gpu", "broken", f"{cause}, but unsloth isn't installed", "pip install -e '.[gpu]'")
        return Finding("gpu", "ok", cause)
    if model.backend == "unsloth":
        remedy = "run it on a machine with a GPU, or `questions-gen profile use smollm2-135m`"
        return Finding("gpu", "broken", "model.backend is unsloth, and there is no GPU that torch can use", remedy)
    if model.dtype == "bfloat16":
        return Finding("gpu", "warn", "no GPU: bfloat16 is slow on most CPUs", "model.dtype: float32")
    return Finding("gpu", "ok", "none, and this profile needs none")


COPIES = 7
"""Times the base model's weights that a run takes: the base, and twice (in the checkout and in DVC's cache) what an
export has: merged 1, GGUF f16 1, q8_0 1/2, 4-bit formats 1/4 each."""


def disk(root: Path, weights: int | None) -> Finding:
    """`weights`: bytes of the base model, None where that isn't known."""
    free = shutil.disk_usage(root).free
    if weights is None:
        return Finding("disk", "warn", f"{free / GIB:.1f} GiB free; what the model needs can't be told", "")
    needed = COPIES * weights
    cause = f"{free / GIB:.1f} GiB free, about {needed / GIB:.1f} needed"
    if free < needed:
        return Finding("disk", "broken", cause, "free some; `dvc gc -w` drops what no current output uses")
    return Finding("disk", "ok", cause)


def weights_of(model: Any, root: Path) -> int | None:
    """Bytes of the base model's weights, on the disk or as the Hub lists them; None where neither knows."""
    if local := sum(path.stat().st_size for path in (root / "models/base").glob("*.safetensors")):
        return local
    from questions_gen import hub, sources

    if model.kind == "package":
        try:
            return UNPACKED * sources.package_file(model.package, model.path, "fetch.model").stat().st_size
        except UserError:
            return None
    api = hub.client(os.environ.get("HF_TOKEN") or False)
    try:
        info = api.model_info(model.repo_id, revision=model.revision, files_metadata=True, timeout=PATIENCE)
    except Exception as error:
        if hub.failure(error) is None:
            raise
        return None
    sizes = [file.size or 0 for file in info.siblings or () if file.rfilename.endswith(".safetensors")]
    return sum(sizes) or None


UNPACKED = 7
"""Times that a 4-bit GGUF grows as 32-bit weights (4.5 bits a weight with its scales: 32 / 4.5)."""


def teacher_key(teacher: TeacherRun) -> Finding:
    """Does the service take the key? Asking for its models costs nothing. One of this machine may go without a key."""
    if teacher.base_url is None:
        return Finding("teacher", "ok", "the embedded server needs no key")
    import httpx

    from questions_gen.teacher.connection import LOOPBACK, shown

    where, key = shown(teacher.base_url), os.environ.get(teacher.key_variable)
    if not key and urlsplit(teacher.base_url).hostname not in LOOPBACK:
        cause = f"{teacher.key_variable} isn't set, and {where} needs a key"
        return Finding("teacher", "broken", cause, f"export {teacher.key_variable}=…")
    named = f"the key in {teacher.key_variable}" if key else "no key"
    try:
        url = f"{teacher.base_url.rstrip('/')}/models"
        answer = httpx.get(url, headers={"Authorization": f"Bearer {key}"} if key else None, timeout=PATIENCE)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        cause = f"{where} can't be reached ({type(error).__name__})"
        return Finding("teacher", "broken", cause, "see to the network and run.teacher.base_url")
    if answer.status_code in (401, 403):
        cause = f"{where} doesn't accept {named} (HTTP {answer.status_code})"
        return Finding("teacher", "broken", cause, f"export {teacher.key_variable}=…, with another key")
    if not answer.is_success:
        cause = f"{where} answers HTTP {answer.status_code} when asked for its models, so nothing is known of {named}"
        return Finding("teacher", "warn", cause, "look at run.teacher.base_url; it ends with /v1 as a rule")
    return Finding("teacher", "ok", f"{where} accepts {named}")


def hub_sources(fetch: Any) -> list[Finding]:
    """Can each repository of the Hub that the profile names be read, with the token that there is?"""
    from questions_gen import sources

    wanted = [("model", "fetch.model", fetch.model)]
    for group in ("problems", "chat", "evaluation_sets"):
        wanted += [("dataset", f"fetch.{group}.{n}", item) for n, item in enumerate(getattr(fetch, group))]
    wanted = [item for item in wanted if item[2].kind == "hub"]
    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(partial(_hub_source, sources.hub_revision), wanted))


READERS = 8


def _hub_source(resolve: Any, wanted: tuple[str, str, Any]) -> Finding:
    kind, key, item = wanted
    try:
        commit = resolve(kind, item.repo_id, item.revision, key)
    except UserError as error:
        cause, _, remedy = str(error).partition("; ")
        return Finding("hub", "broken", cause, remedy)
    return Finding("hub", "ok", f"{key}: {item.repo_id} at {commit[:12]}")


def publish_token(publish: PublishRun) -> Finding:
    if publish.namespace is None:
        return Finding("publish", "ok", "run.publish.namespace: null, so nothing is published")
    if not os.environ.get(publish.token_variable):
        cause = f"{publish.token_variable} isn't set; `questions-gen publish` needs it, the run doesn't"
        return Finding("publish", "warn", cause, f"export {publish.token_variable}=…")
    return Finding("publish", "ok", f"{publish.token_variable} is set")


def _some(items: Iterable[str]) -> str:
    names = list(items)
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _line(error: BaseException) -> str:
    """The first line of what an error says, or its name."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
