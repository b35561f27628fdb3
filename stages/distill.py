"""distill: the grpo adapter learns from what the teacher wrote."""

from pathlib import Path

from questions_gen import files
from questions_gen.params import Seed
from questions_gen.schema import Conversation
from questions_gen.stage import Context, Log, Stage
from questions_gen.training.backend import LoraParams, ModelParams
from questions_gen.training.sft import SupervisedParams, train


class DistillParams(SupervisedParams):
    """Supervised training on data/teacher."""


def work(
    context: Context,
    *,
    distill: DistillParams,
    model: ModelParams,
    lora: LoraParams,
    seed: int,
    base: Path,
    mixed: Path,
    start: Path,
    teacher: Path,
    adapter: Path,
) -> Log:
    return train(
        context,
        distill,
        model,
        lora,
        seed,
        base=base,
        start=start,
        rows=files.read_records(teacher / "conversations.jsonl", Conversation),
        validation=files.read_records(mixed / "validation.jsonl", Conversation),
        adapter=adapter,
    )


STAGE = Stage(
    "distill",
    params={"distill": DistillParams, "model": ModelParams, "lora": LoraParams, "seed": Seed},
    inputs={
        "base": Path("models/base"),
        "mixed": Path("data/mixed"),
        "start": Path("models/grpo"),
        "teacher": Path("data/teacher"),
    },
    outputs={"adapter": Path("models/distill")},
    work=work,
)
