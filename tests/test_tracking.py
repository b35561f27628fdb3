"""MLflow runs of real processes: five attempts at once, on a fresh database, read back from it.

The database is read as SQLite, so that MLflow is never imported by the tests' own process.
"""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import yaml

from questions_gen import files, tracking
from questions_gen.errors import UserError
from questions_gen.imports import local_files
from questions_gen.params import ParamsError, load_yaml
from questions_gen.stage import Log, NoTracker, Stage, _numbers, run

ROOT = Path(__file__).resolve().parents[1]

ATTEMPT = """
import sys, time
from questions_gen import tracking
from questions_gen.errors import UserError
from questions_gen.stage import Stage

name, ending = sys.argv[1:]
stage = Stage(name, {"seed": int}, {}, {}, work=print)
with tracking.start(stage, {"seed": 7}, "hash-of-" + name) as tracker:
    for step in range(50):
        tracker.log_metrics({"loss": 1 / (step + 1), "odd name, with a comma": step, "missing": None}, step)
    tracker.log_table("samples", [{"statement": "Find x.", "total": 0.5}, {"statement": "Why?", "total": 0.0}])
    tracker.log_table("nothing", [])
    print("logged", "mlflow" in sys.modules, flush=True)
    if ending == "fail":
        raise UserError("data/x.jsonl: empty; fetch it again")
    time.sleep({"hang": 600, "slow": 12}.get(ending, 0))
"""

NO_NETWORK = """
import os, sys

def note(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        with open(os.environ["CONNECTIONS"], "a") as handle:
            handle.write(f"{event} {arguments[0] if event == 'socket.getaddrinfo' else arguments[1]}\\n")

sys.addaudithook(note)
"""


def write_params(folder: Path, *, uri: str | None = None, enabled: bool = True, **changes) -> Path:
    params = load_yaml(ROOT / "params.yaml") | changes
    params["run"]["tracking"] = {"enabled": enabled, "uri": uri}
    files.write_text(folder / "params.yaml", yaml.safe_dump(params))
    return folder


def attempt(name: str, ending: str, folder: Path, home: Path) -> subprocess.Popen:
    """A process that works on the stage `name` in the checkout `folder`, whose main checkout is `home`."""
    audit = home / "audit"
    files.write_text(audit / "sitecustomize.py", NO_NETWORK)
    environment = os.environ | {
        "DVC_ROOT": str(home),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(audit)]),
        "CONNECTIONS": str(folder / "connections"),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }
    command = [sys.executable, "-c", ATTEMPT, name, ending]
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def read_runs(home: Path) -> dict[str, SimpleNamespace]:
    """Runs by name, each with status, id, tags, params and points (metric → [(step, value)])."""
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
        rows = database.execute("select run_uuid, name, status, artifact_uri from runs").fetchall()
    assert len({name for _, name, _, _ in rows}) == len(rows), "two runs of one name"
    return {
        name: SimpleNamespace(
            id=run_id, status=status, artifacts=uri, tags=tags[run_id], params=params[run_id], points=points[run_id]
        )
        for run_id, name, status, uri in rows
    }


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Five attempts at once below one main checkout without a database; one of them is killed by force."""
    home = write_params(tmp_path_factory.mktemp("home"))
    folders = {
        "sft": home,
        "grpo": home,
        "distill": write_params(home / "other_seed", seed=1),
        "evaluate@sft": home,
        "judge@sft": write_params(home / "no_server", uri="http://someone:secret@127.0.0.1:9/"),
    }
    endings = {"grpo": "fail", "evaluate@sft": "hang", "judge@sft": "slow"}
    processes = {name: attempt(name, endings.get(name, "end"), folder, home) for name, folder in folders.items()}
    assert processes["evaluate@sft"].stdout.readline() == "logged False\n"
    os.kill(processes["evaluate@sft"].pid, signal.SIGKILL)
    printed = {name: process.communicate(timeout=120) for name, process in processes.items()}
    wait_for_the_killed(home)
    return SimpleNamespace(
        home=home,
        runs=read_runs(home),
        codes={name: process.returncode for name, process in processes.items()},
        stdout={name: out for name, (out, _) in printed.items()},
        stderr={name: err for name, (_, err) in printed.items()},
    )


def wait_for_the_killed(home: Path) -> None:
    """Its writer outlives it for a moment."""
    for _ in range(600):
        runs = read_runs(home)
        if "evaluate@sft" in runs and runs["evaluate@sft"].status != "RUNNING":
            return
        time.sleep(0.1)
    raise AssertionError("the run of the killed attempt is still said to be running")


@pytest.mark.parametrize(
    ("stage", "status"),
    [
        ("sft", "FINISHED"),
        ("distill", "FINISHED"),
        ("grpo", "FAILED"),
        ("evaluate@sft", "KILLED"),  # by SIGKILL: nobody could say so, but its pipe ended
    ],
)
def test_each_attempt_is_a_run_with_all_its_points(tracked, stage, status):
    found = tracked.runs[stage]
    assert found.status == status
    assert found.points["loss"] == [(step, 1 / (step + 1)) for step in range(50)]
    assert len(found.points["odd name_ with a comma"]) == 50
    assert "missing" not in found.points
    assert found.params == {"seed": "7"}
    assert found.tags["stage"] == stage
    assert found.tags["profile"] == "smollm2-135m"
    assert found.tags["input_hash"] == f"hash-of-{stage}"
    assert {"git_commit", "dirty"} <= set(found.tags)
    assert found.tags["version.trl"] == metadata.version("trl")
    assert found.artifacts.startswith((tracked.home / "mlartifacts").as_uri())


def test_a_table_is_an_artifact_of_the_run(tracked):
    folder = Path(urlsplit(tracked.runs["sft"].artifacts).path)
    assert [path.name for path in folder.iterdir()] == ["samples.json"]
    table = files.read_json(folder / "samples.json")
    assert table == {"columns": ["statement", "total"], "data": [["Find x.", 0.5], ["Why?", 0.0]]}


def test_an_attempt_that_ended_says_how_long_it_took_and_what_it_needed(tracked):
    for stage in ("sft", "grpo"):
        ((_, seconds),) = tracked.runs[stage].points["wall_seconds"]
        ((_, memory),) = tracked.runs[stage].points["peak_rss_gib"]
        assert 0 < seconds < 60
        assert 0.005 < memory < 2


def test_attempts_of_one_pipeline_share_a_parent_and_a_changed_param_makes_another(tracked):
    parents = {name: found for name, found in tracked.runs.items() if "identity" in found.tags}
    assert len(parents) == 2, "one a set of params, though the attempts began at once"
    child_of = {stage: tracked.runs[stage].tags["mlflow.parentRunId"] for stage in ("sft", "grpo", "evaluate@sft")}
    assert len(set(child_of.values())) == 1
    assert tracked.runs["distill"].tags["mlflow.parentRunId"] not in child_of.values()
    assert sorted(parent.params["seed"] for parent in parents.values()) == ["1", "3407"]
    assert all(parent.params["rewards.weights.difficulty"] == "0.4" for parent in parents.values())
    assert not any(key.startswith("run.") for parent in parents.values() for key in parent.params)


def test_the_stage_itself_imports_no_mlflow(tracked):
    assert tracked.stdout["sft"] == "logged False\n"


def test_a_failed_attempt_says_why_and_the_error_goes_on(tracked):
    assert tracked.codes["grpo"] == 1
    assert tracked.stderr["grpo"].endswith("questions_gen.errors.UserError: data/x.jsonl: empty; fetch it again\n")
    assert tracked.runs["grpo"].tags["error"] == "data/x.jsonl: empty; fetch it again"


def test_an_unreachable_server_is_said_once_and_the_stage_goes_on(tracked):
    assert tracked.codes["judge@sft"] == 0
    (line,) = tracked.stderr["judge@sft"].splitlines()
    assert line.startswith("mlflow: the server 127.0.0.1 can't be used")
    assert "secret" not in line
    assert "judge@sft" not in tracked.runs


def test_nothing_is_said_where_all_went_well(tracked):
    assert tracked.stderr["sft"] == tracked.stderr["distill"] == ""


def test_no_connection_is_tried_but_to_the_server_that_was_named(tracked):
    assert not (tracked.home / "connections").exists()
    assert not (tracked.home / "other_seed/connections").exists()
    for line in (tracked.home / "no_server/connections").read_text().splitlines():
        assert "127.0.0.1" in line or "localhost" in line, line


def test_a_second_attempt_is_a_new_run_below_the_same_parent(tracked):
    process = attempt("sft again", "end", tracked.home, tracked.home)
    assert process.communicate(timeout=60) == ("logged False\n", "")
    runs = read_runs(tracked.home)
    assert len(runs["sft"].points["loss"]) == len(runs["sft again"].points["loss"]) == 50
    assert runs["sft again"].tags["mlflow.parentRunId"] == runs["sft"].tags["mlflow.parentRunId"]


class Recorded:
    """Stands in for the pipe to the writer."""

    def __init__(self, description):
        self.description, self.metrics, self.end = description, {}, None
        Recorded.last = self

    def log_metrics(self, values, step=None):
        self.metrics |= values

    def log_table(self, name, rows):
        raise AssertionError("this stage has no table")

    def close(self, status, tags):
        self.end = status, tags


STAGE = Stage("sft", {"seed": int}, {}, {}, work=print)


@pytest.mark.parametrize(
    ("error", "status", "tags"),
    [
        (UserError("key: cause; remedy"), "FAILED", {"error": "key: cause; remedy"}),
        (RuntimeError("refused: key sk-123"), "FAILED", {"error": "RuntimeError"}),  # a message may quote a secret
        (KeyboardInterrupt(), "KILLED", {"error": "KeyboardInterrupt"}),
        (SystemExit(1), "FAILED", {"error": "SystemExit"}),
    ],
)
def test_how_an_attempt_ended(tmp_path, monkeypatch, error, status, tags):
    monkeypatch.chdir(write_params(tmp_path))
    monkeypatch.setattr(tracking, "_Pipe", Recorded)
    with pytest.raises(type(error)), tracking.start(STAGE, {"seed": 7}, "hash"):
        raise error
    assert Recorded.last.end == (status, tags)
    assert set(Recorded.last.metrics) == {"wall_seconds", "peak_rss_gib"}


def test_switched_off_there_is_no_process_and_no_database(tmp_path, monkeypatch):
    monkeypatch.chdir(write_params(tmp_path, enabled=False))
    monkeypatch.setattr(tracking, "_Pipe", None)
    with tracking.start(STAGE, {"seed": 7}, "hash") as tracker:
        assert isinstance(tracker, NoTracker)
        tracker.log_metrics({"loss": 1.0}, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_a_bad_run_section_is_the_users_to_mend(tmp_path, monkeypatch):
    monkeypatch.chdir(write_params(tmp_path, enabled="yes"))
    with pytest.raises(ParamsError, match=r"run\.tracking\.enabled"), tracking.start(STAGE, {"seed": 7}, "hash"):
        raise AssertionError("the work began")


def test_a_writer_that_dies_is_said_once_and_costs_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(write_params(tmp_path))
    with tracking.start(STAGE, {"seed": 7}, "hash") as tracker:
        tracker._writer.kill()
        tracker._writer.wait()
        for step in range(3):
            tracker.log_metrics({"loss": 1.0}, step)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "mlflow: its process ended with code -9; the stage goes on, this attempt isn't fully tracked"


def test_a_writer_that_hangs_is_given_up(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(write_params(tmp_path))
    monkeypatch.setattr(tracking, "CLOSING_SECONDS", 0.2)
    with tracking.start(STAGE, {"seed": 7}, "hash") as tracker:
        os.kill(tracker._writer.pid, signal.SIGSTOP)
    assert "not all was written" in capsys.readouterr().err
    assert tracker._writer.poll() is not None


def test_the_stage_hands_over_the_numbers_of_its_log(tmp_path, monkeypatch):
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/check.py").write_text("")
    monkeypatch.chdir(write_params(tmp_path))
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr(tracking, "_Pipe", Recorded)
    metrics = {"n": 2, "reasons": {"cut_off": 1}, "overall": None, "kind": "local", "ok": True}
    run(Stage("check", {}, {}, {}, work=lambda context: Log(metrics)), tracking.start)
    assert _numbers(metrics) == {"n": 2, "reasons.cut_off": 1}
    assert _numbers(metrics).items() <= Recorded.last.metrics.items()
    assert set(Recorded.last.metrics) == {"n", "reasons.cut_off", "wall_seconds", "peak_rss_gib"}
    assert Recorded.last.end == ("FINISHED", {})


def test_identity_is_all_of_params_but_run():
    params = {"seed": 1, "sft": {"steps": 3, "learning_rate": 2e-4}, "run": {"tracking": 1}}
    assert tracking.identity(params) == tracking.identity({**params, "run": None})
    assert tracking.identity(params) == tracking.identity(dict(reversed(params.items())))
    assert tracking.identity(params) != tracking.identity({**params, "seed": 2})


def test_flatten():
    values = {
        "seed": 1,
        "lora": {"r": 8, "targets": ["q", "k"]},
        "dtype": "float32",
        "uri": None,
        "deep": {"er": {"x": 0.5}},
    }
    assert tracking.flatten(values) == {
        "seed": "1",
        "lora.r": "8",
        "lora.targets": '["q", "k"]',
        "dtype": "float32",
        "uri": "null",
        "deep.er.x": "0.5",
    }


def test_dirty_means_code_or_params_not_what_dvc_writes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert tracking._git_tags() == {"git_commit": "unknown", "dirty": "unknown"}
    for path in ("dvc.lock", "metrics/summary.json", "params.yaml"):
        files.write_text(Path(path), "old\n")
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", *command], check=True)
    assert tracking._git_tags()["dirty"] == "false"
    for path in ("dvc.lock", "metrics/summary.json", "plots/loss.csv"):
        files.write_text(Path(path), "new\n")
    assert tracking._git_tags()["dirty"] == "false"
    files.write_text(Path("params.yaml"), "new\n")
    tags = tracking._git_tags()
    assert tags["dirty"] == "true"
    assert tags["mlflow.source.git.commit"] == tags["git_commit"] != "unknown"


def test_no_stage_runs_the_code_of_tracking(monkeypatch):
    """An edit of it would rerun what imports it."""
    monkeypatch.chdir(ROOT)
    for script in sorted(Path("stages").glob("[!_]*.py")):
        assert Path("src/questions_gen/tracking.py") not in local_files(script), script
