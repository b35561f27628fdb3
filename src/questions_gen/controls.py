"""Controls of an evaluation: texts that no model wrote, through the same judge. Real problems are the ceiling, fakes
made of them the floor."""

from collections.abc import Sequence

from questions_gen import fakes
from questions_gen.answers import parse_completion
from questions_gen.prompts import in_hash_order, written_problem
from questions_gen.schema import Completion, FinishReason, Message, Problem, Prompt

ASKED = (Message(role="user", content="Write a new problem for a mathematics competition."),)
"""Without the words on the form of an answer: most fakes have none, and are to be refused for what they are."""

Control = tuple[str, Prompt, Completion]
"""A cell, "real" or "fake", a prompt and what answers it."""


def controls(held_out: Sequence[Problem], count: int) -> list[Control]:
    """Up to `count` held-out problems, and a fake made of each, of all families in turn."""
    chosen = in_hash_order(held_out)[:count]
    spoilt = fakes.one_each([fakes.Real(problem.statement, problem.solution, problem.answer) for problem in chosen])
    real = [_control("real", problem, written_problem(problem.statement, problem.answer), "stop") for problem in chosen]
    return real + [_control("fake", p, fake.text, fake.finish_reason) for p, fake in zip(chosen, spoilt, strict=True)]


def _control(cell: str, problem: Problem, text: str, reason: FinishReason) -> Control:
    prompt = Prompt(id=f"{cell}-{problem.id}", task="problem", messages=ASKED)
    completion = parse_completion(
        id=f"{prompt.id}/0", prompt_id=prompt.id, text=text, finish_reason=reason, tokens=0, seed=0
    )
    return cell, prompt, completion
