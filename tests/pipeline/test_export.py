"""The stage export, whole: from a tiny adapter to files that load, twice with the same bytes."""

import shutil
from pathlib import Path

import pytest
import yaml

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.params import ParamsError, load_yaml, parse_params
from questions_gen.stage import run
from stages.export import STAGE, ExportParams
from tests.training.tiny_models import write_adapter, write_base

EXPORTED = Path("models/export")
SOURCES = [
    {
        "group": "model", "name": "base", "kind": "package", "from": {"package": "tiny", "path": "tiny.gguf"},
        "schema": None, "licence": "Apache-2.0", "version": "1.0", "revision": None, "rows": None, "sha256": None,
    },
]  # fmt: skip


@pytest.fixture(scope="module", params=["llama", "qwen3"])
def trained(request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp(request.param)
    write_adapter(root / "distill", write_base(root / "base", request.param))
    return root


@pytest.fixture
def checkout(workspace: Path, trained: Path) -> Path:
    shutil.rmtree("models/base")
    shutil.copytree(trained, "models", dirs_exist_ok=True)
    files.write_json(Path("data/raw/manifest.json"), {"sources": SOURCES})
    numbers = {"gate_pass_rate": 0.5, "teacher_overall": None}
    files.write_json(Path("metrics/summary.json"), {"models": {"base": numbers, "distill": numbers}, "stages": {}})
    set_export(formats=["safetensors", "gguf-f16", "gguf-q8_0"], smoke_tokens=8)
    return workspace


def set_export(**values: object) -> None:
    Path("params.yaml").write_text(yaml.safe_dump({**load_yaml(Path("params.yaml")), "export": values}))


def test_it_writes_checked_files_and_the_same_bytes_again(checkout, trained):
    run(STAGE)
    assert {path.relative_to(EXPORTED).as_posix() for path in EXPORTED.rglob("*") if path.is_file()} >= {
        "README.md", "checks.json", "adapter/adapter_model.safetensors", "adapter/adapter_config.json",
        "merged/model.safetensors", "merged/config.json", "merged/tokenizer.json", "merged/chat_template.jinja",
        "gguf/model-f16.gguf", "gguf/model-q8_0.gguf",
    }  # fmt: skip
    found = files.read_json(EXPORTED / "checks.json")
    assert set(found["formats"]) == {"safetensors", "gguf-f16", "gguf-q8_0"}
    assert found["smoke"]["text"]
    assert files.read_json(STAGE.log)["metrics"] == found["formats"]
    written = b"".join(path.read_bytes() for path in (EXPORTED / "README.md", EXPORTED / "checks.json"))
    assert str(trained).encode() not in written
    assert str(checkout).encode() not in written
    before = files.digest(EXPORTED), files.digest(STAGE.log)
    run(STAGE)
    assert (files.digest(EXPORTED), files.digest(STAGE.log)) == before


@pytest.mark.parametrize(
    ("formats", "kept", "smoke"), [(["safetensors"], {"merged"}, False), (["gguf-q8_0"], {"gguf"}, True)]
)
def test_it_keeps_only_the_formats_that_were_asked_for(checkout, formats, kept, smoke):
    set_export(formats=formats, smoke_tokens=8)
    run(STAGE)
    assert {path.name for path in EXPORTED.iterdir() if path.is_dir()} == kept | {"adapter"}
    assert (files.read_json(EXPORTED / "checks.json")["smoke"] is not None) == smoke


def test_a_failed_export_leaves_the_old_one(checkout):
    files.write_text(EXPORTED / "README.md", "the old one")
    path = Path("models/distill/adapter_model.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="not a whole safetensors file"):
        run(STAGE)
    assert [file.name for file in EXPORTED.iterdir()] == ["README.md"]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"formats": [], "smoke_tokens": 8}, "export.formats:"),
        ({"formats": ["gguf-q5"], "smoke_tokens": 8}, "export.formats.0:"),
        ({"formats": ["gguf-f16", "gguf-f16"], "smoke_tokens": 8}, "one stands twice"),
        ({"formats": ["gguf-f16"], "smoke_tokens": 0}, "export.smoke_tokens:"),
        ({"formats": ["gguf-f16"], "smoke_token": 8}, "did you mean 'smoke_tokens'?"),
    ],
)
def test_wrong_params_are_named(values, problem):
    with pytest.raises(ParamsError, match="export") as error:
        parse_params({"export": values}, {"export": ExportParams})
    assert problem in str(error.value)
