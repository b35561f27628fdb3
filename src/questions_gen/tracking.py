"""MLflow: each attempt of a stage is a run below the run of its pipeline. No stage waits for it while it works.

`start` hands the stage a tracker that only writes JSON lines to a pipe. At the other end a second process
(`python -m questions_gen.tracking`) imports MLflow, which takes seconds and 200 MB, while the stage is already at
work, and writes the runs. So MLflow can't slow a training step, fail a stage or touch its random state, and a stage
that was killed is still marked as killed: its pipe ends without an `end`.

A pipeline is known by its params (all of params.yaml but `run`): a changed value makes a new parent run. Runs live in
mlflow.db and mlartifacts/ of the main checkout, or on the server `run.tracking.uri`. No other address is contacted.
"""

import hashlib
import json
import os
import queue
import re
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from filelock import FileLock
from pydantic import TypeAdapter

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.params import PARAMS_FILE, load_yaml, parse_params
from questions_gen.stage import NoTracker, RunParams, Stage, Tracker, home, library_versions

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "questions-gen"
CLOSING_SECONDS = 60.0
"""How long a stage that has ended waits for its last numbers to be written."""
MAX_PARAMS, MAX_METRICS = 100, 1000
"""What MLflow takes in one call."""
MADE_BY_DVC = ("dvc.lock", "metrics", "plots")
"""Rewritten by every run: no sign that its code or params differ from the commit."""
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "PYTHONWARNINGS": "ignore",
}
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""With a server; values of the user's environment win. MLflow's own would try for minutes."""


@contextmanager
def start(stage: Stage, params: Mapping[str, Any], key: str) -> Iterator[Tracker]:
    """Track one attempt of `stage` with checked `params` and the input hash `key`.

    Raises ParamsError for a bad section `run`; no failure of MLflow is ever raised.
    """
    values = load_yaml(PARAMS_FILE)
    settings = parse_params(values, {"run": RunParams})["run"].tracking
    if not settings.enabled:
        yield NoTracker()
        return
    began = time.monotonic()
    attempt = _Pipe(_description(stage, params, key, values, settings.uri))
    status, tags = "FAILED", {}
    try:
        yield attempt
        status = "FINISHED"
    except UserError as error:
        tags = {"error": str(error)}
        raise
    except BaseException as error:
        tags = {"error": type(error).__name__}  # its message may quote anything, a key too
        status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        raise
    finally:
        attempt.log_metrics({"wall_seconds": time.monotonic() - began, "peak_rss_gib": _peak_rss_gib()})
        attempt.close(status, tags)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Params by dotted name, lists as JSON: {"lora": {"r": 8}} → {"lora.r": "8"}."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, str) else files.to_json(value)
    return flat


def identity(values: Mapping[str, Any]) -> str:
    """sha256 over all of params.yaml but `run`."""
    return hashlib.sha256(files.to_json({k: v for k, v in values.items() if k != "run"}).encode()).hexdigest()


def _description(stage: Stage, params: Mapping[str, Any], key: str, values: dict, uri: str | None) -> dict[str, Any]:
    """All that the writer needs to know of the attempt, as JSON."""
    own = {name: TypeAdapter(kind).dump_python(params[name], mode="json") for name, kind in stage.params.items()}
    return {
        "home": str(home()),
        "uri": uri,
        "name": stage.address,
        "time": _now(),
        "tags": {"stage": stage.address, "profile": str(values.get("profile")), "input_hash": key, **_versions()},
        "params": flatten(own),
        "identity": identity(values),
        "pipeline_params": flatten({name: value for name, value in values.items() if name != "run"}),
    }


def _versions() -> dict[str, str]:
    """Tags that name the release of each library on which a result depends."""
    return {f"version.{name}": version for name, version in library_versions().items()}


def _now() -> int:
    """Milliseconds, as MLflow counts them."""
    return int(time.time() * 1000)


def _peak_rss_gib() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def _complain(cause: str) -> None:
    print(f"mlflow: {cause}; the stage goes on, this attempt isn't fully tracked", file=sys.stderr, flush=True)


class _Pipe:
    """The stage's end: a Tracker that sends what it is told, and never raises."""

    def __init__(self, description: dict[str, Any]):
        path = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._writer = subprocess.Popen(
            [sys.executable, "-m", __name__],
            env={**PATIENCE, **os.environ, **ENVIRONMENT, "PYTHONPATH": os.pathsep.join(path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # so that Ctrl-C, which goes to the stage, doesn't end it too
        )
        self._send(description)

    def log_metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        numbers = {name: float(value) for name, value in values.items() if value is not None}
        self._send({"metrics": numbers, "step": step or 0, "time": _now()})

    def log_table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self._send({"table": name, "rows": list(rows)})

    def close(self, status: str, tags: Mapping[str, str]) -> None:
        self._send({"end": status, "tags": tags, "time": _now()})
        with suppress(OSError):
            self._writer.stdin.close()
        try:
            code = self._writer.wait(CLOSING_SECONDS)
        except subprocess.TimeoutExpired:
            self._writer.kill()
            self._writer.wait()
            _complain(f"not all was written within {CLOSING_SECONDS:.0f} s")
        else:
            if code:
                _complain(f"its process ended with code {code}")

    def _send(self, message: Mapping[str, Any]) -> None:
        with suppress(OSError):  # the writer is gone, and has said why
            self._writer.stdin.write(json.dumps(message).encode() + b"\n")
            self._writer.stdin.flush()


def main() -> None:
    """The writer: take an attempt's description and then its messages from stdin until it ends."""
    messages: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(messages,), daemon=True).start()
    description = messages.get()
    if description is None:
        return
    try:
        git = _git_tags()
        client, run = _open_run(description, git)
        _write(client, run, messages)
    except Exception as error:  # whatever MLflow, its database or its server does, the stage has to go on
        _complain(_cause(error, description["uri"]))


def _receive(messages: queue.SimpleQueue) -> None:
    """Empty the pipe at once, so that the stage never waits for MLflow; None marks its end."""
    with suppress(ValueError):  # a line torn by a kill
        for line in sys.stdin.buffer:
            messages.put(json.loads(line))
    messages.put(None)


def _open_run(description: dict[str, Any], git: dict[str, str]) -> tuple["MlflowClient", dict[str, str]]:
    """Make the run of the attempt; return the client and the ids of the run and of its parent."""
    from mlflow import MlflowClient

    root = Path(description["home"])
    (root / ".locks").mkdir(parents=True, exist_ok=True)
    with FileLock(root / ".locks" / "mlflow.lock"):  # one makes the database and the parent, the others find them
        client = MlflowClient(description["uri"] or f"sqlite:///{root / 'mlflow.db'}")
        experiment = _experiment(client, None if description["uri"] else root / "mlartifacts")
        parent = _parent(client, experiment, description)
    client.update_run(parent, status="RUNNING")
    tags = {**description["tags"], **git, "mlflow.parentRunId": parent}
    child = client.create_run(experiment, description["time"], tags, description["name"]).info.run_id
    _log_params(client, child, description["params"])
    return client, {"child": child, "parent": parent}


def _experiment(client: "MlflowClient", artifacts: Path | None) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return found.experiment_id
    return client.create_experiment(EXPERIMENT, artifact_location=artifacts and artifacts.as_uri())


def _parent(client: "MlflowClient", experiment: str, description: dict[str, Any]) -> str:
    """The id of the pipeline's run, made now if this is its first attempt."""
    key = description["identity"]
    found = client.search_runs([experiment], f"tags.identity = '{key}'", max_results=1)
    if found:
        return found[0].info.run_id
    profile = description["tags"]["profile"]
    tags = {"identity": key, "profile": profile}
    parent = client.create_run(experiment, description["time"], tags, f"{profile} {key[:8]}").info.run_id
    _log_params(client, parent, description["pipeline_params"])
    return parent


def _log_params(client: "MlflowClient", run: str, params: Mapping[str, str]) -> None:
    from mlflow.entities import Param

    rows = [Param(name, value) for name, value in params.items()]
    for first in range(0, len(rows), MAX_PARAMS):
        client.log_batch(run, params=rows[first : first + MAX_PARAMS])


def _write(client: "MlflowClient", run: dict[str, str], messages: queue.SimpleQueue) -> None:
    """Write what comes until the stage says that it ended, or its pipe does: then it was killed."""
    ends: list[dict[str, Any] | None] = []
    while not ends:
        together = [messages.get()]
        while not messages.empty() and len(together) < MAX_METRICS:
            together.append(messages.get())
        _log_metrics(client, run["child"], [message for message in together if message and "metrics" in message])
        for message in together:
            if message and "table" in message:
                _log_table(client, run["child"], message)
        ends = [message for message in together if message is None or "end" in message]
    end = ends[0] or {"end": "KILLED", "time": _now(), "tags": {}}
    for name, value in end["tags"].items():
        client.set_tag(run["child"], name, value[:500])
    client.set_terminated(run["child"], end["end"], end["time"])
    client.set_terminated(run["parent"], end["end"], end["time"])


def _log_metrics(client: "MlflowClient", run: str, messages: list[dict[str, Any]]) -> None:
    from mlflow.entities import Metric

    rows = [
        Metric(re.sub(r"[^\w .:-]", "_", name)[:250], value, message["time"], message["step"])
        for message in messages
        for name, value in message["metrics"].items()
    ]
    for first in range(0, len(rows), MAX_METRICS):
        client.log_batch(run, metrics=rows[first : first + MAX_METRICS])


def _log_table(client: "MlflowClient", run: str, message: dict[str, Any]) -> None:
    """As a table that the run's page shows; without rows there is none."""
    rows = message["rows"]
    if rows:
        columns = {name: [row.get(name) for row in rows] for name in rows[0]}
        client.log_table(run, columns, f"{message['table']}.json")


def _git_tags() -> dict[str, str]:
    """The commit, and whether other than DVC's own files differ from it; "unknown" outside a Git repository."""
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--", ".", *(f":(exclude){path}" for path in MADE_BY_DVC))
    if commit is None or changes is None:
        return {"git_commit": "unknown", "dirty": "unknown"}
    return {"git_commit": commit, "mlflow.source.git.commit": commit, "dirty": str(bool(changes)).lower()}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cause(error: Exception, uri: str | None) -> str:
    """What went wrong, on one line, without the user and password that an address may hold."""
    if isinstance(error, ImportError):
        return f"can't be imported ({error})"
    place = f"the server {urlsplit(uri).hostname}" if uri else "mlflow.db"
    line = (str(error).strip().splitlines() or [""])[0][:200]
    return f"{place} can't be used ({type(error).__name__}: {re.sub(r'//[^/]*@', '//', line)})"


if __name__ == "__main__":
    main()
    os._exit(0)  # without Python's own ending, which fails while the other thread still reads
