"""The stage export, whole: from a tiny adapter to files that load, twice with the same bytes."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.params import ParamsError, load_yaml, parse_params
from questions_gen.stage import run
from questions_gen.training.export import write_formats
from stages import export
from stages.export import STAGE, ExportParams
from tests.training.tiny_models import write_adapter, write_base

ROOT = Path(__file__).resolve().parents[2]
EXPORTED = Path("models/export")
SOURCES = [
    {
        "group": "model", "name": "base", "kind": "package", "from": {"package": "tiny", "path": "tiny.gguf"},
        "schema": None, "licence": "Apache-2.0", "version": "1.0", "revision": None, "rows": None, "sha256": None,
    },
]  # fmt: skip


MIX = {
    "sources": {}, "tasks": {"problem": 24}, "dropped": {"near_duplicate": 1}, "rows": {"train": 20, "validation": 4},
}  # fmt: skip
ALL = ["safetensors", "safetensors-nf4", "gguf-f16", "gguf-q8_0", "gguf-q4_k_m"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    base = write_base(root / "base", "llama")
    for seed, stage in enumerate(("sft", "grpo", "distill")):
        write_adapter(root / stage, base, seed=seed)
    return root


@pytest.fixture
def checkout(workspace: Path, trained: Path) -> Path:
    shutil.rmtree("models/base")
    shutil.copytree(trained, "models", dirs_exist_ok=True)
    files.write_json(Path("data/raw/manifest.json"), {"sources": SOURCES})
    files.write_json(Path("logs/mix.json"), {"input_hash": "0", "metrics": MIX, "steps": []})
    numbers = {"validation_loss": 2.1, "gate_pass_rate": 0.5, "teacher_overall": None}
    estimates = {"gate_pass_rate": {"mean": 0.5, "low": 0.25, "high": 0.75, "n": 24, "prompts": 12}, "balance": None}
    models = ("base", "sft", "grpo", "distill")
    files.write_json(Path("metrics/summary.json"), {"models": dict.fromkeys(models, numbers), "stages": {}})
    files.write_json(Path("metrics/intervals.json"), {"models": dict.fromkeys(models, {"measures": estimates})})
    return workspace


def set_export(**values: object) -> None:
    values = {"models": ["distill"], "smoke_tokens": 8, **values}
    Path("params.yaml").write_text(yaml.safe_dump({**load_yaml(Path("params.yaml")), "export": values}))


def test_it_writes_checked_files_and_the_same_bytes_again(checkout, trained):
    set_export(formats=ALL)
    run(STAGE)
    folder = EXPORTED / "distill"
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} >= {
        "README.md", "checks.json", "adapter/adapter_model.safetensors", "adapter/adapter_config.json",
        "merged/model.safetensors", "merged/config.json", "merged/tokenizer.json", "merged/chat_template.jinja",
        "merged-nf4/model.safetensors", "merged-nf4/config.json", "merged-nf4/tokenizer.json",
        "gguf/model-f16.gguf", "gguf/model-q8_0.gguf", "gguf/model-q4_k_m.gguf",
        "gguf/Modelfile-f16", "gguf/Modelfile-q8_0", "gguf/Modelfile-q4_k_m",
    }  # fmt: skip
    found = files.read_json(folder / "checks.json")
    assert set(found["formats"]) == {"adapter", *ALL}
    assert found["smoke"]["text"]
    assert files.read_json(STAGE.log)["metrics"] == {"distill": found["formats"]}
    sampling = load_yaml(Path("params.yaml"))["propose"]["sampling"]
    assert f"PARAMETER top_k {sampling['top_k']}\n" in (folder / "gguf/Modelfile-q8_0").read_text()
    card = (folder / "README.md").read_text()
    for row in ("| distill.learning_rate |", "| validation_loss | 2.1 |", "| gate_pass_rate | 0.5 (0.25 to 0.75) |"):
        assert row in card
    assert "| near_duplicate | 1 |" in (EXPORTED / "dataset.md").read_text()
    texts = [
        path for path in EXPORTED.rglob("*") if path.suffix in (".md", ".json") or path.stem.startswith("Modelfile")
    ]
    written = b"".join(path.read_bytes() for path in texts)
    assert str(trained).encode() not in written
    assert str(checkout).encode() not in written
    before = files.digest(EXPORTED), files.digest(STAGE.log)
    run(STAGE)
    assert (files.digest(EXPORTED), files.digest(STAGE.log)) == before


@pytest.mark.parametrize(
    ("models", "formats", "kept", "smoke"),
    [
        (["distill", "sft"], ["safetensors"], {"merged"}, False),
        (["grpo"], ["gguf-q8_0"], {"gguf"}, True),
        (["grpo"], ["safetensors-nf4"], {"merged-nf4"}, False),
    ],
)
def test_it_keeps_only_the_models_and_formats_that_were_asked_for(checkout, models, formats, kept, smoke):
    set_export(models=models, formats=formats)
    run(STAGE)
    assert {path.name for path in EXPORTED.iterdir() if path.is_dir()} == set(models)
    for model in models:
        folder = EXPORTED / model
        assert {path.name for path in folder.iterdir() if path.is_dir()} == kept | {"adapter"}
        assert (files.read_json(folder / "checks.json")["smoke"] is not None) == smoke
        weights = (folder / "adapter/adapter_model.safetensors", Path("models") / model / "adapter_model.safetensors")
        assert files.digest(weights[0]) == files.digest(weights[1])
        card = (folder / "README.md").read_text()
        assert ("grpo.steps" in card, "distill.steps" in card) == (model != "sft", model == "distill")


def test_a_failed_export_leaves_the_old_one(checkout):
    set_export(formats=["safetensors"])
    files.write_text(EXPORTED / "README.md", "the old one")
    path = Path("models/distill/adapter_model.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="not a whole safetensors file"):
        run(STAGE)
    assert [file.name for file in EXPORTED.iterdir()] == ["README.md"]


def test_an_export_whose_check_fails_fails_the_stage(checkout, monkeypatch):
    def corrupting(formats, params, base, adapter, exported):
        write_formats(formats, params, base, adapter, exported)
        path = exported / "gguf/model-q8_0.gguf"
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))

    set_export(formats=["gguf-q8_0"])
    monkeypatch.setattr(export, "write_formats", corrupting)
    with pytest.raises(UserError, match=r"gguf-q8_0 isn't the model .* \(at least 95%\)"):
        run(STAGE)
    assert not EXPORTED.exists()
    assert not STAGE.log.exists()


def test_artifacts_are_got_by_name_and_version(tmp_path, monkeypatch):
    """The artifacts that dvc.yaml declares, from a checkout whose Git tags mark their versions."""
    from dvc.repo import Repo
    from dvc.repo.artifacts import Artifacts

    pipeline = load_yaml(ROOT / "dvc.yaml")
    named = pipeline["artifacts"]
    assert {name: artifact["path"] for name, artifact in named.items()} == {
        name: f"models/{name}" for name in ("sft", "grpo", "distill", "export")
    }
    assert all(artifact["path"] in pipeline["stages"][name]["outs"] for name, artifact in named.items())
    source = tmp_path / "source"
    source.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))  # nothing of the user's settings
    git(source, "init", "-q")
    repo = Repo.init(str(source))
    files.write_text(source / "dvc.yaml", yaml.safe_dump({"artifacts": named}))
    for version in ("v1.0.0", "v1.1.0"):
        for artifact in named.values():
            files.write_text(source / artifact["path"] / "weights", version)
        repo.add([str(source / artifact["path"]) for artifact in named.values()])
        git(source, "add", "-A")
        git(source, "commit", "-qm", version)
        for name in named:
            git(source, "tag", "-am", "a tag that has no message of its own isn't found", f"{name}@{version}")
    monkeypatch.chdir(tmp_path)
    for name in named:
        Artifacts.get(str(source), name, version="v1.0.0", out=f"{name}-old")
        assert Path(f"{name}-old/weights").read_text() == "v1.0.0"
    Artifacts.get(str(source), "distill", out="newest")
    assert Path("newest/weights").read_text() == "v1.1.0"


def git(folder: Path, *arguments: str) -> None:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    subprocess.run(command, cwd=folder, check=True)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"formats": []}, "export.formats:"),
        ({"formats": ["gguf-q5"]}, "export.formats.0:"),
        ({"formats": ["gguf-f16", "gguf-f16"]}, "formats: one stands twice"),
        ({"models": []}, "export.models:"),
        ({"models": ["base"]}, "export.models.0:"),
        ({"models": ["sft", "sft"]}, "models: one stands twice"),
        ({"smoke_tokens": 0}, "export.smoke_tokens:"),
        ({"smoke_token": 8}, "did you mean 'smoke_tokens'?"),
    ],
)
def test_wrong_params_are_named(values, problem):
    values = {"models": ["distill"], "formats": ["gguf-f16"], "smoke_tokens": 8, **values}
    with pytest.raises(ParamsError, match="export") as error:
        parse_params({"export": values}, {"export": ExportParams})
    assert problem in str(error.value)
