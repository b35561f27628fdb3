"""grpo: the sft adapter learns from rewards. Groups of completions on one prompt, judged against one another."""

from pathlib import Path

from questions_gen import files
from questions_gen.history import History
from questions_gen.params import Seed
from questions_gen.rewards.combine import RewardParams, load_judge
from questions_gen.schema import Language, Problem
from questions_gen.stage import Context, Log, Stage
from questions_gen.training.backend import LoraParams, ModelParams
from questions_gen.training.grpo import GrpoParams, train


def work(
    context: Context,
    *,
    grpo: GrpoParams,
    rewards: RewardParams,
    language: Language,
    model: ModelParams,
    lora: LoraParams,
    seed: int,
    base: Path,
    mixed: Path,
    start: Path,
    adapter: Path,
    history: Path,
) -> Log:
    problems = files.read_records(mixed / "problems.jsonl", Problem)
    seen = History(rewards.history_size)
    seen.add(problem.statement for problem in problems)
    return train(
        context,
        grpo,
        model,
        lora,
        seed,
        base=base,
        start=start,
        problems=problems,
        judge=load_judge(rewards, mixed, seen, language=language),
        history=seen,
        adapter=adapter,
        history_out=history,
    )


STAGE = Stage(
    "grpo",
    params={
        "grpo": GrpoParams,
        "rewards": RewardParams,
        "language": Language,
        "model": ModelParams,
        "lora": LoraParams,
        "seed": Seed,
    },
    inputs={"base": Path("models/base"), "mixed": Path("data/mixed"), "start": Path("models/sft")},
    outputs={"adapter": Path("models/grpo"), "history": Path("data/history")},
    work=work,
    parallel=True,
)
