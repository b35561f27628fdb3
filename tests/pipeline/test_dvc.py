"""dvc.yaml, params.yaml and stages/ describe the same pipeline; light code stays light."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from questions_gen.imports import local_files
from questions_gen.stage import Stage
from stages.__main__ import find_stage

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
HEAVY = (
    "accelerate", "bitsandbytes", "datasets", "gguf", "huggingface_hub", "mlflow", "openai", "peft", "pyarrow",
    "tokenizers", "torch", "transformers", "trl", "unsloth", "xllamacpp",
)  # fmt: skip


def entries() -> dict[str, tuple[dict[str, Any], Stage]]:
    """Each stage as DVC sees it (its `foreach` unrolled), with the STAGE of its script."""
    found = {}
    for name, entry in PIPELINE["stages"].items():
        if "foreach" not in entry:
            found[name] = (entry, find_stage(name))
            continue
        for key, item in entry["foreach"].items():
            text = yaml.safe_dump(entry["do"]).replace("${key}", key).replace("${item}", str(item))
            found[f"{name}@{key}"] = (yaml.safe_load(text), find_stage(name, key))
    return found


ENTRIES = entries()


def outs(entry: dict[str, Any]) -> list[str]:
    listed = [*entry.get("outs", []), *entry.get("metrics", []), *entry.get("plots", [])]
    return [out if isinstance(out, str) else next(iter(out)) for out in listed]


@pytest.mark.parametrize("name", ENTRIES)
def test_dvc_tracks_what_the_stage_declares(name: str) -> None:
    entry, stage = ENTRIES[name]
    code = {path.as_posix() for path in local_files(stage.script, ROOT)}
    assert len(entry["deps"]) == len(set(entry["deps"]))
    assert set(entry["deps"]) == code | {path.as_posix() for path in stage.needs}
    assert sorted(outs(entry)) == sorted(path.as_posix() for path in [*stage.outputs.values(), stage.log])
    assert entry["cmd"] == f"python -m stages {stage.name} {stage.item or ''}".strip()
    assert stage.address == name


@pytest.mark.parametrize("name", [name for name in ENTRIES if name != "check"])
def test_dvc_tracks_the_params_that_the_stage_reads(name: str) -> None:
    entry, stage = ENTRIES[name]
    assert sorted(entry.get("params", [])) == sorted(stage.params)
    assert "run" not in stage.params


def test_check_tracks_the_whole_file() -> None:
    assert ENTRIES["check"][0]["params"] == [{"params.yaml": None}]


def test_only_report_writes_what_git_tracks() -> None:
    """An uncached out keeps its stage from being restored from a run cache."""
    for name, (entry, _) in ENTRIES.items():
        listed = [*entry.get("outs", []), *entry.get("metrics", []), *entry.get("plots", [])]
        uncached = [out for out in listed if isinstance(out, dict) and next(iter(out.values())).get("cache") is False]
        assert not uncached or name == "report"


def test_importing_stages_and_light_rooms_loads_nothing_heavy() -> None:
    light = [path for path in (ROOT / "src/questions_gen").rglob("*.py") if path.read_text().strip()]
    modules = [".".join(path.relative_to(ROOT / "src").with_suffix("").parts) for path in light]
    modules += [f"stages.{name}" for name in PIPELINE["stages"]]
    script = (
        f"import importlib, sys\nfor name in {sorted(modules)!r}:\n    importlib.import_module(name)\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": "/usr/bin:/bin"}
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert result.stdout.strip() == "[]", result.stderr


ROOMS = {
    "training": {"training", "domain", "ground"},
    "teacher": {"teacher", "domain", "ground"},
    "report": {"report", "domain", "ground"},
    "sources": {"sources", "domain", "ground"},
    "tracking": {"tracking", "domain", "ground"},
    "domain": {"domain", "ground"},
    "ground": {"ground"},
}
GROUND = {"errors", "files", "imports", "llama_server", "params", "schema", "stage"}


def room(module: str) -> str:
    """The room of a module of the package, by the first part of its name below questions_gen."""
    first = module.split(".")[1]
    if first in ("training", "teacher", "report"):
        return first
    if first in ("tracking", "mlflow_writer"):
        return "tracking"
    if first in ("cli", "commands", "doctor"):
        return "commands"
    if first in ("sources", "gguf_import", "champ"):
        return "sources"
    return "ground" if first in GROUND else "domain"


def test_nobody_imports_sideways_or_upwards() -> None:
    import ast

    for path in (ROOT / "src/questions_gen").rglob("*.py"):
        module = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        if module.endswith("__init__"):
            assert not path.read_text(), f"{path} isn't empty"
            continue
        if room(module) == "commands":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path}: a relative import"
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                assert not name.startswith("stages"), f"{path} imports {name}"
                if name.startswith("questions_gen."):
                    assert room(name) in ROOMS[room(module)], f"{path} ({room(module)}) imports {name} ({room(name)})"
