"""Answers that were paid for, through everything that DVC and Git do to a checkout. The real stage, the real DVC.

Of dvc.yaml only teach is kept as it is; what comes before it is written by hand, and distill only reads.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from questions_gen import files
from questions_gen.params import load_yaml
from tests.conftest import ROOT, write_tiny_mixed
from tests.fake_teacher import PASSING_FAULTS, FakeTeacher
from tests.pipeline.test_teach import write_proposals
from tests.tracked_runs import NOBODY

KEY = "sk-that-must-appear-in-no-file"
CALLS = 6 + 6 + 2 * 3
"""Evaluations, improvements and variations of six proposals."""


def run(checkout: Path, command: str, *, fails: bool = False) -> str:
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(checkout.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TEACHER_KEY": KEY,
    }
    done = subprocess.run(command.split(), cwd=checkout, capture_output=True, text=True, env=environment)
    assert (done.returncode != 0) == fails, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def kept(checkout: Path) -> int:
    """Attempts that the main checkout keeps for MLflow."""
    return len(list((checkout / ".tracking").glob("*-teach-*.jsonl")))


def commit(checkout: Path, words: str) -> None:
    run(checkout, "git add -A")
    run(checkout, f"git -c user.name=t -c user.email=t@example.org commit -qm {words}")


def make_checkout(root: Path, base_url: str, *, tracking: bool = False) -> Path:
    for name in ("stages", "src"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    stages = load_yaml(ROOT / "dvc.yaml")["stages"]
    read = {"cmd": "cp data/teacher/conversations.jsonl read.jsonl", "deps": ["data/teacher"], "outs": ["read.jsonl"]}
    kept = {"teach": stages["teach"], "distill": {**read, "params": ["distill"]}}
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": kept}, sort_keys=False))
    params = load_yaml(ROOT / "params.yaml")
    params["run"]["teacher"] |= {"base_url": base_url, "concurrency": 4, "key_variable": "TEACHER_KEY", "timeout": 0.5}
    params["run"]["tracking"] = {"enabled": tracking, "uri": None if tracking else NOBODY}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    write_tiny_mixed(root / "data/mixed")
    write_proposals(root / "data/proposals")
    files.write_text(root / "data/checked/params.txt", "params.yaml is valid\n")
    ignored = ("data/teacher_store", "data/teacher", "logs", "read.jsonl")
    hidden = (".teacher", ".tracking", ".checkpoints", ".staging", ".locks", "mlflow.db", "mlartifacts")
    (root / ".gitignore").write_text("".join(f"/{name}\n" for name in (*ignored, *hidden)))
    run(root, "git init -q")
    run(root, "dvc init -q")
    run(root, "dvc config core.analytics false")
    commit(root, "start")
    return root


@pytest.fixture(scope="module")
def server() -> Iterator[FakeTeacher]:
    with FakeTeacher() as teacher:
        yield teacher


@pytest.fixture(scope="module")
def checkout(server: FakeTeacher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which everything was asked once, by `dvc repro`."""
    root = make_checkout(tmp_path_factory.mktemp("survival") / "checkout", server.base_url)
    run(root, "dvc repro")
    assert len(server.bodies) == CALLS
    commit(root, "taught")
    return root


def asked(server: FakeTeacher, checkout: Path, *commands: str) -> int:
    """How many requests reached the server during the commands."""
    before = len(server.bodies)
    for command in commands:
        run(checkout, command)
    return len(server.bodies) - before


def test_git_and_dvc_take_no_answer_away(server: FakeTeacher, checkout: Path) -> None:
    assert asked(server, checkout, "git checkout -q HEAD~1", "git clean -fdq", "dvc repro -f") == 0
    run(checkout, "git checkout -q -f -")
    assert asked(server, checkout, "dvc checkout -f", "dvc repro -f") == 0


def test_an_experiment_in_a_temporary_folder_pays_for_all(server: FakeTeacher, checkout: Path) -> None:
    before, tracked = kept(checkout), "-S run.tracking.enabled=true"
    assert asked(server, checkout, f"dvc exp run --temp -n tempted -S teacher.temperature=0.5 {tracked}") == CALLS
    assert kept(checkout) == before + 1, "its folder is gone"
    assert asked(server, checkout, "dvc exp run --temp -f -S teacher.temperature=0.5") == 0
    assert asked(server, checkout, "dvc exp apply tempted", "dvc repro -f") == 0
    run(checkout, "git checkout -q -f .")


def test_an_experiment_of_the_queue_pays_for_all(server: FakeTeacher, checkout: Path) -> None:
    before = kept(checkout)
    queued = "dvc exp run --queue -S teacher.temperature=0.6 -S run.tracking.enabled=true"
    assert asked(server, checkout, queued, "dvc exp run --run-all") == CALLS
    assert kept(checkout) == before + 1
    assert asked(server, checkout, "dvc exp run -f -S teacher.temperature=0.6") == 0
    run(checkout, "git checkout -q -f .")


def test_a_fresh_clone_that_has_pulled_asks_for_nothing(server: FakeTeacher, checkout: Path, tmp_path: Path) -> None:
    run(checkout, "dvc checkout -f")
    run(checkout, f"dvc remote add -f -d shared {tmp_path / 'remote'}")
    run(checkout, "questions-gen teacher seal")
    commit(checkout, "sealed")
    run(checkout, "dvc push")
    clone = tmp_path / "clone"
    run(tmp_path, f"git clone -q {checkout} {clone}")
    run(clone, "dvc pull")
    params = load_yaml(clone / "params.yaml")
    params["distill"]["learning_rate"] = 1e-6
    (clone / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    before = len(server.bodies)
    output = run(clone, "dvc repro")
    assert re.findall(r"Running stage '(\w+)'", output) == ["distill"]
    run(clone, "dvc repro -f")
    assert len(server.bodies) == before, "the sealed store has them all"


def test_the_key_appears_nowhere_after_a_run_with_faults(tmp_path: Path) -> None:
    """Not in the checkout with its store, logs, Git and MLflow's database, nor in what was printed."""
    faults = [*PASSING_FAULTS, *["http_401"] * 100]
    with FakeTeacher(faults) as server:
        root = make_checkout(tmp_path / "checkout", server.base_url, tracking=True)
        output = run(root, "dvc repro", fails=True)
        assert "isn't accepted" in output
        assert server.keys == {KEY}, "it was sent"
        output += run(root, "dvc repro", fails=True)
    with FakeTeacher(PASSING_FAULTS) as server:
        text = (root / "params.yaml").read_text()
        (root / "params.yaml").write_text(re.sub(r"base_url: \S+", f"base_url: {server.base_url}", text))
        output += run(root, "dvc repro")
    assert KEY not in output
    written = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert {"answers.jsonl", "failures.jsonl", "mlflow.db"} <= {path.name for path in written}
    assert any("Bearer ***" in path.read_text() for path in written if path.name == "failures.jsonl")
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []
    assert os.environ.get("TEACHER_KEY") is None
