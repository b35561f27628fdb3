"""Supervised training, by its effect: parameters change, the loss falls, the same seed gives the same bytes."""

import math
from pathlib import Path

import pytest

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.params import load_params
from questions_gen.schema import Conversation
from questions_gen.stage import Context, Log, NoTracker, RunParams
from questions_gen.training.backend import LoraParams, ModelParams, load_model
from questions_gen.training.sft import SupervisedParams, supervised_trainer, train

from ..conftest import tiny_conversations

STEPS = 6


class Record:
    """A tracker that keeps what it was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[int | None, dict]] = []

    def log_metrics(self, values, step=None) -> None:
        self.shown.append((step, dict(values)))

    def log_table(self, name, rows) -> None:
        raise AssertionError("supervised training has no table")


def params(**changes) -> dict:
    sections = {"sft": SupervisedParams, "model": ModelParams, "lora": LoraParams, "run": RunParams}
    loaded = load_params(sections)
    loaded["sft"] = loaded["sft"].model_copy(update={"steps": STEPS, "learning_rate": 1e-2, **changes})
    return loaded


def fit(
    workspace: Path,
    adapter: str,
    tracker=None,
    rows: list[Conversation] | None = None,
    recompute: bool = False,
    **changes,
) -> Log:
    loaded = params(**changes)
    loaded["model"] = loaded["model"].model_copy(update={"gradient_checkpointing": recompute})
    context = Context(loaded["run"], tracker or NoTracker(), workspace / "checkpoints" / adapter, workspace)
    return train(
        context,
        loaded["sft"],
        loaded["model"],
        loaded["lora"],
        7,
        base=Path("models/base"),
        start=None,
        rows=tiny_conversations(20) if rows is None else rows,
        validation=tiny_conversations(24)[20:],
        adapter=Path(adapter),
    )


def test_the_loss_falls_and_the_adapter_loads(workspace: Path) -> None:
    tracker = Record()
    log = fit(workspace, "first", tracker)
    assert log.metrics["validation_loss"] < log.metrics["validation_loss_before"]
    assert [row["step"] for row in log.steps] == list(range(1, STEPS + 1))
    assert {step for step, values in tracker.shown if "loss" in values} == set(range(1, STEPS + 1))
    model = load_model(params()["model"], Path("models/base"), adapter=Path("first"))
    moved = [p.abs().max().item() for name, p in model.named_parameters() if "lora_B" in name]
    assert len(moved) == 14  # seven projections, two layers
    assert min(moved) > 0


def test_the_same_seed_gives_the_same_bytes_with_and_without_a_tracker(workspace: Path) -> None:
    logs = [fit(workspace, "first"), fit(workspace, "second", Record())]
    assert logs[0] == logs[1]
    assert files.digest(Path("first")) == files.digest(Path("second"))
    assert sorted(path.name for path in Path("first").iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]


def test_recomputed_activations_give_the_same_adapter(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.utils.checkpoint import CheckpointFunction

    fit(workspace, "kept")
    recomputed = []
    backward = CheckpointFunction.backward
    monkeypatch.setattr(CheckpointFunction, "backward", lambda *given: recomputed.append(1) or backward(*given))
    fit(workspace, "recomputed", recompute=True)
    assert len(recomputed) == 2 * STEPS * params()["sft"].accumulation, "each of two layers, once a backward pass"
    assert files.digest(Path("kept")) == files.digest(Path("recomputed"))


def test_a_training_that_diverges_is_stopped_before_it_is_saved(workspace: Path) -> None:
    with pytest.raises(UserError, match=r"step \d: (loss|grad_norm) is (nan|inf).*learning_rate \(1e\+30\)"):
        fit(workspace, "diverged", learning_rate=1e30, checkpoint_steps=1)
    assert not Path("diverged").exists()
    for saved in (workspace / "checkpoints/diverged/supervised").glob("checkpoint-*/trainer_state.json"):
        steps = [row for row in files.read_json(saved)["log_history"] if "loss" in row]
        assert all(math.isfinite(row["loss"]) and math.isfinite(row["grad_norm"]) for row in steps)


def test_the_validation_loss_depends_on_no_batch_size(workspace: Path) -> None:
    logs = [fit(workspace, f"of-{size}", steps=1, batch_size=size, learning_rate=1e-9) for size in (1, 4)]
    assert logs[0].metrics["validation_loss"] == pytest.approx(logs[1].metrics["validation_loss"], rel=1e-6)


def test_the_prompt_is_not_trained_on(workspace: Path) -> None:
    """Another prompt of the same length changes nothing about which tokens count."""
    from transformers import AutoTokenizer

    loaded = params()
    rows = tiny_conversations(2)
    tokenizer = AutoTokenizer.from_pretrained("models/base")
    model = load_model(loaded["model"], Path("models/base"), lora=loaded["lora"], seed=7)
    trainer = supervised_trainer(
        loaded["sft"], loaded["model"], 7, model, tokenizer, rows, rows, output=workspace / "checkpoints"
    )
    for row, batch in zip(rows, trainer.get_eval_dataloader(), strict=True):
        (labels,) = batch["labels"]
        assert tokenizer.decode(labels[labels != -100]) == f"{row.messages[-1].content}<|im_end|>\n"


def test_rows_that_are_too_long_are_counted_and_nothing_left_is_an_error(workspace: Path) -> None:
    rows = tiny_conversations(3)
    long = rows[0].model_copy(
        update={"messages": (rows[0].messages[0], rows[0].messages[1].model_copy(update={"content": "x" * 999}))}
    )
    log = fit(workspace, "first", rows=[*rows, long], steps=1)
    assert (log.metrics["rows"], log.metrics["too_long"]) == (3, 1)
    with pytest.raises(UserError, match=r"0 of 1 rows .* fit into model\.max_length = 320"):
        fit(workspace, "second", rows=[long])
