"""Preference training, by its effect: the chosen answers become likelier than the rejected ones."""

import shutil
import time
from pathlib import Path

import pytest
import yaml

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.params import load_params, load_yaml
from questions_gen.schema import Message, Preference
from questions_gen.stage import Context, Log, NoTracker, RunParams
from questions_gen.training import dpo, sft
from questions_gen.training.backend import LoraParams, ModelParams
from questions_gen.training.sft import SupervisedParams

from ..conftest import tiny_conversations, tiny_problems
from ..forked import Forked

STEPS = 4


def pairs(count: int) -> list[Preference]:
    return [
        Preference(
            id=problem.id,
            messages=(Message(role="user", content="Write a problem."),),
            chosen=f"{problem.statement}\nAnswer: \\boxed{{{problem.answer}}}",
            rejected=f"A number is {problem.answer}.",
            chosen_total=0.7,
            rejected_total=0.0,
        )
        for problem in tiny_problems(count)
    ]


def first_adapter(workspace: Path) -> Path:
    """An adapter that isn't zero, so that the reference differs from the base model."""
    loaded = load_params({"sft": SupervisedParams, "model": ModelParams, "lora": LoraParams, "run": RunParams})
    training = loaded["sft"].model_copy(update={"steps": 2, "learning_rate": 1e-2})
    context = Context(loaded["run"], NoTracker(), workspace / "checkpoints/start", workspace)
    rows = tiny_conversations(8)
    start = Path("models/grpo")
    sft.train(
        context, training, loaded["model"], loaded["lora"], 7,
        base=Path("models/base"), start=None, rows=rows, validation=rows, adapter=start,
    )  # fmt: skip
    return start


def fit(workspace: Path, adapter: str, data: list[Preference], start: Path, **changes) -> Log:
    loaded = load_params({"sft": SupervisedParams, "model": ModelParams, "lora": LoraParams, "run": RunParams})
    training = loaded["sft"].model_copy(update={"steps": STEPS, "learning_rate": 1e-2, **changes})
    context = Context(loaded["run"], NoTracker(), workspace / "checkpoints" / adapter, workspace)
    return dpo.train(
        context, training, 0.1, loaded["model"], loaded["lora"], 7,
        base=Path("models/base"), start=start, pairs=data, validation=tiny_conversations(4), adapter=Path(adapter),
    )  # fmt: skip


def test_the_chosen_becomes_likelier_than_the_rejected_and_the_bytes_repeat(workspace: Path) -> None:
    start = first_adapter(workspace)
    log = fit(workspace, "first", pairs(8), start)
    assert log.steps[0]["loss"] == pytest.approx(0.6931, abs=1e-3), "log 2: it starts as its own reference"
    assert log.steps[-1]["loss"] < log.steps[0]["loss"]
    assert log.steps[-1]["accuracy"] == 1.0
    assert log.steps[-1]["margin"] > 0
    assert log.metrics["rows"] == 8
    assert log.metrics["validation_loss"] != log.metrics["validation_loss_before"]
    assert sorted(path.name for path in Path("first").iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert fit(workspace, "second", pairs(8), start) == log
    assert files.digest(Path("first")) == files.digest(Path("second"))


def test_pairs_that_are_too_long_are_counted_and_nothing_left_is_an_error(workspace: Path) -> None:
    start = first_adapter(workspace)
    long = pairs(1)[0].model_copy(update={"rejected": "x" * 999})
    assert fit(workspace, "first", [*pairs(3), long], start, steps=1).metrics["too_long"] == 1
    with pytest.raises(UserError, match=r"0 of 1 pairs"):
        fit(workspace, "second", [long], start)


def write_lessons(folder: Path) -> None:
    """What teach would have left."""
    files.write_rows(folder / "conversations.jsonl", tiny_conversations(3))
    files.write_rows(folder / "preferences.jsonl", pairs(6))
    files.write_rows(folder / "dropped.jsonl", [{"id": "c9/improve", "reason": "not_better"}])


def set_params(**values: object) -> None:
    params = load_yaml(Path("params.yaml"))
    params["distill"].update(values)
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def test_the_stage_trains_by_either_objective_and_goes_on_after_kill(workspace: Path) -> None:
    first_adapter(workspace)
    write_lessons(Path("data/teacher"))
    set_params(objective="dpo", replay_share=0.0, minimum_pairs=6)
    Forked("distill").finish()
    expected = files.digest(Path("models/distill"))
    log = files.read_json(Path("logs/distill.json"))
    assert {"step", "loss", "accuracy", "margin"} <= set(log["steps"][0])

    shutil.rmtree(".checkpoints")
    shutil.rmtree("models/distill")
    process = Forked("distill")
    while not list(Path(".checkpoints").rglob("checkpoint-2/complete.json")):
        assert process.poll() is None, process.output.read_text()
        time.sleep(0.005)
    process.kill()
    Forked("distill").finish()
    assert files.digest(Path("models/distill")) == expected

    set_params(objective="sft", replay_share=0.5, minimum_pairs=3)
    Forked("distill").finish()
    log = files.read_json(Path("logs/distill.json"))
    assert (log["metrics"]["rows"], log["metrics"]["replayed"]) == (6, 3)
    assert files.digest(Path("models/distill")) != expected

    set_params(minimum_pairs=4)
    process = Forked("distill")
    assert process.wait() != 0
    said = process.output.read_text()
    assert "distill.minimum_pairs: 4, but the teacher left 3 for objective sft (dropped: not_better 1)" in said
