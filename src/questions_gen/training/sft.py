"""Supervised fine-tuning of an adapter on conversations, with TRL: the stages sft and distill.

The loss counts the last assistant message alone. Rows over `model.max_length` tokens are dropped and counted,
never cut.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from questions_gen.errors import UserError
from questions_gen.params import Count, Positive, Section
from questions_gen.schema import Conversation
from questions_gen.stage import Context, Log
from questions_gen.training.backend import (
    LoraParams,
    ModelParams,
    check_fields,
    load_model,
    load_tokenizer,
    load_weights,
    runtime_arguments,
    save_trained,
    supervised_length,
    supervised_loss,
    use_backend,
)
from questions_gen.training.checkpoints import (
    checkpoint_callback,
    checkpoint_step,
    last_complete,
    logged_steps,
    tracking_callback,
)
from questions_gen.training.lengths import token_lengths
from questions_gen.training.processes import in_order, share_of_batch

T = TypeVar("T")
Optimizer = Literal["adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit"]


class SupervisedParams(Section):
    steps: Count
    """Optimizer steps."""
    batch_size: Count
    """Conversations a device and forward pass."""
    accumulation: Count
    """Forward passes an optimizer step: the effective batch is batch_size × accumulation."""
    learning_rate: Positive
    warmup_steps: Annotated[int, Field(ge=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup"]
    optimizer: Optimizer
    checkpoint_steps: Count
    """Optimizer steps between checkpoints."""


def train(
    context: Context,
    training: SupervisedParams,
    model_params: ModelParams,
    lora: LoraParams,
    seed: int,
    *,
    base: Path,
    start: Path | None,
    rows: Sequence[Conversation],
    validation: Sequence[Conversation],
    adapter: Path,
) -> Log:
    """Train a new adapter, or go on from the one at `start`, and write it to `adapter`.

    The log has one row a step and the mean loss on `validation` before and after: nats a token, each conversation
    counting as one.
    Raises UserError when no row is left to train on or to validate with.
    """
    use_backend(model_params)
    kept, too_long = fitting(base, rows, model_params.max_length)
    checked, _ = fitting(base, validation, model_params.max_length)
    if not kept or not checked:
        raise UserError(
            f"nothing to train on: {len(kept)} of {len(rows)} rows and {len(checked)} of {len(validation)} validation "
            f"rows fit into model.max_length = {model_params.max_length} tokens; raise it or check the data"
        )
    output = context.checkpoints / "supervised"
    trainer = supervised_trainer(
        training,
        model_params,
        seed,
        load_model(model_params, base, adapter=start, lora=lora, seed=seed),
        load_tokenizer(base),
        kept,
        checked,
        output=output,
        callbacks=[checkpoint_callback(), tracking_callback(context.tracker)],
    )
    resume = last_complete(output)
    if resume and checkpoint_step(resume) == training.steps:
        load_weights(trainer.model, resume)  # the trainer itself would go on beyond the last step
    else:
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    after = trainer.evaluate()["eval_loss"]
    save_trained(trainer, adapter)
    last = output / f"checkpoint-{training.steps}"
    steps = logged_steps(last, "loss", STEP_KEYS)
    metrics = {
        "rows": len(kept),
        "too_long": too_long,
        "validation_rows": len(checked),
        "validation_loss_before": logged_steps(last, "eval_loss", {"eval_loss": "loss"})[0]["loss"],
        "validation_loss": after,
        "train_loss": sum(row["loss"] for row in steps) / len(steps),
    }
    return Log(metrics, steps)


STEP_KEYS = {name: name for name in ("step", "loss", "learning_rate", "grad_norm")}


def trainer_arguments(training: SupervisedParams, model_params: ModelParams, seed: int, output: Path) -> dict[str, Any]:
    """Fields for any of TRL's trainers that go through a data set."""
    rows = training.batch_size * training.accumulation
    batch_size, accumulation = share_of_batch(rows, training.batch_size, "batch_size × accumulation")
    return {
        **runtime_arguments(model_params, seed, output),
        "max_steps": training.steps,
        "per_device_train_batch_size": batch_size,
        "train_sampling_strategy": "sequential",  # the rows come in their order
        "per_device_eval_batch_size": 1,  # the mean of conversations, whatever the batch: the trainer averages batches
        "gradient_accumulation_steps": accumulation,
        "learning_rate": training.learning_rate,
        "warmup_steps": training.warmup_steps,
        "weight_decay": training.weight_decay,
        "lr_scheduler_type": training.scheduler,
        "optim": training.optimizer,
        "max_length": supervised_length(model_params),
        "padding_free": False,
        "save_steps": training.checkpoint_steps,
    }


def supervised_trainer(
    training: SupervisedParams,
    model_params: ModelParams,
    seed: int,
    model: Any,
    tokenizer: Any,
    rows: Sequence[Conversation],
    validation: Sequence[Conversation] = (),
    *,
    output: Path,
    callbacks: Sequence[Any] = (),
) -> Any:
    """TRL's trainer for `rows`; its checkpoints lie below `output`."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    fields = {
        **trainer_arguments(training, model_params, seed, output),
        # not by trainer.evaluate(): a model that was evaluated first is trained without its gradients being averaged
        "eval_on_start": bool(validation),
        "packing": False,
        "completion_only_loss": True,
        "loss_type": supervised_loss(model_params),
    }
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**fields),
        train_dataset=Dataset.from_list([_prompt_completion(row) for row in training_order(training, rows, seed)]),
        eval_dataset=Dataset.from_list([_prompt_completion(row) for row in validation]) if validation else None,
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )
    check_fields(trainer.args, fields)
    return trainer


def training_order(training: SupervisedParams, rows: Sequence[T], seed: int) -> list[T]:
    """All rows of all steps, one after the other: the same for any number of processes."""
    return in_order(rows, training.steps * training.batch_size * training.accumulation, seed)


def fitting(base: Path, rows: Sequence[Conversation], limit: int) -> tuple[list[Conversation], int]:
    """The rows of at most `limit` tokens, and how many are longer."""
    lengths = token_lengths(base, rows)
    kept = [row for row, length in zip(rows, lengths, strict=True) if length <= limit]
    return kept, len(rows) - len(kept)


def _prompt_completion(row: Conversation) -> dict[str, Any]:
    messages = [message.model_dump() for message in row.messages]
    return {
        "prompt": messages[:-1],
        "completion": messages[-1:],
        "chat_template_kwargs": thinking_of(row.messages[-1].content),
    }


def thinking_of(*targets: str) -> dict[str, bool]:
    """What Qwen3's chat template is told, so that the prompt ends where the targets begin; others don't look at it.

    Without thinking the template puts an empty block of it before the answer: that is part of the prompt then.
    """
    return {"enable_thinking": any("</think>" in target for target in targets)}
