"""distill: the grpo adapter learns from what the teacher wrote, by imitation (sft) or by preference (dpo)."""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.params import Count, Positive, Seed
from questions_gen.schema import Conversation, Preference
from questions_gen.stage import Context, Log, Stage
from questions_gen.training import dpo, sft
from questions_gen.training.backend import LoraParams, ModelParams
from questions_gen.training.sft import SupervisedParams


class DistillParams(SupervisedParams):
    objective: Literal["sft", "dpo"]
    """sft: imitate the teacher's problems · dpo: prefer its improvements to the student's own (Rafailov, 2023)."""
    beta: Positive
    """dpo: how strongly the student is held to where it starts."""
    replay_share: Annotated[float, Field(ge=0, lt=1)]
    """sft: share of all rows that comes from data/mixed again, against forgetting."""
    minimum_pairs: Count
    """Pairs of data/teacher below which nothing is trained: a prompt with an answer, or with a better and a worse."""

    @model_validator(mode="after")
    def _no_replay_of_preferences(self) -> "DistillParams":
        if self.objective == "dpo" and self.replay_share > 0:
            raise ValueError("replay_share must be 0 with objective: dpo, since the mix has no preferences")
        return self


def replay(mixed: Sequence[Conversation], kept: int, share: float, seed: int) -> list[Conversation]:
    """int(kept × share / (1 − share)) rows of the mix, or all if there are fewer."""
    wanted = int(kept * share / (1 - share))
    return random.Random(seed).sample(mixed, min(wanted, len(mixed)))


def check_enough(pairs: Sequence[object], teacher: Path, distill: DistillParams) -> None:
    """Raises UserError, with the reasons for what was dropped, if there are too few pairs."""
    if len(pairs) >= distill.minimum_pairs:
        return
    dropped = Counter(row["reason"] for row in files.read_rows(teacher / "dropped.jsonl"))
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(dropped.items())) or "nothing"
    raise UserError(
        f"distill.minimum_pairs: {distill.minimum_pairs}, but the teacher left {len(pairs)} for objective "
        f"{distill.objective} (dropped: {reasons}); ask about more problems (propose.problems), ask a better teacher "
        "(teacher.model), lower teach.margin, or lower this"
    )


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
    validation = files.read_records(mixed / "validation.jsonl", Conversation)
    where = {"base": base, "start": start, "adapter": adapter, "validation": validation}
    if distill.objective == "dpo":
        pairs = files.read_records(teacher / "preferences.jsonl", Preference)
        check_enough(pairs, teacher, distill)
        return dpo.train(context, distill, distill.beta, model, lora, seed, pairs=pairs, **where)
    rows = files.read_records(teacher / "conversations.jsonl", Conversation)
    check_enough(rows, teacher, distill)
    replayed = replay(files.read_records(mixed / "train.jsonl", Conversation), len(rows), distill.replay_share, seed)
    log = sft.train(context, distill, model, lora, seed, rows=[*rows, *replayed], **where)
    return Log({**log.metrics, "replayed": len(replayed)}, log.steps)


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
    parallel=True,
)
