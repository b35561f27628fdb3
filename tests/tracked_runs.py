"""Attempts of real processes on one fresh database, attempts that were kept, and MLflow's pages of all of them.

The database is read as SQLite, so that MLflow is never imported by the tests' own process.
"""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from questions_gen import files, tracking
from questions_gen.params import load_yaml
from questions_gen.sources import HubSource, PackageSource, manifest_entry
from questions_gen.stage import Context, Log, Stage, run

ROOT = Path(__file__).resolve().parents[1]
SECRET = "a-password-that-must-appear-in-no-file"
NOBODY = f"http://someone:{SECRET}@127.0.0.1:9/"
"""Where no server listens."""

ATTEMPT = """
import sys, time
from questions_gen import tracking
from questions_gen.errors import UserError
from questions_gen.stage import Stage

name, ending = sys.argv[1:]
stage = Stage(name, {"seed": int}, {}, {}, work=print)
with tracking.start(stage, {"seed": 7}, "hash-of-" + name, {}) as tracker:
    for step in range(50):
        tracker.log_metrics({"loss": 1 / (step + 1), "odd name, with a comma": step, "missing": None}, step)
    tracker.log_table("samples", [{"statement": "Find x.", "total": 0.5}, {"statement": "Why?", "total": 0.0}])
    tracker.log_table("nothing", [])
    print("logged", "mlflow" in sys.modules, flush=True)
    if ending == "fail":
        raise UserError("data/x.jsonl: empty; fetch it again")
    time.sleep({"hang": 600, "slow": 4}.get(ending, 0))
"""

NO_NETWORK = """
import os, sys

def note(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        with open(os.environ["CONNECTIONS"], "a") as handle:
            handle.write(f"{event} {arguments[0] if event == 'socket.getaddrinfo' else arguments[1]}\\n")

sys.addaudithook(note)
"""

HALF_WAY = """
import os, sys
from pathlib import Path
from questions_gen.mlflow_writer import runs, sync

def die(attempt, message):
    if message["kind"] == "end":
        os._exit(9)
    return write_one(attempt, message)

write_one, runs.Attempt._write_one = runs.Attempt._write_one, die
sync.sync(Path(sys.argv[1]), sys.argv[2])
"""


def write_params(folder: Path, *, uri: str | None = None, enabled: bool = True, **changes) -> Path:
    params = load_yaml(ROOT / "params.yaml") | changes
    params["run"]["tracking"] = {"enabled": enabled, "uri": uri}
    files.write_text(folder / "params.yaml", yaml.safe_dump(params))
    return folder


def environment(folder: Path, home: Path) -> dict[str, str]:
    """Of a process that works in the checkout `folder`, whose main checkout is `home`: it notes every connection."""
    audit = home / "audit"
    files.write_text(audit / "sitecustomize.py", NO_NETWORK)
    return os.environ | {
        "DVC_ROOT": str(home),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(audit)]),
        "CONNECTIONS": str(folder / "connections"),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }


def process(folder: Path, home: Path, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(folder, home),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@dataclass(frozen=True)
class Tracked:
    home: Path
    attempts: dict[str, SimpleNamespace]
    """By the name of the attempt: code, stdout, stderr."""

    def runs(self, stage: str | None = None) -> list[SimpleNamespace]:
        """Each with id, status, times, tags, params and points (metric → [(step, value)]); the oldest first."""
        return [found for found in read_runs(self.home) if stage in (None, found.name)]

    def one(self, stage: str) -> SimpleNamespace:
        (found,) = self.runs(stage)
        return found

    def rows(self, query: str, *arguments: str) -> list[tuple]:
        with sqlite3.connect(f"file:{self.home / 'mlflow.db'}?mode=ro", uri=True, timeout=30) as database:
            return database.execute(query, arguments).fetchall()


def read_runs(home: Path) -> list[SimpleNamespace]:
    with sqlite3.connect(f"file:{home / 'mlflow.db'}?mode=ro", uri=True, timeout=30) as database:
        tags, params, points = defaultdict(dict), defaultdict(dict), defaultdict(lambda: defaultdict(list))
        for run_id, key, value in database.execute("select run_uuid, key, value from tags"):
            tags[run_id][key] = value
        for run_id, key, value in database.execute("select run_uuid, key, value from params"):
            params[run_id][key] = value
        for run_id, key, step, value in database.execute(
            "select run_uuid, key, step, value from metrics order by step"
        ):
            points[run_id][key].append((step, value))
        rows = database.execute(
            "select run_uuid, name, status, start_time, end_time, artifact_uri from runs "
            "where lifecycle_stage = 'active' order by start_time"
        ).fetchall()
    return [
        SimpleNamespace(
            id=run_id,
            name=name,
            status=status,
            start=start,
            end=end,
            artifacts=Path(uri.removeprefix("file://")),
            tags=tags[run_id],
            params=params[run_id],
            points=points[run_id],
        )
        for run_id, name, status, start, end, uri in rows
    ]


def track(home: Path) -> Tracked:
    """Six attempts at once below one main checkout without a database: one fails, one is killed by force, one has
    no server. Then a whole pipeline that has none either, and is kept."""
    write_params(home)
    folders = {
        "sft": home,
        "sft again": home,
        "grpo": home,
        "distill": write_params(home / "other_seed", seed=1),
        "evaluate@sft": home,
        "judge@sft": write_params(home / "no_server", uri=NOBODY),
    }
    endings = {"grpo": "fail", "evaluate@sft": "hang", "judge@sft": "slow", "distill": "slow"}
    processes = {
        name: process(folder, home, "-c", ATTEMPT, name.removesuffix(" again"), endings.get(name, "end"))
        for name, folder in folders.items()
    }
    assert processes["evaluate@sft"].stdout.readline() == "logged False\n"
    os.kill(processes["evaluate@sft"].pid, signal.SIGKILL)
    write_pipeline(home / "pipeline", home)
    printed = {name: process.communicate(timeout=120) for name, process in processes.items()}
    wait_for_the_killed(home)
    return Tracked(
        home,
        {
            name: SimpleNamespace(code=processes[name].returncode, stdout=out, stderr=err)
            for name, (out, err) in printed.items()
        },
    )


def wait_for_the_killed(home: Path) -> None:
    """Its writer outlives it for a moment."""
    for _ in range(600):
        if any(found.name == "evaluate@sft" and found.end is not None for found in read_runs(home)):
            return
        time.sleep(0.1)
    raise AssertionError("the run of the killed attempt is still said to be running")


BEGAN = int(time.time()) - 60
CALLS = [
    {"key": "k1", "status": "http_503", "question": "Rate it.", "answer": "", "start": BEGAN, "end": BEGAN + 0.5},
    {"key": "k1", "status": "asked", "question": "Rate it.", "answer": "4", "start": BEGAN + 1, "end": BEGAN + 3},
]
CALLS = [{**call, "prompt_tokens": 10, "completion_tokens": 5 * len(call["answer"])} for call in CALLS]
"""As teacher.client has them."""
HISTORY = [
    {"rate": 0.5, "adapter": "first"},
    {"rate": 0.5, "adapter": "first"},  # the same export
    {"rate": 0.25, "adapter": "worse"},
    {"rate": 0.75, "adapter": "better"},
]
"""Exports, one after the other: the share of the model's problems that pass the gate, and what the adapter is."""


def write_pipeline(checkout: Path, home: Path) -> None:
    """Stages of the real names and paths, whose work writes little, tracked for a server that isn't there."""
    write_params(checkout, uri=NOBODY)
    for stage in ("fetch", "mix", "teach", "report", "export"):
        files.write_text(checkout / f"stages/{stage}.py", "")
    files.write_text(checkout / "data/checked/params.txt", "params.yaml is valid\n")
    files.write_text(checkout / "data/sources/own.jsonl", "{}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(checkout)
        patch.setenv("DVC_ROOT", str(home))
        for stage in (fetch(), mix(), teach(), report()):
            run(stage, tracking.start)
        for export in HISTORY:
            files.write_json(Path("metrics/summary.json"), {"models": {"distill": {"gate_pass_rate": export["rate"]}}})
            files.write_text(Path("models/distill/adapter.txt"), export["adapter"])
            run(EXPORT, tracking.start)
        write_params(checkout, uri=NOBODY, seed=8)
        run(report(), tracking.start)  # of another pipeline, for which DVC had only the report to make


def fetch() -> Stage:
    hub = HubSource(
        name="hub",
        schema="problems",
        licence="MIT",
        kind="hub",
        repo_id="a/b",
        config=None,
        split="train",
        revision="x",
    )
    package = PackageSource(
        name="champ", schema="champ", licence="MIT", kind="package", package="champ-dataset", path="champ.json"
    )
    entries = [
        manifest_entry("problems", hub, name="hub", rows=2, revision="c0ffee"),
        manifest_entry("problems", package, name="champ", rows=3, sha256="ab" * 32, version="1.0.0"),
    ]

    def work(context: Context, *, local: Path, raw: Path, base: Path) -> Log:
        files.write_json(raw / "manifest.json", {"sources": entries})
        files.write_text(base / "model.safetensors", "weights")
        return Log({"rows": {"problems/champ": 3}})

    outputs = {"raw": Path("data/raw"), "base": Path("models/base")}
    return Stage("fetch", {}, {"local": Path("data/sources")}, outputs, work)


def mix() -> Stage:
    def work(context: Context, *, raw: Path, base: Path, mixed: Path) -> Log:
        files.write_rows(mixed / "train.jsonl", [{"n": 1}])
        return Log({"rows": {"train": 1}})

    return Stage("mix", {}, {"raw": Path("data/raw"), "base": Path("models/base")}, {"mixed": Path("data/mixed")}, work)


def teach() -> Stage:
    def work(context: Context, *, mixed: Path, lessons: Path) -> Log:
        context.tracker.log_table("teacher_calls", CALLS)
        files.write_rows(lessons / "answers.jsonl", [])
        return Log({"conversations": 0})

    return Stage("teach", {}, {"mixed": Path("data/mixed")}, {"lessons": Path("data/teacher")}, work)


@cache
def report_page() -> str:
    from questions_gen.report.page import page
    from tests.report.test_page import sample_results

    return page(sample_results())


def report() -> Stage:
    def work(context: Context, *, mix: Path, summary: Path, loss: Path, page: Path) -> Log:
        files.write_json(summary, {"models": {"distill": {"gate_pass_rate": 0.5}}})
        files.write_text(loss, "step,sft\n0,2.5\n1,2.0\n")
        files.write_text(page, report_page())
        return Log({"models": {"distill": {"gate_pass_rate": 0.5}}})

    outputs = {
        "summary": Path("metrics/summary.json"),
        "loss": Path("plots/loss.csv"),
        "page": Path("report/index.html"),
    }
    return Stage("report", {}, {"mix": Path("logs/mix.json")}, outputs, work)


def _export(context: Context, *, adapter: Path, summary: Path, exported: Path) -> Log:
    folder = exported / adapter.name
    files.write_text(folder / "README.md", "# A model\n")
    files.write_json(folder / "checks.json", {"formats": {"gguf-q8_0": {"agreement": 0.975}}, "smoke": None})
    files.write_text(folder / "gguf/model-q8_0.gguf", (adapter / "adapter.txt").read_text())
    return Log({"gguf-q8_0": {"agreement": 0.975}})


EXPORT = Stage(
    "export",
    {},
    {"adapter": Path("models/distill"), "summary": Path("metrics/summary.json")},
    {"exported": Path("models/export")},
    _export,
)


@contextmanager
def pages(home: Path) -> Iterator[str]:
    """The address of MLflow's pages, as `make ui` serves them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = ["make", "--dry-run", "--no-print-directory", "--assume-old=.venv/installed", "ui", f"PORT={port}"]
    command = subprocess.run(made, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with open(home / "ui.log", "w") as log:
        server = subprocess.Popen(
            ["bash", "-c", f"exec env {command}"],
            cwd=home,
            env=os.environ | {"PATH": path},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield _answering(f"http://127.0.0.1:{port}", server, home / "ui.log")
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # it would first wait for its connections
        server.wait()


def _answering(url: str, server: subprocess.Popen, log: Path) -> str:
    for _ in range(1200):
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return url
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
    raise AssertionError(f"no answer within two minutes: {log.read_text()}")


def sync(home: Path, url: str) -> SimpleNamespace:
    """Send what was kept to the server: by a process that dies half-way, then by the command, and by it again."""
    kept = sorted(path.read_text() for path in (home / ".tracking").glob("*.jsonl"))
    half_way = process(home / "pipeline", home, "-c", HALF_WAY, str(home), url)
    half_way.communicate(timeout=120)
    after_half = [found for found in read_runs(home) if found.end is None and "attempt" in found.tags]
    (pipeline,) = {found.tags["mlflow.parentRunId"] for found in read_runs(home) if found.name == "sft"}
    with sqlite3.connect(home / "mlflow.db", timeout=30) as database:  # as a person's words on the run's page
        database.execute(
            "insert into tags (key, value, run_uuid) values ('mlflow.note.content', 'Mine.', ?)", [pipeline]
        )
    write_params(home / "pipeline", uri=url)
    command = ("-c", "from questions_gen.cli import app; app()", "track", "sync")
    whole = process(home / "pipeline", home, *command).communicate(timeout=120)
    again = process(home / "pipeline", home, *command).communicate(timeout=120)
    return SimpleNamespace(kept=kept, half_way=half_way.returncode, after_half=after_half, whole=whole, again=again)
