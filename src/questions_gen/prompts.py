"""What the student is asked: one function a task, and the one form of a written problem.

The same words are used in training, in sampling and in evaluation. No prompt has a system turn: the base model's
chat template adds its own where it has one.
"""

import hashlib
from collections.abc import Sequence
from typing import get_args

from questions_gen.schema import Message, Problem, Prompt, VariationKind

FORM = r"State the problem only, and end with a line `Answer: \boxed{...}` unless it asks for a proof."
"""Ends every prompt whose answer is a problem."""

VARIATIONS: dict[VariationKind, str] = {
    "context_change": "Change context: move the problem to another mathematical setting that keeps its key idea.",
    "parameter_change": "Change parameters: choose other numbers and conditions, and keep the structure.",
    "practical_application": "Change to an application: ask the same in a real situation.",
}
assert set(VARIATIONS) == set(get_args(VariationKind))


def problem_messages(topic: str | None, concepts: Sequence[str] = ()) -> tuple[Message, ...]:
    """Ask for a new problem; what isn't known (no topic, no concepts) is left out."""
    parts = ["Write a new problem for a mathematics competition."]
    if topic:
        parts.append(f"Topic: {topic}")
    if concepts:
        parts.append(f"Concepts: {'; '.join(concepts)}")
    return _ask(*parts, FORM)


def solve_messages(statement: str) -> tuple[Message, ...]:
    return _ask(r"Solve the problem step by step, and put the final answer in \boxed{...}.", f"Problem: {statement}")


def variation_messages(kind: VariationKind, statement: str) -> tuple[Message, ...]:
    return _ask(VARIATIONS[kind], f"Problem: {statement}", FORM)


def innovation_messages(statement: str, neighbours: Sequence[str]) -> tuple[Message, ...]:
    """Ask for a problem with another key idea than `statement` and the statements that are nearest to it."""
    near = [f"Similar problem: {neighbour}" for neighbour in neighbours]
    task = "Innovate: write a new problem of the same topic that is solved by another key idea than these."
    return _ask(task, f"Problem: {statement}", *near, FORM)


def improve_messages(statement: str, feedback: str | None) -> tuple[Message, ...]:
    told = [f"Feedback: {feedback}"] if feedback else []
    return _ask(f"Improve: {statement}", *told, FORM)


def problem_target(problem: Problem) -> str:
    """The statement and a final line `Answer: \\boxed{…}`; no such line for a problem without an answer (a proof).

    It holds no thinking: chat templates delete what stands before `</think>`, so a statement must not.
    """
    return written_problem(problem.statement, problem.answer)


def written_problem(statement: str, answer: str | None) -> str:
    if answer is None:
        return statement.strip()
    return f"{statement.strip()}\nAnswer: \\boxed{{{' '.join(answer.split())}}}"


SEED_PROMPTS = (
    ("calculus", "Generate a calculus competition problem:"),
    ("algebra", "Create an algebra problem:"),
    ("geometry", "Design a geometry proof:"),
)
"""Topic and words of the three tests by inference of the document that the project starts from."""


def seed_prompts() -> list[Prompt]:
    return [
        Prompt(id=f"seed-{topic}", task="problem", messages=_ask(words, FORM), topic=topic)
        for topic, words in SEED_PROMPTS
    ]


def topic_prompts(training: Sequence[Problem], held_out: Sequence[Problem], count: int) -> list[Prompt]:
    """Prompts for a new problem of every topic of the data, in order of their names.

    For each topic the concepts of up to `count` held-out problems; which ones goes by a hash of their ids, so that the
    order of the problems doesn't matter. A topic without held-out problems is asked for by its name alone.
    """
    asked = []
    for topic in sorted({problem.topic for problem in (*training, *held_out) if problem.topic}):
        own = in_hash_order([problem for problem in held_out if problem.topic == topic])[:count]
        named = [(f"held-out-{problem.id}", problem.concepts) for problem in own] or [(f"topic-{topic}", ())]
        asked += [
            Prompt(id=name, task="problem", messages=problem_messages(topic, concepts), topic=topic, concepts=concepts)
            for name, concepts in named
        ]
    return asked


def in_hash_order(problems: Sequence[Problem]) -> list[Problem]:
    """An order that only the ids decide."""
    return sorted(problems, key=lambda problem: (hashlib.sha256(problem.id.encode()).hexdigest(), problem.id))


def variation_prompts(name: str, original: str) -> list[Prompt]:
    """One prompt for each kind of variation of a statement."""
    return [
        Prompt(
            id=f"{name}/{kind}",
            task="variation",
            messages=variation_messages(kind, original),
            original=original,
            kind=kind,
        )
        for kind in VARIATIONS
    ]


def _ask(*parts: str) -> tuple[Message, ...]:
    return (Message(role="user", content="\n".join(parts)),)
