"""`kill -9` in the middle of training: the next run goes on and ends with the same bytes."""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from questions_gen import files
from questions_gen.training.checkpoints import last_complete, mark_complete
from tests.forked import Forked


def run_apart(stage: str) -> None:
    """In a process with a hash seed of its own."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-m", "stages", stage], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def kill_at(process: Forked, stage: str, number: int) -> None:
    """Kill the process as soon as the checkpoint that it writes as its `number`th begins to appear: torn, maybe."""

    def found() -> set[Path]:
        return set(Path(".checkpoints", stage).rglob("checkpoint-*"))

    earlier = found()
    seen: set[Path] = set()
    while len(seen) < number:
        assert process.poll() is None, process.output.read_text()
        time.sleep(0.001)
        seen |= found() - earlier
    time.sleep(random.uniform(0, 0.1))
    process.kill()


@pytest.mark.parametrize(
    ("stage", "first", "last"),
    [("sft", 1, 5), ("grpo", 1, 4), ("grpo", 2, 2)],
    ids=["sft", "grpo", "grpo at the end of a round's policy steps"],
)
def test_a_killed_stage_ends_with_the_bytes_of_one_that_was_not(
    workspace: Path, stage: str, first: int, last: int
) -> None:
    if stage == "grpo":
        Forked("sft").finish()
        Forked("grpo").finish()
    else:
        run_apart("sft")
    expected = digests(stage)
    shutil.rmtree(Path(".checkpoints"))
    remove_outputs(stage)
    number = random.randint(first, last)
    kill_at(Forked(stage), stage, number)
    assert not Path("models", stage).exists()
    output = Forked(stage).finish()
    assert digests(stage) == expected, f"killed at checkpoint {number}:\n{output}"


def test_a_stage_killed_after_its_last_checkpoint_has_only_to_finish(workspace: Path) -> None:
    Forked("sft").finish()
    expected = digests("sft")
    remove_outputs("sft")
    last = next(Path(".checkpoints").rglob("checkpoint-6")).stat().st_mtime_ns
    Forked("sft").finish()
    assert digests("sft") == expected
    assert next(Path(".checkpoints").rglob("checkpoint-6")).stat().st_mtime_ns == last, "nothing was trained again"


def outputs(stage: str) -> list[Path]:
    return [Path("models", stage), Path("logs", f"{stage}.json"), *([Path("data/history")] if stage == "grpo" else [])]


def digests(stage: str) -> list[str]:
    return [files.digest(path) for path in outputs(stage)]


def remove_outputs(stage: str) -> None:
    for path in outputs(stage):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def checkpoint(folder: Path, step: int) -> Path:
    path = folder / f"checkpoint-{step}"
    files.write_text(path / "weights", f"weights of step {step}")
    files.write_text(path / "trainer_state.json", "{}")
    mark_complete(path)
    return path


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: (path / "complete.json").unlink(),
        lambda path: (path / "weights").write_text("weights of"),
        lambda path: (path / "weights").unlink(),
        lambda path: (path / "complete.json").write_text('{"weights"'),
    ],
    ids=["killed before the manifest", "a file cut short", "a file missing", "a torn manifest"],
)
def test_a_torn_checkpoint_is_skipped(tmp_path: Path, damage) -> None:
    whole = checkpoint(tmp_path, 9)
    damage(checkpoint(tmp_path, 10))
    assert last_complete(tmp_path) == whole
    assert not (tmp_path / "checkpoint-10").exists()


def test_without_a_checkpoint_the_training_starts_anew(tmp_path: Path) -> None:
    assert last_complete(tmp_path / "nothing") is None


def test_other_params_are_never_resumed(workspace: Path) -> None:
    kill_at(Forked("sft"), "sft", 2)
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("learning_rate: 0.0002", "learning_rate: 0.0003"))
    kill_at(Forked("sft"), "sft", 1)
    keys = [path for path in Path(".checkpoints/sft").iterdir() if list(path.glob("*/checkpoint-*"))]
    assert len(keys) == 2
