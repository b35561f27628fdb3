"""propose: the student writes the problems that the teacher will work on. Sampled once, kept as data."""

import random
from collections.abc import Sequence
from pathlib import Path

from questions_gen import files, prompts
from questions_gen.params import Count, Section, Seed
from questions_gen.schema import Language, Problem, Prompt
from questions_gen.stage import Context, Log, Stage
from questions_gen.training.backend import ModelParams, load_model, load_tokenizer
from questions_gen.training.generate import SamplingParams, generate


class ProposeParams(Section):
    problems: Count
    batch_size: Count
    """Completions sampled at once."""
    sampling: SamplingParams


def draw_prompts(problems: Sequence[Problem], count: int, seed: int, language: Language) -> list[Prompt]:
    """`count` prompts for new problems, with topics and concepts drawn from the training problems."""
    draw = random.Random(seed)
    drawn = [draw.choice(problems) for _ in range(count)]
    return [
        Prompt(
            id=f"propose-{number:05d}",
            task="problem",
            messages=prompts.problem_messages(problem.topic, problem.concepts, language),
            topic=problem.topic,
            concepts=problem.concepts,
        )
        for number, problem in enumerate(drawn)
    ]


def work(
    context: Context,
    *,
    propose: ProposeParams,
    language: Language,
    model: ModelParams,
    seed: int,
    base: Path,
    mixed: Path,
    adapter: Path,
    proposals: Path,
) -> Log:
    asked = draw_prompts(files.read_records(mixed / "problems.jsonl", Problem), propose.problems, seed, language)
    student = load_model(model, base, adapter=adapter)
    completions = generate(
        student, load_tokenizer(base), asked, propose.sampling, batch_size=propose.batch_size, seed=seed
    )
    files.write_rows(proposals / "prompts.jsonl", asked)
    files.write_rows(proposals / "completions.jsonl", completions)
    cut_off = sum(completion.finish_reason == "length" for completion in completions)
    return Log({"n": len(completions), "cut_off": cut_off, "tokens": sum(c.tokens for c in completions)})


STAGE = Stage(
    "propose",
    params={"propose": ProposeParams, "language": Language, "model": ModelParams, "seed": Seed},
    inputs={"base": Path("models/base"), "mixed": Path("data/mixed"), "adapter": Path("models/grpo")},
    outputs={"proposals": Path("data/proposals")},
    work=work,
)
