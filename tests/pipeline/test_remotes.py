"""DVC remotes for real: a folder, SSH and S3. What was pushed is what a colleague pulls, whole or refused."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from questions_gen import doctor
from tests.remote_servers import KINDS, Server

PIPELINE = """\
stages:
  make:
    cmd: python make.py
    params: [count]
    outs: [models, notes.txt]
"""
SCRIPT = """\
import pathlib, yaml

pathlib.Path("was-run").touch()
for number in range(yaml.safe_load(open("params.yaml"))["count"]):
    path = pathlib.Path(f"models/{number % 3}/{number}.bin")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(f"{number} ".encode() * 4000)
pathlib.Path("notes.txt").write_text("all of it\\n")
"""
ROOT = Path(__file__).parents[2]


def dvc(folder: Path, *arguments: str) -> int:
    """Run a command of DVC's in this process, which has it imported already."""
    from dvc.cli import main

    with inside(folder):
        _forget_connections()
        return main([*arguments])


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _forget_connections() -> None:
    """What a new process wouldn't know either: listings of buckets."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@b", *arguments], cwd=folder, check=True)


@dataclass(frozen=True)
class Place:
    """A pipeline that was run and pushed, and how to get at its remote."""

    root: Path
    origin: Path
    server: Server

    def clone(self, name: str) -> Path:
        git(self.root, "clone", "-q", str(self.origin), name)
        self.log_in(self.root / name)
        return self.root / name

    def log_in(self, folder: Path) -> None:
        for name, value in self.server.private.items():
            assert dvc(folder, "remote", "modify", "-q", "--local", "beside", name, value) == 0

    def grow(self, count: int) -> None:
        (self.origin / "params.yaml").write_text(f"count: {count}\n")
        assert dvc(self.origin, "repro", "-q") == 0
        git(self.origin, "commit", "-qam", f"{count}")


@pytest.fixture(scope="module", params=list(KINDS))
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp(request.param)
    for server in KINDS[request.param](root):
        place = Place(root, root / "origin", server)
        place.origin.mkdir()
        git(place.origin, "init", "-q")
        assert dvc(place.origin, "init", "-q") == 0
        (place.origin / ".dvc/config").write_text((ROOT / ".dvc/config").read_text())
        for name, value in {"url": server.url, **server.settings}.items():
            assert dvc(place.origin, "remote", "modify", "-q", "beside", name, value) == 0
        place.log_in(place.origin)
        for name, text in {"dvc.yaml": PIPELINE, "make.py": SCRIPT, "params.yaml": "count: 12\n"}.items():
            (place.origin / name).write_text(text)
        assert dvc(place.origin, "repro", "-q") == 0
        git(place.origin, "add", "-A", "--", ":!was-run")
        git(place.origin, "commit", "-qm", "first")
        assert [finding.remedy for finding in findings(place.origin)["remote"]] == ["dvc push"]
        assert dvc(place.origin, "push", "-q") == 0
        yield place


def findings(folder: Path) -> dict[str, list[doctor.Finding]]:
    found: dict[str, list[doctor.Finding]] = {"dvc.lock": [], "cache": [], "remote": []}
    _forget_connections()
    for finding in doctor.objects(folder):
        found[finding.check].append(finding)
    return found


def states(folder: Path) -> dict[str, set[str]]:
    return {check: {finding.state for finding in found} for check, found in findings(folder).items()}


def test_a_colleague_pulls_what_was_pushed_and_nothing_runs_again(place: Place, capfd) -> None:
    assert states(place.origin) == {"dvc.lock": {"ok"}, "cache": {"ok"}, "remote": {"ok"}}
    clone = place.clone("colleague")
    assert [finding.remedy for finding in findings(clone)["cache"]] == ["dvc pull"]
    assert dvc(clone, "pull", "-q") == 0
    assert sorted(path.name for path in (clone / "models/1").iterdir()) == ["1.bin", "10.bin", "4.bin", "7.bin"]
    capfd.readouterr()
    assert dvc(clone, "repro") == 0
    assert "Data and pipelines are up to date" in capfd.readouterr().out
    assert not (clone / "was-run").exists()
    assert states(clone) == {"dvc.lock": {"ok"}, "cache": {"ok"}, "remote": {"ok"}}


def change(place: Place, oid: str, content: bytes | None) -> bytes:
    """Put other content under an object's name, or none, as somebody with access could; what was there."""
    store = open_dvc(place.origin).cloud.get_remote_odb()
    path, server = store.oid_to_path(oid), store.fs.fs
    before = server.cat_file(path)
    server.rm_file(path)
    if content is not None:
        server.pipe_file(path, content)
    return before


def open_dvc(folder: Path) -> Any:
    from dvc.repo import Repo

    _forget_connections()
    return Repo(str(folder))


@pytest.mark.parametrize(
    "damages",
    [
        {
            "models/0/3.bin": (lambda held: held[:-1] + b"x", "its 8,000 bytes aren't those that its name stands for"),
            "models/1/4.bin": (lambda held: held[:-100], "its 7,900 bytes aren't those that its name stands for"),
            "models/2/5.bin": (lambda held: None, "lost there"),
            "notes.txt": (lambda held: held[:3], "3 bytes long, not 10"),
        },
        {"models": (lambda held: held[:-20], "aren't those that its name stands for")},
    ],
    ids=["files", "the listing of a folder"],
)
def test_what_is_damaged_is_found_refused_and_mended(place: Place, damages: dict) -> None:
    oids = tracked(place.origin)
    for path, (damaged, _) in damages.items():
        change(place, oids[path], damaged(change(place, oids[path], b"")))
    found = findings(place.origin)["remote"]
    assert [finding.state for finding in found] == ["broken"] * len(damages)
    for path, (_, says) in damages.items():
        (finding,) = [finding for finding in found if finding.cause.startswith(f"{path}: ")]
        assert says in finding.cause
    clone = place.clone(f"refusing-{len(damages)}")
    assert dvc(clone, "pull", "-q") != 0
    assert not any((clone / path).exists() for path in damages)
    assert states(clone)["cache"] == {"warn"}, "nothing damaged came into the cache"
    for finding in found:
        assert finding.remedy.endswith("then dvc push here")
        for url in finding.remedy.partition("remove ")[2].partition(";")[0].split(" and "):
            with suppress(FileNotFoundError):  # named twice, or in a folder, where DVC removed what it found damaged
                change(place, "".join(url.split("/")[-2:]), None)
    assert dvc(place.origin, "push", "-q") == 0
    assert states(place.origin)["remote"] == {"ok"}
    assert dvc(clone, "pull", "-q") == 0
    assert dvc(clone, "status", "-q") == 0


def tracked(folder: Path) -> dict[str, str]:
    """Path → the name of its object."""
    from questions_gen import integrity

    repo = open_dvc(folder)
    seen = integrity.look(repo.cache.local, integrity.outputs(repo))
    return {one.tracked.path: one.tracked.oid for one in seen}


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_a_damaged_object_in_the_cache_is_found_and_mended(place: Place) -> None:
    clone = place.clone("damaged-cache")
    assert dvc(clone, "pull", "-q") == 0
    path = Path(open_dvc(clone).cache.local.oid_to_path(tracked(clone)["models/0/3.bin"]))
    path.chmod(0o644)
    path.write_bytes(b"other bytes")
    (finding,) = findings(clone)["cache"]
    assert finding.state == "broken"
    assert finding.cause == "models/0/3.bin: its 11 bytes aren't those that its name stands for"
    assert path.read_bytes() == b"other bytes", "it was looked at and not touched"
    remedy, then = finding.remedy.split(", then ")
    assert then == "dvc pull"
    subprocess.run(remedy, shell=True, check=True)
    assert dvc(clone, "pull", "-q") == 0
    assert states(clone)["cache"] == {"ok"}


def test_a_push_that_is_killed_is_made_good_by_the_next_one(place: Place) -> None:
    place.grow(300)
    before = len(place.server.objects)
    push = subprocess.Popen([sys.executable, "-m", "dvc", "push", "-q", "-j", "2"], cwd=place.origin)
    while push.poll() is None and len(place.server.objects) < before + 5:
        time.sleep(0.002)
    push.send_signal(signal.SIGKILL)
    push.wait(30)
    arrived = len(place.server.objects) - before
    assert 0 < arrived < 288, f"it wasn't killed in the middle ({arrived} objects)"
    for path in place.server.objects:
        name = (path.parent.name + path.name).removesuffix(".dir")
        assert hashlib.md5(path.read_bytes()).hexdigest() == name, "a part of an object under its whole name"
    assert findings(place.origin)["remote"][0].remedy == "dvc push"
    assert dvc(place.origin, "push", "-q") == 0
    assert states(place.origin) == {"dvc.lock": {"ok"}, "cache": {"ok"}, "remote": {"ok"}}
    clone = place.clone("after-the-kill")
    assert dvc(clone, "pull", "-q") == 0
    assert dvc(clone, "status", "-q") == 0
    place.grow(12)


def test_a_remote_that_cannot_be_reached_is_told(place: Place) -> None:
    clone = place.clone("unreachable")
    gone = {"folder": "/proc/no-such-folder", "ssh": "ssh://127.0.0.1:9/gone", "s3": "s3://bucket/questions-gen"}
    kind = place.server.url.partition("://")[0] if "://" in place.server.url else "folder"
    assert dvc(clone, "remote", "modify", "-q", "beside", "url", gone[kind]) == 0
    if kind == "s3":
        assert dvc(clone, "remote", "modify", "-q", "beside", "endpointurl", "http://127.0.0.1:9") == 0
    (finding,) = findings(clone)["remote"]
    assert finding.state == ("warn" if kind == "folder" else "broken"), finding
    assert place.server.private.get("secret_access_key", "?") not in str(finding)


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_without_verify_it_warns(place: Place) -> None:
    clone = place.clone("trusting")
    assert dvc(clone, "remote", "modify", "-q", "beside", "verify", "false") == 0
    assert findings(clone)["remote"][0].remedy == "dvc remote modify beside verify true"
