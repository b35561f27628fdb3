"""evaluate: the same prompts and seeds for the base model and each trained adapter, judged by the rewards.

New problems on every topic, without and with thinking; variations of held-out problems and of the model's own; and,
beside the base model, controls that no model wrote. Novelty is counted against the training data, so that the base
model's evaluation depends on nothing that is trained. docs/evaluation.md says what is measured.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from questions_gen import files, measures, prompts
from questions_gen.controls import controls
from questions_gen.history import History
from questions_gen.measures import MEASURES, estimate
from questions_gen.params import Count, Section, Seed
from questions_gen.rewards.combine import Judge, RewardParams, load_judge
from questions_gen.schema import Completion, Evaluated, EvaluationTest, Language, Problem, Prompt
from questions_gen.stage import Context, Log, Stage
from questions_gen.training.backend import ModelParams, load_model, load_tokenizer
from questions_gen.training.generate import SamplingParams, count_tokens, generate, supports_thinking

BASE = Path("models/base")
ADAPTERS = {
    "base": BASE / "base.json",
    "sft": Path("models/sft"),
    "grpo": Path("models/grpo"),
    "distill": Path("models/distill"),
}
"""What each evaluated model adds to the base model: nothing, or an adapter."""
NOT_SUPPORTED = "not supported"


class EvaluateParams(Section):
    prompts: Count
    """Held-out problems of each topic whose concepts are asked for, at most; three prompts of the seed come on top."""
    samples: Count
    """Completions of each prompt for a new problem: a group, which is judged as one."""
    variations: Annotated[int, Field(ge=0)]
    """Held-out problems, and problems of the model's own, that are varied in each of the three ways, once."""
    controls: Annotated[int, Field(ge=0)]
    """Held-out problems that are judged as they are, and as many fakes made of them, at most."""
    batch_size: Count
    """Completions sampled at once."""
    sampling: SamplingParams
    """Without thinking."""
    thinking: SamplingParams
    """With thinking, where the model's chat template knows it."""

    @model_validator(mode="after")
    def _both(self) -> "EvaluateParams":
        if self.sampling.thinking or not self.thinking.thinking:
            raise ValueError("sampling.thinking must be false, and thinking.thinking true: both are tested")
        return self


@dataclass(frozen=True)
class Asked:
    """A prompt with its place in the evaluation."""

    test: EvaluationTest
    cell: str
    prompt: Prompt


def new_problems(mixed: Path, count: int, language: Language) -> list[Asked]:
    """What is asked of every model first: the seed's three prompts and every topic of the data."""
    training, held_out = (files.read_records(mixed / name, Problem) for name in ("problems.jsonl", "evaluation.jsonl"))
    asked = [*prompts.seed_prompts(language), *prompts.topic_prompts(training, held_out, count, language)]
    return [Asked("new", prompt.topic or "", prompt) for prompt in asked]


def variations(test: EvaluationTest, name: str, statement: str, language: Language) -> list[Asked]:
    return [Asked(test, prompt.kind or "", prompt) for prompt in prompts.variation_prompts(name, statement, language)]


def chosen_variations(
    test: EvaluationTest,
    originals: Mapping[str, str],
    count: int,
    tokens: Callable[[Prompt], int],
    room: int,
    language: Language,
) -> tuple[list[Asked], int]:
    """The three variations of the first `count` originals (name → statement) whose prompts have at most `room` tokens;
    and how many originals before them had more."""
    chosen: list[Asked] = []
    too_long = 0
    for name, statement in originals.items():
        if len(chosen) >= 3 * count:
            break
        asked = variations(test, name, statement, language)
        if max(tokens(one.prompt) for one in asked) > room:
            too_long += 1
        else:
            chosen += asked
    return chosen, too_long


def own_problems(asked: Sequence[Asked], completions: Sequence[Completion]) -> dict[str, str]:
    """Of each prompt for a new problem the first completion with a statement: own/<prompt id> → statement.

    In an order by hash, so that the first ones are of all topics.
    """
    new = {one.prompt.id for one in asked if one.test == "new"}
    found: dict[str, str] = {}
    for completion in completions:
        if completion.prompt_id in new and completion.statement.strip():
            found.setdefault(f"own/{completion.prompt_id}", completion.statement.strip())
    return {name: found[name] for name in sorted(found, key=prompts.hash_of)}


def judged(judge: Judge, asked: Sequence[Asked], completions: Sequence[Completion], thinking: bool) -> list[Evaluated]:
    """Completions of the prompts as rows; those of one prompt are a group."""
    by_id = {one.prompt.id: one for one in asked}
    verdicts = judge.judge(completions, [one.prompt for one in asked])
    nearest = judge.nearest_known(completions)
    return [
        Evaluated(
            test=by_id[c.prompt_id].test,
            cell=by_id[c.prompt_id].cell,
            thinking=thinking,
            prompt=by_id[c.prompt_id].prompt,
            completion=c,
            verdict=verdict,
            nearest=near,
        )
        for c, verdict, near in zip(completions, verdicts, nearest, strict=True)
    ]


def judged_controls(rewards: RewardParams, mixed: Path, count: int, language: Language) -> list[Evaluated]:
    """By a judge that doesn't know the held-out problems, or each would be a copy of itself."""
    made = controls(files.read_records(mixed / "evaluation.jsonl", Problem), count)
    asked = [Asked("control", cell, prompt) for cell, prompt, _ in made]
    judge = load_judge(rewards, mixed, training_problems(mixed), ("problems.jsonl",), language=language)
    return judged(judge, asked, [completion for *_, completion in made], thinking=False)


def training_problems(mixed: Path) -> History:
    """All of them, however many the history of grpo keeps."""
    problems = files.read_records(mixed / "problems.jsonl", Problem)
    known = History(max(1, len(problems)))
    known.add(problem.statement for problem in problems)
    return known


def summarise(rows: Sequence[Evaluated]) -> dict[str, Any]:
    """Of the new problems without thinking: how many, why the gate refused, and the mean of each measure."""
    scores = measures.score(rows)
    new = [row for row in rows if row.test == "new" and not row.thinking]
    means = {name: told and told["mean"] for name, measure in MEASURES.items() if (told := estimate(scores, measure))}
    return {
        "n": len(new),
        "rows": dict(sorted(Counter(row.test for row in rows).items())),
        "gate_pass_rate": means.get("gate_pass_rate"),
        "reasons": dict(sorted(Counter(reason for row in new for reason in row.verdict.reasons).items())),
        "rewards": {name: means.get(name) for name in ("difficulty", "novelty", "rigor", "diversity")},
        **{name: means.get(name) for name in ("total", "contamination_rate", "variation_success", "tokens")},
    }


def work(
    context: Context,
    *,
    evaluate: EvaluateParams,
    rewards: RewardParams,
    language: Language,
    model: ModelParams,
    seed: int,
    base: Path,
    mixed: Path,
    adapter: Path,
    evaluation: Path,
) -> Log:
    evaluated = load_model(model, base, adapter=adapter if adapter.is_dir() else None)  # first: unsloth wants to be
    tokenizer = load_tokenizer(base)
    write = partial(generate, evaluated, tokenizer, batch_size=evaluate.batch_size, seed=seed)
    judge = load_judge(rewards, mixed, training_problems(mixed), language=language)
    choose = partial(
        chosen_variations,
        count=evaluate.variations,
        tokens=lambda prompt: count_tokens(tokenizer, prompt.messages, evaluate.sampling),
        room=model.max_length - evaluate.sampling.max_new_tokens,
        language=language,
    )

    held_out = prompts.in_hash_order(files.read_records(mixed / "evaluation.jsonl", Problem))
    new = new_problems(mixed, evaluate.prompts, language)
    varied, too_long = choose("variation", {problem.id: problem.statement for problem in held_out})
    first = [*new * evaluate.samples, *varied]
    written = write([one.prompt for one in first], evaluate.sampling)
    rows = judged(judge, [*new, *varied], written, thinking=False)

    own, own_too_long = choose("own_variation", own_problems(new, written))
    rows += judged(judge, own, write([one.prompt for one in own], evaluate.sampling), thinking=False)

    thinks = supports_thinking(tokenizer)
    if thinks:
        thought = write([one.prompt for one in new * evaluate.samples], evaluate.thinking)
        rows += judged(judge, new, thought, thinking=True)
    if not adapter.is_dir():
        rows += judged_controls(rewards, mixed, evaluate.controls, language)
    files.write_rows(evaluation / "rows.jsonl", rows)
    return Log(
        {
            **summarise(rows),
            "with_thinking": "done" if thinks else NOT_SUPPORTED,
            "originals_too_long": {"variation": too_long, "own_variation": own_too_long},
        }
    )


def stage(item: str) -> Stage:
    return Stage(
        "evaluate",
        params={
            "evaluate": EvaluateParams,
            "rewards": RewardParams,
            "language": Language,
            "model": ModelParams,
            "seed": Seed,
        },
        inputs={"base": BASE, "mixed": Path("data/mixed"), "adapter": ADAPTERS[item]},
        outputs={"evaluation": Path("data/evaluation") / item},
        work=work,
        item=item,
    )
