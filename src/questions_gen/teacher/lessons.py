"""From the teacher's answers to what the student learns: conversations that end with a problem of the teacher's.

For each proposal of the student: the teacher evaluates it, and improves it by its own feedback; where asked, it
writes the three variations too. An improvement makes two conversations: improve this problem; and the prompt that
the student had answered, so that it learns to write the better problem directly. Only what helps is kept: an
improvement must pass the gate and beat the original's total by a margin, and a variation must pass the gate, which
looks whether it is of the kind that was asked for.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, get_args

from questions_gen import prompts
from questions_gen.answers import boxed, split_answer
from questions_gen.problem import normalise, problem_id
from questions_gen.rewards.combine import Judge
from questions_gen.schema import (
    Completion,
    Conversation,
    Message,
    Preference,
    Problem,
    Prompt,
    Task,
    VariationKind,
    Verdict,
)
from questions_gen.teacher.answers import Comparison, Evaluation, WrittenProblem
from questions_gen.teacher.client import Dropped
from questions_gen.teacher.prompts import EXAMPLE_PROBLEMS

KINDS: tuple[VariationKind, ...] = get_args(VariationKind)


class Asker(Protocol):
    """A teacher.session.Teacher."""

    def evaluate(self, statement: str) -> Awaitable[Evaluation]: ...
    def improve(self, statement: str, feedback: str) -> Awaitable[WrittenProblem]: ...
    def vary(self, kind: VariationKind, statement: str) -> Awaitable[WrittenProblem]: ...
    def compare(self, first: str, second: str) -> Awaitable[Comparison]: ...


@dataclass(frozen=True)
class Proposal:
    """A problem of the student's, and the prompt that it answers."""

    prompt: Prompt
    completion: Completion
    variations: bool
    """Whether the teacher varies it too."""


@dataclass(frozen=True)
class Selection:
    """What decides which problems of the teacher's are learned."""

    judge: Judge
    margin: float
    """By how much an improvement's total must exceed the original's."""
    compare: bool
    """Whether the teacher must prefer the improvement too, in both orders."""

    def verdict(self, completion: Completion, prompt: Prompt) -> Verdict:
        """On one problem alone: diversity isn't judged."""
        return self.judge.judge([completion], [prompt])[0]


@dataclass
class Lesson:
    """What came of one proposal."""

    problem_id: str
    verdict: Verdict | None = None
    """The rewards' on the proposal."""
    evaluation: Evaluation | None = None
    conversations: list[Conversation] = field(default_factory=list)
    preferences: list[Preference] = field(default_factory=list)
    dropped: list[dict[str, str]] = field(default_factory=list)
    """Rows {"id", "reason"}; the id says of which question."""

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


async def teach_one(teacher: Asker, proposal: Proposal, selection: Selection) -> Lesson:
    """Ask all that there is to ask about one proposal. What isn't kept is dropped with a reason."""
    completion = proposal.completion
    lesson = Lesson(completion.id, selection.verdict(completion, proposal.prompt))
    try:
        lesson.evaluation = await teacher.evaluate(completion.statement)
    except Dropped as error:
        lesson.drop("evaluate", error.reason)
    else:
        await _improve(teacher, proposal, selection, lesson)
    for kind in KINDS if proposal.variations else ():
        await _vary(teacher, proposal, selection, lesson, kind)
    return lesson


async def _improve(teacher: Asker, proposal: Proposal, selection: Selection, lesson: Lesson) -> None:
    completion, prompt = proposal.completion, proposal.prompt
    statement, feedback = completion.statement, lesson.evaluation.feedback
    improved = await _written(lesson, "improve", statement, teacher.improve(statement, feedback))
    if improved is None:
        return
    verdict = selection.verdict(to_completion(improved, prompt), prompt)
    reason = next(iter(verdict.reasons), None)
    if reason is None and verdict.total <= lesson.verdict.total + selection.margin:
        reason = "not_better"
    if reason is None and selection.compare:
        reason = await _reason_to_prefer_the_original(teacher, statement, improved.statement)
    if reason is not None:
        lesson.drop("improve", reason)
        return
    improving = prompts.improve_messages(statement, feedback, selection.judge.language)
    lesson.conversations += [
        _conversation(completion, "improve", "improve", improving, improved),
        _conversation(completion, "direct", prompt.task, prompt.messages, improved),
    ]
    lesson.preferences.append(
        Preference(
            id=completion.id,
            messages=prompt.messages,
            chosen=prompts.problem_target(improved),
            rejected=completion.text,
            chosen_total=verdict.total,
            rejected_total=lesson.verdict.total,
        )
    )


async def _reason_to_prefer_the_original(teacher: Asker, original: str, improved: str) -> str | None:
    """None if the teacher prefers the improvement wherever it stands: a judge model favours a place (Zheng et al.,
    "Judging LLM-as-a-Judge", 2023)."""
    try:
        if (await teacher.compare(original, improved)).better != "second":
            return "not_preferred"
        return None if (await teacher.compare(improved, original)).better == "first" else "not_preferred"
    except Dropped as error:
        return error.reason


async def _vary(teacher: Asker, proposal: Proposal, selection: Selection, lesson: Lesson, kind: VariationKind) -> None:
    completion, statement = proposal.completion, proposal.completion.statement
    varied = await _written(lesson, kind, statement, teacher.vary(kind, statement))
    if varied is None:
        return
    messages = prompts.variation_messages(kind, statement, selection.judge.language)
    asked = Prompt(id=f"{completion.id}/{kind}", task="variation", messages=messages, original=statement, kind=kind)
    verdict = selection.verdict(to_completion(varied, asked), asked)
    if not verdict.passed:
        lesson.drop(kind, verdict.reasons[0])
        return
    lesson.conversations.append(_conversation(completion, kind, "variation", messages, varied))


async def _written(lesson: Lesson, question: str, original: str, asking: Awaitable[WrittenProblem]) -> Problem | None:
    """The teacher's problem if it can be learned from at all; else the reason is noted."""
    try:
        problem = to_problem(await asking)
    except Dropped as error:
        lesson.drop(question, error.reason)
        return None
    reason = reason_against(problem, original)
    if reason is not None:
        lesson.drop(question, reason)
        return None
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


def to_completion(problem: Problem, prompt: Prompt) -> Completion:
    """The problem as if a student had written it in answer to `prompt`."""
    return Completion(
        id=problem.id,
        prompt_id=prompt.id,
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
