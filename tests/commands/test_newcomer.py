"""From a clone to a problem, by the commands that README names, with a remote and without training."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from questions_gen import cli, files
from questions_gen.params import load_yaml
from questions_gen.training.gguf_export import write_gguf
from tests.commands.learned import CONCEPTS, PROBLEMS, TOPIC, learn
from tests.conftest import ROOT, TINY, write_tiny_mixed

MADE = ("models/export", "data/mixed")
SECONDS = 60


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A checkout whose pipeline was run and pushed to the default remote, beside it."""
    import yaml

    origin = tmp_path / "origin"
    write_gguf(learn(tmp_path / "learned"), origin / "models/export/distill/gguf/model-q8_0.gguf", "q8_0", "tiny")
    write_tiny_mixed(origin / "data/mixed")
    params = load_yaml(ROOT / "params.yaml")
    params["model"].update(TINY["model"])
    params["evaluate"]["sampling"]["max_new_tokens"] = 150
    files.write_text(origin / "params.yaml", yaml.safe_dump(params))
    files.write_text(origin / "dvc.yaml", yaml.safe_dump({"stages": {"all": {"cmd": "false", "outs": list(MADE)}}}))
    for command in ("git init -q", "dvc init -q", "dvc commit -q -f"):
        run(origin, command)
    files.write_text(origin / ".dvc/config", (ROOT / ".dvc/config").read_text())
    files.write_text(origin / "stages/check.py", (ROOT / "stages/check.py").read_text())
    run(origin, "git add -A -- :!models :!data")
    run(origin, "git -c user.name=A -c user.email=a@b commit -qm made")
    run(origin, "dvc push -q")
    return origin


def run(folder: Path, command: str) -> None:
    words = command.split()
    words = [sys.executable, "-m", *words] if words[0] == "dvc" else words
    subprocess.run(words, cwd=folder, check=True)


def test_three_commands_to_the_first_problem(origin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"dvc pull {' '.join(MADE)}\n$ questions-gen generate --topic" in (ROOT / "README.md").read_text()
    clone = origin.parent / "clone"
    run(origin.parent, f"git clone -q {origin} {clone}")
    monkeypatch.chdir(clone)
    began = time.monotonic()
    run(clone, f"dvc pull -q {' '.join(MADE)}")
    asked = ("generate", "--topic", TOPIC, "--concepts", CONCEPTS[0], "--until", "1", "--seed", "7")
    result = CliRunner().invoke(cli.app, asked)
    assert result.exit_code == 0, result.output
    assert time.monotonic() - began < SECONDS
    assert any(text.splitlines()[0] in result.stdout for text in PROBLEMS)
    assert not (clone / ".checkpoints").exists(), "nothing was trained"
