"""Fakes made from real problems: each family spoils a problem in one way that a reward must not pay.

They are the floor of an evaluation, and of `make bench-rewards`.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from questions_gen.schema import FinishReason

_OPENERS = (
    "Sure! Here's a challenging problem for you:\n\n{}",
    "Here is a problem that combines algebra and geometry:\n{}\nLet me know if you would like a hint!",
    "{}\n\nI hope this helps! Let me know if you want another problem.",
    "User: give me a problem\nAssistant: {}",
)
_REQUESTS = (
    "Write a challenging problem about {}.",
    "Create a new competition problem for students on the topic of {}.",
    "Can you give me an olympiad question about {}?",
    "Please generate three exercises about {} with solutions.",
)
_REFUSALS = (
    "I'm sorry, but I can't create a problem about {}.",
    "As an AI language model, I cannot generate a problem on {}.",
    "Unfortunately I am unable to help with {}, as I do not have enough information.",
)
_PRAISE = (
    "This is a beautiful and deep problem about {} that tests rigorous reasoning.",
    "{} is one of the most important areas of mathematics, with many applications.",
    "The study of {} goes back to the ancient Greeks and is still an active field.",
    "To master {}, one needs to practise many problems and to know the main theorems.",
)
_TOPICS = (
    "prime numbers",
    "polynomials",
    "triangles and circles",
    "combinatorics",
    "inequalities",
    "sequences",
    "probability",
    "functions",
)
_ASKING = r"\b(?:find|determine|compute|calculate|evaluate|prove|show|solve|how many|how much|what|express|which)\b"
_GRAND = (
    "theorem lemma proof integral derivative polynomial matrix eigenvalue topology prime modular optimization "
    "convergence bijection complex geometric inequality limit"
).split()


class Real(NamedTuple):
    statement: str
    solution: str | None
    answer: str | None


class Fake(NamedTuple):
    family: str
    text: str
    finish_reason: FinishReason


def make(reals: Sequence[Real], seed: int = 0) -> list[Fake]:
    """One of each family that applies, for each problem."""
    return [fake for made in _made(reals, seed) for fake in made]


def one_each(reals: Sequence[Real], seed: int = 0) -> list[Fake]:
    """One for each problem, of the families in turn."""
    return [made[number % len(made)] for number, made in enumerate(_made(reals, seed))]


def _made(reals: Sequence[Real], seed: int) -> Iterator[list[Fake]]:
    draw = random.Random(seed)
    for number, real in enumerate(reals):
        other = reals[(number * 7 + 3) % len(reals)]
        texts = [(family, spoil(real, other, draw)) for family, spoil in FAMILIES.items()]
        yield [
            Fake(family, text, "length" if family == "cut off by the limit" else "stop")
            for family, text in texts
            if text is not None
        ]


def _shuffled(real: Real, other: Real, draw: random.Random) -> str | None:
    words = real.statement.split()
    if len(words) < 12:
        return None
    draw.shuffle(words)
    return " ".join(words)


def _truncated(real: Real, other: Real, draw: random.Random) -> str | None:
    words = real.statement.split()
    return " ".join(words[: len(words) // 2]) if len(words) >= 16 else None


def _unasked(real: Real, other: Real, draw: random.Random) -> str | None:
    """The problem without the sentences that ask."""
    sentences = re.split(r"(?<=[.?!])\s+", real.statement.strip())
    kept = [s for s in sentences if "?" not in s and not re.search(_ASKING, s, re.IGNORECASE)]
    return " ".join(kept) if len(kept) >= 2 and len(kept) < len(sentences) else None


def _solved(real: Real, other: Real, draw: random.Random) -> str | None:
    return f"{real.statement}\n\n{real.solution}" if real.solution and len(real.solution) > 60 else None


def _solution(real: Real, other: Real, draw: random.Random) -> str | None:
    return real.solution if real.solution and len(real.solution) > 60 else None


def _answered(real: Real, other: Real, draw: random.Random) -> str | None:
    form = draw.choice(("{} The answer is {}.", "{}\nAnswer: {}", "{} (Answer: {})", "{}\n\nFinal answer: {}"))
    return form.format(real.statement, real.answer) if real.answer else None


def _stuffed(real: Real, other: Real, draw: random.Random) -> str:
    return " ".join(draw.sample(_GRAND, 12))


def _stuffed_sentence(real: Real, other: Real, draw: random.Random) -> str:
    return f"Prove the {' '.join(draw.sample(_GRAND, 8))} for all {' '.join(draw.sample(_GRAND, 6))}."


def _unbalanced(real: Real, other: Real, draw: random.Random) -> str | None:
    places = [match.start() for match in re.finditer(r"[{}]|(?<!\\)\$(?!\d)", real.statement)]
    if "\\" not in real.statement or not places:
        return None
    place = draw.choice(places)
    return real.statement[:place] + real.statement[place + 1 :]


FAMILIES: dict[str, Callable[[Real, Real, random.Random], str | None]] = {
    "shuffled words": _shuffled,
    "cut in the middle": _truncated,
    "cut off by the limit": lambda real, other, draw: real.statement,
    "asks nothing": _unasked,
    "problem and solution": _solved,
    "solution alone": _solution,
    "answer beside it": _answered,
    "two problems": lambda real, other, draw: f"{real.statement}\n\n{other.statement}",
    "numbered problems": lambda real, other, draw: f"1. {real.statement}\n2. {other.statement}",
    "chat around it": lambda real, other, draw: draw.choice(_OPENERS).format(real.statement),
    "a request": lambda real, other, draw: draw.choice(_REQUESTS).format(draw.choice(_TOPICS)),
    "a refusal": lambda real, other, draw: draw.choice(_REFUSALS).format(draw.choice(_TOPICS)),
    "praise": lambda real, other, draw: draw.choice(_PRAISE).format(draw.choice(_TOPICS)),
    "keywords": _stuffed,
    "keywords in a sentence": _stuffed_sentence,
    "said twice": lambda real, other, draw: f"{real.statement} {real.statement}",
    "stuck in a loop": lambda real, other, draw: real.statement[:60] + " of the sum" * 12,
    "LaTeX broken": _unbalanced,
    "hidden characters": lambda real, other, draw: real.statement[:10] + "\u202e" + real.statement[10:],
    "trivial": lambda real, other, draw: f"What is {draw.randint(1, 9)} + {draw.randint(1, 9)}?",
    "choices missing": lambda real, other, draw: f"{real.statement} Which of the following is correct?",
}
