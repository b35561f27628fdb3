"""The whole stage fetch, in a checkout of its own: a package, the Hub and a file in; data/raw and models/base out."""

import hashlib
import re
import shutil
from pathlib import Path

import pytest
import yaml

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.params import load_yaml
from questions_gen.stage import CHECKED, run
from stages.fetch import STAGE
from tests import fake_hub
from tests.conftest import ROOT
from tests.fake_hub import FakeHub
from tests.test_sources import ROWS, parquet
from tests.tiny_gguf import install, write_gguf

hub = fake_hub.hub  # the fixture

TALK = [{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}], "id": "1"}]


def shared(name: str, schema: str, **values: str | None) -> dict:
    return {"name": name, "schema": schema, "licence": "MIT", **values}


FETCH = {
    "model": {"kind": "package", "package": "tiny-model", "path": "tiny_model/tiny.gguf", "licence": "Apache-2.0"},
    "problems": [
        shared("packed", "openmathreasoning", kind="package", package="tiny-rows", path="tiny_rows/rows.parquet"),
        shared("online", "problems", kind="hub", repo_id="org/rows", config=None, split="train", revision="main"),
    ],
    "chat": [shared("talk", "sharegpt", kind="file", path="data/sources/dialogues.jsonl")],
    "evaluation_sets": [
        {"name": "held", "kind": "held_out", "source": "packed", "rows": 4},
        {"name": "held-too", "kind": "held_out", "source": "packed", "rows": 3},
        shared("apart", "problems", kind="file", path="apart.jsonl"),
    ],
}


@pytest.fixture
def checkout(tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> Path:
    root, site = tmp_path / "checkout", tmp_path / "site"
    for name in ("stages", "src"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    monkeypatch.chdir(root)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.syspath_prepend(site)
    install(site, "tiny-rows", "1.0", {"rows.parquet": parquet(ROWS)})
    write_gguf(install(site, "tiny-model", "2.5", {}) / "tiny.gguf")
    hub.put("dataset", "org/rows", {"data/train.parquet": parquet([{"statement": "What is $1$?", "source": "s"}])})
    hub.put("model", "org/model", {"config.json": b"{}"})
    files.write_text(CHECKED, "params.yaml is valid\n")
    files.write_rows(Path("data/sources/dialogues.jsonl"), TALK)
    files.write_rows(Path("apart.jsonl"), [{"statement": "What is $2$?"}])
    write_params(FETCH)
    return root


def write_params(fetch: dict, seed: int = 1) -> None:
    params = {"fetch": fetch, "seed": seed, "run": load_yaml(ROOT / "params.yaml")["run"]}
    files.write_text(Path("params.yaml"), yaml.safe_dump(params))


def rows(path: str) -> list[dict]:
    return files.read_rows(Path("data/raw") / path)


@pytest.mark.usefixtures("checkout")
def test_everything_is_there_and_the_manifest_says_what(hub: FakeHub) -> None:
    run(STAGE)
    assert rows("chat/talk.jsonl") == TALK
    assert rows("evaluation/apart.jsonl") == [{"statement": "What is $2$?"}]
    assert rows("problems/online.jsonl") == [{"statement": "What is $1$?", "source": "s"}]
    groups = [rows(f"{name}.jsonl") for name in ("evaluation/held", "evaluation/held-too", "problems/packed")]
    assert [len(group) for group in groups] == [4, 3, 5]
    assert sorted((row for group in groups for row in group), key=lambda row: row["n"]) == ROWS, "each row once"

    manifest = files.read_json(Path("data/raw/manifest.json"))["sources"]
    assert [(entry["group"], entry["name"], entry["kind"], entry["rows"]) for entry in manifest] == [
        ("chat", "talk", "file", 1),
        ("evaluation", "apart", "file", 1),
        ("evaluation", "held", "held_out", 4),
        ("evaluation", "held-too", "held_out", 3),
        ("model", "base", "package", None),
        ("problems", "online", "hub", 1),
        ("problems", "packed", "package", 5),
    ]
    by_name = {entry["name"]: entry for entry in manifest}
    assert by_name["online"]["revision"] == hub.repos["dataset", "org/rows"].refs["main"]
    assert (by_name["packed"]["version"], by_name["base"]["version"]) == ("1.0", "2.5")
    for entry in manifest:
        made = Path(f"data/raw/{entry['group']}/{entry['name']}.jsonl")
        made = Path("models/base/model.safetensors") if entry["group"] == "model" else made
        assert entry["sha256"] == hashlib.sha256(made.read_bytes()).hexdigest()
        assert entry["licence"]
    assert files.read_json(Path("models/base/base.json")) == {"kind": "local"}
    assert files.read_json(Path("logs/fetch.json"))["metrics"]["rows"]["problems/packed"] == 5


@pytest.mark.usefixtures("checkout")
def test_a_second_run_makes_the_same_bytes_and_a_seed_holds_out_others(checkout: Path) -> None:
    run(STAGE)
    made = [files.digest(Path(path)) for path in ("data/raw", "models/base", "logs/fetch.json")]
    run(STAGE)
    assert [files.digest(Path(path)) for path in ("data/raw", "models/base", "logs/fetch.json")] == made
    held = rows("evaluation/held.jsonl")
    write_params(FETCH, seed=2)
    run(STAGE)
    assert rows("evaluation/held.jsonl") != held
    texts = [path.read_text() for path in Path("data/raw").rglob("*") if path.is_file()]
    assert not any(str(checkout.parent) in text for text in texts)


@pytest.mark.usefixtures("checkout")
def test_a_hub_model_is_a_pointer(hub: FakeHub) -> None:
    write_params({**FETCH, "model": {"kind": "hub", "repo_id": "org/model", "revision": "main", "licence": "MIT"}})
    run(STAGE)
    commit = hub.repos["model", "org/model"].refs["main"]
    assert [path.name for path in Path("models/base").iterdir()] == ["base.json"]
    assert files.read_json(Path("models/base/base.json")) == {"kind": "hub", "repo_id": "org/model", "revision": commit}
    assert re.fullmatch("[0-9a-f]{40}", commit)
    model = [e for e in files.read_json(Path("data/raw/manifest.json"))["sources"] if e["group"] == "model"]
    assert [(e["from"], e["revision"]) for e in model] == [({"repo_id": "org/model"}, commit)]


@pytest.mark.usefixtures("checkout")
def test_a_failure_leaves_the_last_good_outputs() -> None:
    run(STAGE)
    made = [files.digest(Path(path)) for path in ("data/raw", "models/base")]
    files.write_text(Path("data/sources/dialogues.jsonl"), '{"conversations": [\n')
    with pytest.raises(UserError, match=r"^fetch\.chat\.0\.path: \S+dialogues\.jsonl, line 1: not valid JSON"):
        run(STAGE)
    assert [files.digest(Path(path)) for path in ("data/raw", "models/base")] == made
    assert not Path(".staging/fetch").exists()
