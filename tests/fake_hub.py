"""A Hugging Face Hub on loopback, enough for the real clients: huggingface_hub and datasets read and publish with it.

`hub = fake_hub.hub` in a test module takes in the fixture: an empty Hub that the clients in this process, and in its
children, take for the only one. `hub.put("dataset", "org/name", {path: bytes})` makes a commit.
"""

import base64
import hashlib
import json
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

TOKEN = "hf_of_the_tests"
REPO = r"/api/(?P<kind>model|dataset)s/(?P<repo_id>[^/]+/[^/]+)"
LARGE = (".safetensors", ".parquet", ".bin", ".gguf")
"""Files that clients must send through LFS."""

Files = dict[str, bytes]


@dataclass
class Repo:
    commits: dict[str, Files]
    refs: dict[str, str]
    """Branch or tag → commit."""
    gated: bool = False
    private: bool = False


@dataclass
class Faults:
    """A share of the requests goes wrong, always the same ones: an error, a connection cut before or after the request
    was carried out, an answer that comes late."""

    seed: int
    share: float = 0.2
    late: float = 0.7
    """Seconds."""
    injected: list[str] = field(default_factory=list)
    after: int = 0
    """So many requests are spared first."""

    def __post_init__(self) -> None:
        self._random, self._lock = random.Random(self.seed), threading.Lock()

    def draw(self) -> str | None:
        with self._lock:
            self.after -= 1
            if self.after >= 0 or self._random.random() >= self.share:
                return None
            self.injected.append(self._random.choice(("error", "cut", "cut after", "late")))
            return self.injected[-1]


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    token: str | None


@dataclass
class FakeHub:
    """The state of the server. Only the owner of TOKEN may write, or read what is gated."""

    url: str = ""
    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)
    """By kind (model, dataset) and owner/name."""
    large: dict[str, bytes] = field(default_factory=dict)
    """Uploaded LFS objects by their sha256."""
    uploads: list[str] = field(default_factory=list)
    """The sha256 of each as it arrived."""
    requests: list[Request] = field(default_factory=list)
    failing: int | None = None
    """A status that every request gets."""
    faults: Faults | None = None

    def put(self, kind: str, repo_id: str, files: Files, *, ref: str = "main", gated: bool = False) -> str:
        """Commit exactly `files` to a branch or tag; return the commit."""
        repo = self.repos.setdefault((kind, repo_id), Repo({}, {}))
        repo.gated = gated
        number = len(repo.commits)
        commit = hashlib.sha1(f"{kind} {repo_id} {number} {sorted(files)}".encode()).hexdigest()
        repo.commits[commit] = dict(files)
        repo.refs[ref] = commit
        return commit

    def files(self, kind: str, repo_id: str, revision: str = "main") -> Files:
        repo = self.repos[kind, repo_id]
        return repo.commits[repo.refs.get(revision, revision)]


class Refused(Exception):
    """An answer that isn't a success."""

    def __init__(self, status: int, code: str, message: str, **more: str):
        super().__init__(message)
        self.content = json.dumps({"error": message, **more}).encode()
        self.status, self.headers = status, {"X-Error-Code": code, "X-Error-Message": message}


class Handler(BaseHTTPRequestHandler):
    """Finds the route of a request; each route is a method that returns the answer's JSON."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    hub: FakeHub

    ROUTES = [
        ("GET", r"/api/whoami-v2", "whoami"),
        ("POST", r"/api/validate-yaml", "validate_yaml"),
        ("POST", r"/api/repos/create", "create_repo"),
        ("POST", r"/(?P<place>.+)\.git/info/lfs/objects/batch", "lfs_batch"),
        ("PUT", r"/lfs/(?P<oid>\w+)", "lfs_upload"),
        ("POST", r"/lfs-verify", "lfs_verify"),
        ("GET", REPO + r"(/revision/(?P<revision>[^/]+))?", "info"),
        ("GET", REPO + r"/refs", "refs"),
        (
            "GET",
            REPO + r"/tree/(?P<revision>[^/]+)/?(?P<under>.*)",
            "tree",
        ),
        ("POST", REPO + r"/paths-info/(?P<revision>[^/]+)", "paths"),
        ("POST", REPO + r"/preupload/(?P<revision>[^/]+)", "preupload"),
        ("POST", REPO + r"/commit/(?P<revision>[^/]+)", "commit"),
        ("POST", REPO + r"/tag/(?P<revision>[^/]+)", "tag"),
        ("GET", r"/(?P<place>.+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "download"),
    ]

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def answer_any(self) -> None:
        target = urlsplit(self.path)
        path, self.query = unquote(target.path), parse_qs(target.query)
        self.body = self.read_body()
        self.token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        self.hub.requests.append(Request(self.command, path, self.token))
        fault = self.hub.faults.draw() if self.hub.faults else None
        if fault == "cut":
            return self.cut()
        try:
            if self.hub.failing or fault == "error":
                raise Refused(self.hub.failing or 500, "", "the Hub is failing")
            answer = (200, *self.route("GET" if self.command == "HEAD" else self.command, path))
        except Refused as refused:
            answer = (refused.status, refused.content, refused.headers)
        if fault == "cut after":
            return self.cut()
        if fault == "late":
            time.sleep(self.hub.faults.late)
        try:
            return self.send(*answer)
        except ConnectionError:  # the client didn't wait
            self.close_connection = True

    def cut(self) -> None:
        """End the connection as a crash would: with a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = answer_any

    def route(self, method: str, path: str) -> tuple[bytes, dict[str, str]]:
        for expected, pattern, name in self.ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method == expected:
                value = getattr(self, name)(**match.groupdict())
                return value if isinstance(value, tuple) else (json.dumps(value).encode(), {})
        raise Refused(404, "", f"no route for {method} {path}")

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        status = 206 if "Content-Range" in headers else status
        self.send_response(status)
        defaults = {"Content-Type": "application/json", "Content-Length": str(len(content)), "X-Request-Id": "test"}
        for name, value in {**defaults, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    # Who asks, and for what

    def write_access(self) -> None:
        if self.token != TOKEN:
            raise Refused(401, "", "Invalid username or password.")

    def repo(self, kind: str, repo_id: str) -> Repo:
        """Like the Hub, tells a stranger no difference between a missing repository and a private one."""
        if (kind, repo_id) not in self.hub.repos:
            raise Refused(404 if self.token == TOKEN else 401, "RepoNotFound", "Repository not found")
        return self.hub.repos[kind, repo_id]

    def commit_of(self, repo: Repo, revision: str | None) -> str:
        commit = repo.refs.get(revision or "main", revision)
        if commit not in repo.commits:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    # Accounts and repositories

    def whoami(self) -> dict:
        self.write_access()
        return {"name": "me", "type": "user", "orgs": [], "auth": {"accessToken": {"role": "write"}}}

    def validate_yaml(self) -> dict:
        return {"errors": [], "warnings": []}

    def create_repo(self) -> dict:
        self.write_access()
        wish = json.loads(self.body)
        kind, repo_id = wish.get("type", "model"), f"{wish.get('organization') or 'me'}/{wish['name']}"
        url = f"{self.hub.url}/{'datasets/' if kind == 'dataset' else ''}{repo_id}"
        if (kind, repo_id) in self.hub.repos:
            raise Refused(409, "", "You already created this repository", url=url)
        self.hub.put(kind, repo_id, {})
        self.hub.repos[kind, repo_id].private = wish.get("visibility") == "private"
        return {"url": url}

    def info(self, kind: str, repo_id: str, revision: str | None) -> dict:
        repo = self.repo(kind, repo_id)
        commit = self.commit_of(repo, revision)
        return {
            "id": repo_id, "_id": "0" * 24, "sha": commit, "private": repo.private,
            "gated": "auto" if repo.gated else False,
            "siblings": [{"rfilename": path, "size": len(held)} for path, held in repo.commits[commit].items()],
            "tags": [], "disabled": False,
            "downloads": 0, "likes": 0, "lastModified": "2026-01-01T00:00:00.000Z",
        }  # fmt: skip

    def refs(self, kind: str, repo_id: str) -> dict:
        refs = self.repo(kind, repo_id).refs
        branches = [{"name": name, "ref": f"refs/heads/{name}", "targetCommit": sha} for name, sha in refs.items()]
        return {"branches": branches, "tags": [], "converts": []}

    def tag(self, kind: str, repo_id: str, revision: str) -> dict:
        self.write_access()
        repo, name = self.repo(kind, repo_id), json.loads(self.body)["tag"]
        if name in repo.refs:
            raise Refused(409, "", f"Tag reference exists already: {name}")
        repo.refs[name] = self.commit_of(repo, revision)
        return {}

    # Reading

    def tree(self, kind: str, repo_id: str, revision: str, under: str) -> list:
        repo = self.repo(kind, repo_id)
        files = repo.commits[self.commit_of(repo, revision)]
        prefix = f"{under}/" if under else ""
        inside = [path for path in files if path.startswith(prefix)]
        if under and not inside:
            raise Refused(404, "EntryNotFound", f"{under} does not exist")
        if self.query.get("recursive", ["false"])[0].lower() == "true":
            return [entry(path, files[path]) for path in inside]
        folders = {prefix + path[len(prefix) :].split("/")[0] for path in inside if "/" in path[len(prefix) :]}
        return [
            *(folder(path) for path in sorted(folders)),
            *(entry(path, files[path]) for path in inside if "/" not in path[len(prefix) :]),
        ]

    def paths(self, kind: str, repo_id: str, revision: str) -> list:
        repo = self.repo(kind, repo_id)
        files = repo.commits[self.commit_of(repo, revision)]
        try:
            wanted = json.loads(self.body)["paths"]
        except ValueError:
            wanted = parse_qs(self.body.decode())["paths"]
        found = [entry(path, files[path]) for path in wanted if path in files]
        return found + [folder(path) for path in wanted if any(name.startswith(f"{path}/") for name in files)]

    def download(self, place: str, revision: str, path: str) -> tuple[bytes, dict[str, str]]:
        kind, repo_id = ("dataset", place[9:]) if place.startswith("datasets/") else ("model", place)
        repo = self.repo(kind, repo_id)
        commit = self.commit_of(repo, revision)
        if repo.gated and self.token != TOKEN:
            raise Refused(403 if self.token else 401, "GatedRepo", f"Access to {repo_id} is restricted")
        if path not in repo.commits[commit]:
            raise Refused(404, "EntryNotFound", "Entry not found")
        content = repo.commits[commit][path]
        headers = {"ETag": f'"{blob_id(content)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if self.command == "GET" and (wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")):
            start, end = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            content = content[start : end + 1]
        return content, {**headers, "Content-Type": "application/octet-stream"}

    # Publishing

    def preupload(self, kind: str, repo_id: str, revision: str) -> dict:
        self.write_access()
        repo = self.repo(kind, repo_id)
        files = repo.commits[self.commit_of(repo, revision)]

        def mode(path: str) -> dict:
            known = blob_id(files[path]) if path in files else None
            upload = "lfs" if path.endswith(LARGE) else "regular"
            return {"path": path, "uploadMode": upload, "shouldIgnore": False, "oid": known}

        return {"files": [mode(file["path"]) for file in json.loads(self.body)["files"]]}

    def lfs_batch(self, place: str) -> dict:
        self.write_access()
        objects = []
        for item in json.loads(self.body)["objects"]:
            actions = {
                "upload": {"href": f"{self.hub.url}/lfs/{item['oid']}", "header": {}},
                "verify": {"href": f"{self.hub.url}/lfs-verify", "header": {}},
            }
            missing = item["oid"] not in self.hub.large
            objects.append({"oid": item["oid"], "size": item["size"], **({"actions": actions} if missing else {})})
        return {"transfer": "basic", "objects": objects}

    def lfs_upload(self, oid: str) -> dict:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise Refused(400, "", "the content isn't what its name says")
        self.hub.large[oid] = self.body
        self.hub.uploads.append(oid)
        return {}

    def lfs_verify(self) -> dict:
        return {}

    def commit(self, kind: str, repo_id: str, revision: str) -> dict:
        self.write_access()
        repo = self.repo(kind, repo_id)
        files = dict(repo.commits[self.commit_of(repo, revision)])
        for line in self.body.splitlines():
            change = json.loads(line)
            value = change["value"]
            match change["key"]:
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    files[value["path"]] = self.hub.large[value["oid"]]
                case "deletedFile":
                    files.pop(value["path"], None)
        commit = self.hub.put(kind, repo_id, files, ref=revision, gated=repo.gated)
        url = f"{self.hub.url}/{repo_id}/commit/{commit}"
        return {"success": True, "commitOid": commit, "commitUrl": url, "hookOutput": "", "pullRequestUrl": None}


def blob_id(content: bytes) -> str:
    """The id that Git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entry(path: str, content: bytes) -> dict:
    told = {"type": "file", "path": path, "size": len(content), "oid": blob_id(content)}
    if path.endswith(LARGE):
        told["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return told


def folder(path: str) -> dict:
    return {"type": "directory", "path": path, "size": 0, "oid": "0" * 40}


def point_clients_at(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment for child processes, and what the libraries read from it when they were imported."""
    import datasets
    from huggingface_hub import HfFileSystem, constants

    quiet = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    for name, value in {"HF_ENDPOINT": url, "HF_HOME": str(home), **quiet}.items():
        monkeypatch.setenv(name, value)
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_DATASETS_CACHE"):
        monkeypatch.delenv(name, raising=False)
    patches = {
        constants: {
            "ENDPOINT": url,
            "HUGGINGFACE_CO_URL_TEMPLATE": url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HOME": str(home),
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_TOKEN_PATH": str(home / "token"),
            "HF_STORED_TOKENS_PATH": str(home / "stored_tokens"),
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_OFFLINE": False,
        },
        datasets.config: {
            "HF_ENDPOINT": url,
            "HF_CACHE_HOME": str(home),
            "HF_DATASETS_CACHE": home / "datasets",
            "HF_MODULES_CACHE": home / "modules",
            "HF_HUB_OFFLINE": False,
        },
    }
    for module, values in patches.items():
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)
    HfFileSystem.clear_instance_cache()


def hasten_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clients wait between attempts, and for answers, as briefly as the loopback allows."""
    from huggingface_hub.utils import _http

    from questions_gen import hub

    monkeypatch.setattr(_http, "time", SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None}))
    monkeypatch.setattr(hub, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(hub, "TIMEOUT", 0.5)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A Hub with nothing on it; clients have no token until a test sets HF_TOKEN to TOKEN."""
    state = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"hub": state}))
    state.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    point_clients_at(state.url, tmp_path / "hf", monkeypatch)
    yield state
    server.shutdown()
    server.server_close()
