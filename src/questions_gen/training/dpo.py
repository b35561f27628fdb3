"""Direct preference optimisation of an adapter, with TRL: the objective dpo of the stage distill.

The reference is the adapter that the training starts from, which TRL keeps as a second, frozen one.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from questions_gen.errors import UserError
from questions_gen.schema import Conversation, Message, Preference
from questions_gen.stage import Context, Log
from questions_gen.training.backend import (
    LoraParams,
    ModelParams,
    check_fields,
    free_memory,
    load_model,
    load_tokenizer,
    load_weights,
    save_trained,
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
from questions_gen.training.processes import agreed
from questions_gen.training.sft import (
    STEP_KEYS,
    SupervisedParams,
    fitting,
    supervised_trainer,
    thinking_of,
    trainer_arguments,
    training_order,
)

REFERENCE = "ref"
"""TRL's name for the frozen adapter."""


def train(
    context: Context,
    training: SupervisedParams,
    beta: float,
    model_params: ModelParams,
    lora: LoraParams,
    seed: int,
    *,
    base: Path,
    start: Path,
    pairs: Sequence[Preference],
    validation: Sequence[Conversation],
    adapter: Path,
) -> Log:
    """Go on from the adapter at `start`, and write the new one to `adapter`.

    The log has one row a step, with the share of pairs whose chosen answer has the higher implicit reward (accuracy)
    and the mean difference (margin), and the mean loss (nats a token) on `validation` before and after, as in sft.
    Raises UserError when no pair is left to train on, or no row to validate with.
    """
    use_backend(model_params)
    kept = fitting_pairs(base, pairs, model_params.max_length)
    checked, _ = fitting(base, validation, model_params.max_length)
    if not kept or not checked:
        raise UserError(
            f"nothing to train on: {len(kept)} of {len(pairs)} pairs and {len(checked)} of {len(validation)} "
            f"validation rows fit into model.max_length = {model_params.max_length} tokens; raise it or check the data"
        )
    output = context.checkpoints / "dpo"

    def validation_loss(weights: Path) -> float:
        model = load_model(model_params, base, adapter=weights, lora=lora, seed=seed)
        trainer = supervised_trainer(
            training, model_params, seed, model, load_tokenizer(base), checked, checked, output=output
        )
        loss = trainer.evaluate()["eval_loss"]
        del trainer, model
        free_memory()
        return loss

    before = validation_loss(start)
    model = load_model(model_params, base, adapter=start, lora=lora, seed=seed)
    callbacks = [checkpoint_callback(_forget_reference), tracking_callback(context.tracker)]
    trainer = preference_trainer(
        training, beta, model_params, seed, model, load_tokenizer(base), kept, output=output, callbacks=callbacks
    )
    resume = last_complete(output)
    if resume and checkpoint_step(resume) == training.steps:
        load_weights(trainer.model, resume)  # the trainer itself would go on beyond the last step
    else:
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    trainer.model.delete_adapter(REFERENCE)
    save_trained(trainer, adapter)
    del trainer, model
    free_memory()
    steps = logged_steps(output / f"checkpoint-{training.steps}", "loss", DPO_KEYS)
    metrics = {
        "rows": len(kept),
        "too_long": len(pairs) - len(kept),
        "validation_rows": len(checked),
        "validation_loss_before": before,
        "validation_loss": validation_loss(agreed(lambda: adapter)),  # the one that was written
        "train_loss": sum(row["loss"] for row in steps) / len(steps),
    }
    return Log(metrics, steps)


DPO_KEYS = {**STEP_KEYS, "rewards/accuracies": "accuracy", "rewards/margins": "margin"}


def _forget_reference(checkpoint: Path) -> None:
    """Leave the trained adapter alone in a checkpoint: beside a second one, transformers doesn't load it again."""
    shutil.rmtree(checkpoint / REFERENCE)


def preference_trainer(
    training: SupervisedParams,
    beta: float,
    model_params: ModelParams,
    seed: int,
    model: Any,
    tokenizer: Any,
    pairs: Sequence[Preference],
    *,
    output: Path,
    callbacks: Sequence[Any] = (),
) -> Any:
    """TRL's trainer for `pairs`; its checkpoints lie below `output`."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    fields = {
        **trainer_arguments(training, model_params, seed, output),
        "beta": beta,
        "loss_type": ["sigmoid"],
        "precompute_ref_log_probs": False,
    }
    trainer = DPOTrainer(
        model=model,
        args=DPOConfig(**fields),
        train_dataset=Dataset.from_list([_row(pair) for pair in training_order(training, pairs, seed)]),
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )
    check_fields(trainer.args, fields)
    return trainer


def fitting_pairs(base: Path, pairs: Sequence[Preference], limit: int) -> list[Preference]:
    """The pairs both of whose answers fit into `limit` tokens, each with its prompt."""
    chosen = token_lengths(base, [_conversation(pair, pair.chosen) for pair in pairs])
    rejected = token_lengths(base, [_conversation(pair, pair.rejected) for pair in pairs])
    return [pair for pair, *lengths in zip(pairs, chosen, rejected, strict=True) if max(lengths) <= limit]


def _conversation(pair: Preference, answer: str) -> Conversation:
    messages = (*pair.messages, Message(role="assistant", content=answer))
    return Conversation(id=pair.id, task="problem", messages=messages, source_id=pair.id)


def _row(pair: Preference) -> dict[str, Any]:
    return {
        "prompt": [message.model_dump() for message in pair.messages],
        "chosen": [{"role": "assistant", "content": pair.chosen}],
        "rejected": [{"role": "assistant", "content": pair.rejected}],
        "chat_template_kwargs": thinking_of(pair.chosen, pair.rejected),
    }
