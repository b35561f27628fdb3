"""Typos in params.yaml under a bare `dvc repro`: all told together, by name, before any work."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("stages", "src", "conf", "data/sources"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for command in ("git init -q", "dvc init -q", "dvc config core.analytics false"):
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True, env=environment())
    return tmp_path


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_three_mistakes_are_told_before_any_work(checkout: Path) -> None:
    path = checkout / "params.yaml"
    text = path.read_text()
    for old, new in (
        ("chat_share: 0.25", "chat_shar: 0.25"),
        ("learning_rate: 2e-4", "learning_rate: fast"),
        ("group_size: 8", "group_size: 1"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    path.write_text(text)
    result = subprocess.run(["dvc", "repro"], cwd=checkout, capture_output=True, text=True, env=environment())
    told = result.stdout + result.stderr
    assert result.returncode != 0
    assert "mix.chat_shar: unknown key; did you mean 'chat_share'?" in told
    assert 'sft.learning_rate: input should be a valid number (found "fast")' in told
    assert "grpo.group_size: input should be greater than or equal to 2 (found 1)" in told
    assert "Traceback" not in told
    assert told.count("Running stage") == 1
    assert not (checkout / "data/raw").exists()
