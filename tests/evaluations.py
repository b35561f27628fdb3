"""Rows of an evaluation, made of texts by the real judge: nothing is sampled, and no score is typed in."""

import random
from collections.abc import Mapping, Sequence
from functools import lru_cache

from questions_gen import prompts
from questions_gen.answers import parse_completion
from questions_gen.rewards.combine import Judge
from questions_gen.schema import Evaluated
from stages.evaluate import Asked, judged, variations
from tests.conftest import tiny_problems
from tests.rewards.judges import judge

TOPICS = ("algebra", "combinatorics", "geometry", "number theory", "polynomial")
GOOD = (
    "Solve the equation $x^2 - {1} x + {0} = {2}$ for real $x$, and find the sum of the squares of its roots.",
    "How many subsets of the set of integers from 1 to {0} have exactly {1} elements, of which none is above {2}?",
    "In a right triangle the legs are {0} and {1}. Find the radius of the circle that passes through its vertices.",
    "Find all primes $p$ such that $p^2 + {0}$ divides ${1} p + {2}$.",
    "Find the sum of the squares of the real roots of the polynomial $x^3 - {2} x^2 + {0} x - {1}$.",
)
"""A form for each of TOPICS."""
WORDS = "theorem of if the lemma matrix prime which and topology modulo is are circle because seven limit".split()


def problems(prompts_: Sequence[str], samples: int, seed: int = 0) -> dict[str, list[str]]:
    """Good problems: prompt id → texts, another one for each sample. Some are cut off, as a model's are."""
    draw = random.Random(seed)
    texts = {}
    for place, name in enumerate(prompts_):
        numbers = [[draw.randint(3, 9), draw.randint(11, 29), draw.randint(40, 99)] for _ in range(samples)]
        texts[name] = [f"{GOOD[place % 5].format(*n)}\nAnswer: \\boxed{{{n[0]}}}" for n in numbers]
        if place % 4 == 3:
            texts[name][-1] = texts[name][-1][:30]
    return texts


def gibberish(prompts_: Sequence[str], samples: int, seed: int = 1) -> dict[str, list[str]]:
    """What an adapter with random weights writes: words without a question."""
    draw = random.Random(seed)
    return {name: [" ".join(draw.choices(WORDS, k=30)) for _ in range(samples)] for name in prompts_}


def asked_prompts(count: int) -> list[Asked]:
    """`count` prompts for new problems, and three variations each of two held-out problems."""
    made = tiny_problems(24)[20:]
    new = [
        Asked("new", topic, prompt.model_copy(update={"id": f"new-{number:02d}"}))
        for number in range(count)
        for topic in (TOPICS[number % 5],)
        for prompt in prompts.topic_prompts([made[0].model_copy(update={"topic": topic})], [], 1)
    ]
    return new + [one for problem in made[:2] for one in variations("variation", problem.id, problem.statement, "en")]


def names(asked: Sequence[Asked]) -> list[str]:
    return [one.prompt.id for one in asked]


@lru_cache(maxsize=1)
def the_judge() -> Judge:
    statements = [problem.statement for problem in tiny_problems(24)]
    return judge(history=statements[:20], known=statements)


def evaluated(asked: Sequence[Asked], texts: Mapping[str, Sequence[str]], *, thinking: bool = False) -> list[Evaluated]:
    """The rows of one model that answered each prompt with its `texts`."""
    completions = [
        parse_completion(
            id=f"{name}/{'thinking/' if thinking else ''}{number}",
            prompt_id=name,
            text=text,
            finish_reason="stop" if "boxed" in text else "length",
            tokens=len(text.split()),
            seed=0,
        )
        for name in names(asked)
        for number, text in enumerate(texts[name])
    ]
    return judged(the_judge(), asked, completions, thinking)
