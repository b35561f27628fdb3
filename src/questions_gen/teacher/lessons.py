"""From the teacher's answers to what the student learns: conversations that end with a problem of the teacher's.

For each proposal of the student: the teacher evaluates it, and improves it by its own feedback; where asked, it
writes the three variations too. An improvement makes two conversations: improve this problem; and the prompt that
the student had answered, so that it learns to write the better problem directly.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, get_args

from questions_gen import prompts
from questions_gen.answers import boxed, split_answer
from questions_gen.problem import normalise, problem_id
from questions_gen.rewards.gate import reasons_against
from questions_gen.schema import Completion, Conversation, Message, Problem, Prompt, Task, VariationKind
from questions_gen.teacher.answers import Evaluation, WrittenProblem
from questions_gen.teacher.client import Dropped
from questions_gen.teacher.prompts import EXAMPLE_PROBLEMS

KINDS: tuple[VariationKind, ...] = get_args(VariationKind)

BROKEN = frozenset(
    ("empty", "cut_off", "too_long", "control_characters", "wrong_language", "markup", "repetition", "refusal")
)
"""Reasons of the gate that drop a problem of the teacher's; its other reasons are counted."""


class Asker(Protocol):
    """A teacher.session.Teacher."""

    def evaluate(self, statement: str) -> Awaitable[Evaluation]: ...
    def improve(self, statement: str, feedback: str) -> Awaitable[WrittenProblem]: ...
    def vary(self, kind: VariationKind, statement: str) -> Awaitable[WrittenProblem]: ...


@dataclass(frozen=True)
class Proposal:
    """A problem of the student's, and the prompt that it answers."""

    prompt: Prompt
    completion: Completion
    variations: bool
    """Whether the teacher varies it too."""


@dataclass
class Lesson:
    """What came of one proposal."""

    problem_id: str
    evaluation: Evaluation | None = None
    conversations: list[Conversation] = field(default_factory=list)
    dropped: list[dict[str, str]] = field(default_factory=list)
    """Rows {"id", "reason"}; the id says of which question."""
    verdicts: list[tuple[str, ...]] = field(default_factory=list)
    """The gate's reasons against each problem of the teacher's that was kept; empty: it passed."""

    def drop(self, question: str, reason: str) -> None:
        self.dropped.append({"id": f"{self.problem_id}/{question}", "reason": reason})


def select(
    prompted: Sequence[Prompt], completions: Sequence[Completion], every: int
) -> tuple[list[Proposal], list[Lesson]]:
    """The proposals to teach from, each `every`-th with variations, and lessons that are dropped at once.

    A proposal needs a statement, and one that no earlier proposal has. Raises KeyError for an unknown prompt.
    """
    asked = {prompt.id: prompt for prompt in prompted}
    seen: set[str] = set()
    proposals, refused = [], []
    for completion in completions:
        statement = normalise(completion.statement)
        if not statement or statement in seen:
            lesson = Lesson(completion.id)
            lesson.drop("proposal", "repeats_a_proposal" if statement else "no_statement")
            refused.append(lesson)
            continue
        seen.add(statement)
        proposals.append(Proposal(asked[completion.prompt_id], completion, len(proposals) % every == 0))
    return proposals, refused


async def teach_one(teacher: Asker, proposal: Proposal) -> Lesson:
    """Ask all that there is to ask about one proposal. What the teacher can't answer is dropped with a reason."""
    completion, statement = proposal.completion, proposal.completion.statement
    lesson = Lesson(completion.id)
    try:
        lesson.evaluation = await teacher.evaluate(statement)
    except Dropped as error:
        lesson.drop("evaluate", error.reason)
    else:
        feedback = lesson.evaluation.feedback
        improved = await _accepted(lesson, "improve", statement, teacher.improve(statement, feedback))
        if improved is not None:
            improving = prompts.improve_messages(statement, feedback)
            lesson.conversations += [
                _conversation(completion, "improve", "improve", improving, improved),
                _conversation(completion, "direct", proposal.prompt.task, proposal.prompt.messages, improved),
            ]
    for kind in KINDS if proposal.variations else ():
        varied = await _accepted(lesson, kind, statement, teacher.vary(kind, statement))
        if varied is not None:
            asked = prompts.variation_messages(kind, statement)
            lesson.conversations.append(_conversation(completion, kind, "variation", asked, varied))
    return lesson


async def _accepted(lesson: Lesson, question: str, original: str, asking: Awaitable[WrittenProblem]) -> Problem | None:
    """The teacher's problem if it holds; else the reason is noted. The gate's verdict is noted in any case."""
    try:
        written = await asking
    except Dropped as error:
        lesson.drop(question, error.reason)
        return None
    problem = to_problem(written)
    against = reasons_against(to_completion(problem))
    reason = reason_against(problem, original) or next((r for r in against if r in BROKEN), None)
    if reason is not None:
        lesson.drop(question, reason)
        return None
    lesson.verdicts.append(against)
    return problem


def to_problem(written: WrittenProblem) -> Problem:
    """The teacher's problem as ours: one-line answer, out of its box if it stands in one."""
    answer = None if written.answer is None else boxed(written.answer) or written.answer
    return Problem(
        id=problem_id("teacher", written.problem),
        statement=written.problem,
        answer=None if answer is None else " ".join(answer.split()),
        source="teacher",
        licence="generated",
    )


def to_completion(problem: Problem) -> Completion:
    """The problem as if a student had written it, for judges of completions."""
    return Completion(
        id=problem.id,
        prompt_id="",
        text=prompts.problem_target(problem),
        statement=problem.statement,
        answer=problem.answer,
        finish_reason="stop",
        tokens=0,
        seed=0,
    )


def reason_against(problem: Problem, original: str) -> str | None:
    """Why the problem teaches nothing, or can't be read back from what the student would write; None if it holds."""
    statement = normalise(problem.statement)
    if statement == normalise(original):
        return "unchanged"
    if statement in map(normalise, EXAMPLE_PROBLEMS):
        return "copies_the_example"
    if split_answer(prompts.problem_target(problem)) != (problem.statement, problem.answer):
        return "unreadable_answer"
    return None


def _conversation(
    completion: Completion, question: str, task: Task, asked: Sequence[Message], problem: Problem
) -> Conversation:
    answer = Message(role="assistant", content=prompts.problem_target(problem))
    return Conversation(id=f"{completion.id}/{question}", task=task, messages=(*asked, answer), source_id=completion.id)
