"""sft: the base model learns to write problems. A new LoRA adapter on the mixed conversations."""

from pathlib import Path

from questions_gen import files
from questions_gen.params import Seed
from questions_gen.schema import Conversation
from questions_gen.stage import Context, Log, Stage
from questions_gen.training.backend import LoraParams, ModelParams
from questions_gen.training.sft import SupervisedParams, train


class SftParams(SupervisedParams):
    """Supervised training on data/mixed."""


def work(
    context: Context,
    *,
    sft: SftParams,
    model: ModelParams,
    lora: LoraParams,
    seed: int,
    base: Path,
    mixed: Path,
    adapter: Path,
) -> Log:
    return train(
        context,
        sft,
        model,
        lora,
        seed,
        base=base,
        start=None,
        rows=files.read_records(mixed / "train.jsonl", Conversation),
        validation=files.read_records(mixed / "validation.jsonl", Conversation),
        adapter=adapter,
    )


STAGE = Stage(
    "sft",
    params={"sft": SftParams, "model": ModelParams, "lora": LoraParams, "seed": Seed},
    inputs={"base": Path("models/base"), "mixed": Path("data/mixed")},
    outputs={"adapter": Path("models/sft")},
    work=work,
    parallel=True,
)
