"""The path of the real run, whole: profile qwen3-tiny by `dvc repro`, against a Hub and a teacher on loopback.

A model and two data sets in the real schemas come from the Hub, the weights are nf4, the optimizer has 8 bits, the
chat template thinks and the teacher takes json_object: everything that qwen3-14b does but for the GPU.
"""

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from questions_gen import files
from questions_gen.champ import champ_rows
from questions_gen.profiles import set_value
from tests import fake_hub
from tests.conftest import ROOT
from tests.fake_hub import TOKEN, FakeHub
from tests.fake_teacher import FakeTeacher, good_answer
from tests.fork_server import Server
from tests.qwen import write_qwen
from tests.test_sources import parquet

hub = fake_hub.hub  # the fixture

KEY = "sk-of-the-real-path"
MODEL, PROBLEMS, CHAT = "qwen3-tiny", "OpenMathReasoning-mini", "FineTome-100k"


def openmathreasoning_rows() -> list[dict[str, str]]:
    """Problems of CHAMP in the columns of unsloth/OpenMathReasoning-mini, all of them text."""
    path = metadata.distribution("champ-dataset").locate_file("champ_dataset/dataset_files/v0.json")
    rows = champ_rows(json.loads(Path(str(path)).read_text()))
    return [
        {
            "expected_answer": row["answer"].replace("$", ""),
            "problem_type": "has_answer_extracted",
            "problem_source": "aops_c4_high_school_math",
            "generation_model": "DeepSeek-R1",
            "pass_rate_72b_tir": "n/a" if number % 4 == 0 else str(number % 32 / 32),
            "problem": row["problem"],
            "generated_solution": f"<think>\nFirst look at it.\n</think>\n\n{' '.join(row['solution_steps'])}"[:400],
            "inference_mode": "cot",
        }
        for number, row in enumerate(rows)
        if len(row["problem"]) < 200
    ][:80]


def finetome_rows() -> list[dict]:
    rows = files.read_rows(ROOT / "data/sources/dialogues.jsonl")
    return [{"conversations": row["conversations"], "source": "infini-instruct", "score": 5.1} for row in rows[:40]]


def likes_its_own(body: dict) -> str:
    """The teacher's answers, but for a comparison: it prefers its improvement, wherever that stands."""
    if not body["messages"][0]["content"].startswith("You compare"):
        return good_answer(body)
    better = "first" if body["messages"][-1]["content"].startswith("First: How many integers") else "second"
    return json.dumps({"feedback": "It asks for something.", "better": better})


def fill(hub: FakeHub, folder: Path) -> dict[str, str]:
    """Put the model and the data sets on the Hub, some of them gated; repository → commit."""
    model = {path.name: path.read_bytes() for path in write_qwen(folder, dtype="bfloat16").iterdir()}
    del model["base.json"]
    problems = {"data/cot-00000-of-00001.parquet": parquet(openmathreasoning_rows())}
    chat = {"data/train-00000-of-00001.parquet": parquet(finetome_rows())}
    return {
        MODEL: hub.put("model", f"questions-gen/{MODEL}", model, gated=True),
        PROBLEMS: hub.put("dataset", f"questions-gen/{PROBLEMS}", problems),
        CHAT: hub.put("dataset", f"questions-gen/{CHAT}", chat, gated=True),
    }


def checkout(root: Path, teacher: str) -> None:
    for name in ("stages", "src", "data/sources", "data/reviews"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copyfile(ROOT / "dvc.yaml", root / "dvc.yaml")
    params = (ROOT / "conf/qwen3-tiny.yaml").read_text()
    for change in (f"run.teacher.base_url={teacher}", "run.tracking.enabled=false"):
        params = set_value(params, change)
    (root / "params.yaml").write_text(params)


def dvc(*arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def played(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """The pipeline has run in the current folder."""
    root = tmp_path / "checkout"
    commits = fill(hub, tmp_path / "model")
    for name, value in {"HF_TOKEN": TOKEN, "DEEPSEEK_API_KEY": KEY, "DVC_NO_ANALYTICS": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    with FakeTeacher(answer=likes_its_own) as teacher, Server(tmp_path / "bin", dict(os.environ)):
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        checkout(root, teacher.base_url)
        monkeypatch.chdir(root)
        dvc("init", "--no-scm", "--quiet")
        output = dvc("repro")
    return {"commits": commits, "teacher": teacher, "output": output}


def test_every_stage_of_the_real_path_runs_on_a_cpu(played: dict, hub: FakeHub) -> None:
    commits, teacher = played["commits"], played["teacher"]
    stages = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
    assert dvc("status").strip() == "Data and pipelines are up to date."
    locked = yaml.safe_load(Path("dvc.lock").read_text())["stages"]
    assert {name.partition("@")[0] for name in locked} == set(stages)

    # the Hub's, at the commits that they had
    pointer = files.read_json(Path("models/base/base.json"))
    assert pointer == {"kind": "hub", "repo_id": f"questions-gen/{MODEL}", "revision": commits[MODEL]}
    manifest = files.read_json(Path("data/raw/manifest.json"))["sources"]
    revisions = {entry["from"].get("repo_id"): entry["revision"] for entry in manifest if entry["kind"] == "hub"}
    assert revisions == {f"questions-gen/{name}": commit for name, commit in commits.items()}

    # adapters: as the profile says, of the repository and not of a folder, and every stage changes them
    adapters = [Path("models", name) for name in ("sft", "grpo", "distill")]
    for adapter in adapters:
        config = files.read_json(adapter / "adapter_config.json")
        assert (config["r"], config["base_model_name_or_path"]) == (32, f"questions-gen/{MODEL}")
    weights = [files.digest(adapter / "adapter_model.safetensors") for adapter in adapters]
    assert len({weights[0], weights[2]}) == 2

    # a template that thinks: it is asked both ways, and solutions keep their thinking
    rows = files.read_rows(Path("data/evaluation/sft/rows.jsonl"))
    assert {row["thinking"] for row in rows} == {True, False}
    train = files.read_rows(Path("data/mixed/train.jsonl"))
    assert {row["task"] for row in train} == {"problem", "solve", "chat"}
    assert all(("</think>" in row["messages"][-1]["content"]) == (row["task"] == "solve") for row in train)

    # the teacher: json_object, its key in the header alone
    assert {body["response_format"]["type"] for body in teacher.bodies} == {"json_object"}
    assert {body["model"] for body in teacher.bodies} == {"deepseek-v4-pro"}
    assert teacher.keys == {KEY}
    assert {request.token for request in hub.requests if "resolve" in request.path} == {TOKEN}
    written = [path for path in Path().rglob("*") if path.is_file()]
    assert [path for path in written if any(secret.encode() in path.read_bytes() for secret in (KEY, TOKEN))] == []
    assert KEY not in played["output"]

    # what came of it
    taught = files.read_json(Path("logs/teach.json"))["metrics"]
    assert taught["preferences"] >= 4, taught["dropped"]
    assert taught["conversations"] >= 2 * taught["preferences"]
    summary = files.read_json(Path("metrics/summary.json"))
    assert set(summary["models"]) == {"base", "sft", "grpo", "distill"}
    exported = {path.name for path in Path("models/export/distill").iterdir()}
    assert {"adapter", "merged", "merged-nf4", "gguf", "README.md", "checks.json"} <= exported
