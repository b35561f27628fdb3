"""MLflow: each attempt of a stage is a run below the run of its pipeline. No stage waits for it while it works.

`start` hands the stage a tracker that only writes JSON lines to a pipe. At the other end a second process
(`python -m questions_gen.mlflow_writer`) imports MLflow, which takes seconds and 200 MB, while the stage is already
at work, and writes the runs. So MLflow can't slow a training step, fail a stage or touch its random state, and a
stage that was killed is still marked as killed: its pipe ends without an `end`. What can't be written now is kept
below .tracking/ of the main checkout, and `questions-gen track sync` sends it.

A pipeline is known by its params (all of params.yaml but `run`): a changed value makes a new parent run. Runs live in
mlflow.db and mlartifacts/ of the main checkout, or on the server `run.tracking.uri`. No other address is contacted.
"""

import hashlib
import json
import os
import resource
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.params import PARAMS_FILE, load_yaml, parse_params
from questions_gen.stage import NoTracker, RunParams, Stage, Tracker, home, library_versions, numbers

CLOSING_SECONDS = 60.0
"""How long a stage that has ended waits for its last numbers to be written."""
SHOWN_FILES = (".json", ".csv", ".html", ".md", ".svg")
SHOWN_OF_FOLDERS = ("*.md", "checks.json", "manifest.json")
"""Which outputs are shown as artifacts: whole files of these kinds, and of folders what tells about the rest."""
LARGEST_SHOWN = 8 * 2**20
"""Bytes; a larger file is DVC's alone."""
LINKING = {"report": {"report", "export"}, "export": {"export"}}
"""When these have ended well, every log of the checkout but those named is of one run of the pipeline."""


@contextmanager
def start(stage: Stage, params: Mapping[str, Any], key: str, inputs: Mapping[str, str]) -> Iterator[Tracker]:
    """Track one attempt of `stage` with checked `params`, the input hash `key` and the sha256 of each of its `inputs`.

    Raises ParamsError for a bad section `run`; no failure of MLflow is ever raised.
    """
    values = load_yaml(PARAMS_FILE)
    settings = parse_params(values, {"run": RunParams})["run"].tracking
    if not settings.enabled:
        yield NoTracker()
        return
    began = time.monotonic()
    address = {"home": str(home()), "uri": settings.uri, "pid": os.getpid()}  # may hold a password: never kept
    attempt = _Pipe(address, _description(stage, params, key, inputs, values))
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
        if status == "FINISHED":
            attempt.show(stage, key, values)
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


def _description(
    stage: Stage, params: Mapping[str, Any], key: str, inputs: Mapping[str, str], values: dict
) -> dict[str, Any]:
    """All that the writer needs to know of the attempt, as JSON."""
    own = {name: TypeAdapter(kind).dump_python(params[name], mode="json") for name, kind in stage.params.items()}
    return {
        "kind": "description",
        "attempt": uuid.uuid4().hex,
        "name": stage.address,
        "time": _now(),
        "tags": {"stage": stage.address, "profile": str(values.get("profile")), "input_hash": key, **_versions()},
        "params": flatten(own),
        "inputs": {stage.inputs[name].as_posix(): digest for name, digest in inputs.items()},
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


def shown_files(stage: Stage) -> list[Path]:
    """The outputs of `stage`, or files in them, that are small and tell something to a person."""
    found: list[Path] = []
    for path in stage.outputs.values():
        if path.is_dir():
            found += [file for pattern in SHOWN_OF_FOLDERS for file in sorted(path.rglob(pattern))]
        elif path.suffix in SHOWN_FILES:
            found.append(path)
    return [path for path in found if path.stat().st_size <= LARGEST_SHOWN]


def sources(manifest: Mapping[str, Any]) -> list[dict[str, str]]:
    """The entries of data/raw/manifest.json as datasets: name, digest and where they come from."""
    rows = []
    for entry in manifest["sources"]:
        place = {name: str(value) for name, value in entry["from"].items() if value is not None}
        pinned = entry["revision"] or entry["version"]
        address = "/".join([entry["kind"], *place.values()]) + (f"@{pinned}" if pinned else "")
        digest = entry["sha256"] or pinned
        rows.append({"name": f"{entry['group']}/{entry['name']}", "digest": digest, "source": f"source://{address}"})
    return rows


def made_by(without: Set[str]) -> dict[str, str]:
    """Each stage whose log is in this checkout, by address, with its input hash; `without` these."""
    logs = {
        path.relative_to("logs").with_suffix("").as_posix().replace("/", "@"): path
        for path in sorted(Path("logs").rglob("*.json"))
    }
    return {address: files.read_json(path)["input_hash"] for address, path in logs.items() if address not in without}


def dvc_hash(folder: Path) -> str:
    """The md5 under which DVC keeps a folder: of the JSON list of its files' names and md5s (dvc_data, Tree)."""
    listing = []
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as handle:
                digest = hashlib.file_digest(handle, "md5").hexdigest()
            listing.append({"md5": digest, "relpath": path.relative_to(folder).as_posix()})
    listing.sort(key=lambda row: row["relpath"])
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode()).hexdigest() + ".dir"


def exported_models(stage: Stage, key: str, profile: str) -> list[dict[str, Any]]:
    """The models that the stage export has made, for the registry: their names, where DVC has them, how good they are.

    A folder of models/export with a checks.json is a model; its name is that of the stage that trained it.
    """
    exported = stage.outputs["exported"]
    measured = files.read_json(stage.inputs["summary"])["models"]
    version = dvc_hash(exported)
    models = []
    for path in sorted(exported.glob("*/checks.json")):
        trained = path.parent.name
        told = {**numbers(measured[trained]), **numbers(files.read_json(path), "check.")}
        models.append(
            {
                "kind": "model",
                "name": f"questions-gen-{profile}-{trained}",
                "source": f"dvc://{path.parent.as_posix()}?md5={version}",
                "tags": {"input_hash": key, "profile": profile, **{name: f"{told[name]:.6g}" for name in told}},
            }
        )
    return models


def _complain(cause: str) -> None:
    print(f"mlflow: {cause}; the stage goes on, this attempt isn't fully tracked", file=sys.stderr, flush=True)


class _Pipe:
    """The stage's end: a Tracker that sends what it is told, and never raises."""

    def __init__(self, address: Mapping[str, Any], description: Mapping[str, Any]):
        path = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._writer = subprocess.Popen(
            [sys.executable, "-m", "questions_gen.mlflow_writer"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # so that Ctrl-C, which goes to the stage, doesn't end it too
        )
        self._send(address)
        self._send(description)

    def log_metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        given = {name: float(value) for name, value in values.items() if value is not None}
        self._send({"kind": "metrics", "metrics": given, "step": step or 0, "time": _now()})

    def log_table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self._send({"kind": "table", "table": name, "rows": list(rows)})

    def show(self, stage: Stage, key: str, values: Mapping[str, Any]) -> None:
        """Send what the outputs of a stage that has ended well have to show."""
        try:
            for path in shown_files(stage):
                self._send({"kind": "file", "path": path.as_posix(), "text": path.read_text(encoding="utf-8")})
                if path.name == "manifest.json":
                    self._send({"kind": "datasets", "datasets": sources(files.read_json(path))})
            if stage.name == "export":
                for model in exported_models(stage, key, str(values.get("profile"))):
                    self._send(model)
            if stage.name in LINKING:
                self._send({"kind": "links", "hashes": made_by(LINKING[stage.name])})
        except Exception as error:  # a stage that has ended well doesn't fail for what can't be shown of it
            _complain(f"its outputs can't be shown ({type(error).__name__}: {error})")

    def close(self, status: str, tags: Mapping[str, str]) -> None:
        self._send({"kind": "end", "status": status, "tags": tags, "time": _now()})
        with suppress(OSError):
            self._writer.stdin.close()
        try:
            code = self._writer.wait(CLOSING_SECONDS)
        except subprocess.TimeoutExpired:
            self._writer.kill()
            self._writer.wait()
            _complain(f"not all was written within {CLOSING_SECONDS:.0f} s; `questions-gen track sync` writes the rest")
        else:
            if code:
                _complain(f"its process ended with code {code}")

    def _send(self, message: Mapping[str, Any]) -> None:
        with suppress(OSError):  # the writer is gone, and has said why
            self._writer.stdin.write(json.dumps(message).encode() + b"\n")
            self._writer.stdin.flush()
