"""evaluate: the same prompts and seeds for the base model and each trained adapter, judged by the rewards.

The prompts are the topics and concepts of held-out problems. Novelty is counted against the training data, so
that the base model's evaluation depends on nothing that is trained.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from questions_gen import files, prompts
from questions_gen.history import History
from questions_gen.params import Count, Section, Seed
from questions_gen.rewards.combine import RewardParams, load_judge
from questions_gen.schema import Completion, Problem, Verdict
from questions_gen.stage import Context, Log, Stage
from questions_gen.training.backend import ModelParams, load_model, load_tokenizer
from questions_gen.training.generate import SamplingParams, generate

BASE = Path("models/base")
ADAPTERS = {
    "base": BASE / "base.json",
    "sft": Path("models/sft"),
    "grpo": Path("models/grpo"),
    "distill": Path("models/distill"),
}
"""What each evaluated model adds to the base model: nothing, or an adapter."""


class EvaluateParams(Section):
    prompts: Count
    samples: Count
    """Completions of each prompt: a group, which is judged as one."""
    batch_size: Count
    """Completions sampled at once."""
    sampling: SamplingParams


def summarise(completions: Sequence[Completion], verdicts: Sequence[Verdict], limit: float) -> dict:
    """Rates and means over all completions; a reward's mean is over those that were judged, null without any.

    Contaminated is a problem that is a copy of a known one (8-gram containment, novelty.py) or nearer to one than
    the similarity `limit`.
    """
    names = sorted({name for verdict in verdicts for name in verdict.rewards})
    judged = {name: [v.rewards[name] for v in verdicts if v.rewards.get(name) is not None] for name in names}
    reasons = Counter(reason for verdict in verdicts for reason in verdict.reasons)
    statements = [c.statement for c in completions if c.statement]
    return {
        "n": len(completions),
        "gate_pass_rate": fmean(v.passed for v in verdicts),
        "reasons": dict(sorted(reasons.items())),
        "rewards": {name: fmean(values) if values else None for name, values in judged.items()},
        "total": fmean(v.total for v in verdicts),
        "novelty_training": fmean(1 - v.similarity for v in verdicts),
        "copies": reasons["copy"],
        "contamination_rate": fmean("copy" in v.reasons or v.known_similarity > limit for v in verdicts),
        "repeats": len(statements) - len(set(statements)),
        "tokens": fmean(c.tokens for c in completions),
    }


def work(
    context: Context,
    *,
    evaluate: EvaluateParams,
    rewards: RewardParams,
    model: ModelParams,
    seed: int,
    base: Path,
    mixed: Path,
    adapter: Path,
    evaluation: Path,
) -> Log:
    asked = prompts.held_out_prompts(files.read_records(mixed / "evaluation.jsonl", Problem), evaluate.prompts)
    known = History(rewards.history_size)
    known.add(problem.statement for problem in files.read_records(mixed / "problems.jsonl", Problem))
    judged_model = load_model(model, base, adapter=adapter if adapter.is_dir() else None)
    completions = generate(
        judged_model,
        load_tokenizer(base),
        asked * evaluate.samples,
        evaluate.sampling,
        batch_size=evaluate.batch_size,
        seed=seed,
    )
    verdicts = load_judge(rewards, mixed, known).judge(completions, asked)
    files.write_rows(evaluation / "prompts.jsonl", asked)
    files.write_rows(evaluation / "completions.jsonl", completions)
    files.write_rows(evaluation / "verdicts.jsonl", verdicts)
    return Log(summarise(completions, verdicts, rewards.similarity_limit))


def stage(item: str) -> Stage:
    return Stage(
        "evaluate",
        params={"evaluate": EvaluateParams, "rewards": RewardParams, "model": ModelParams, "seed": Seed},
        inputs={"base": BASE, "mixed": Path("data/mixed"), "adapter": ADAPTERS[item]},
        outputs={"evaluation": Path("data/evaluation") / item},
        work=work,
        item=item,
    )
