"""What the teacher is asked, and the whole request that this makes."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from questions_gen.params import Count, Name, Section, Seed
from questions_gen.schema import VariationKind
from questions_gen.teacher.answers import (
    Comparison,
    Evaluation,
    TeacherAnswer,
    WrittenProblem,
    json_schema,
    text_limits,
)
from questions_gen.teacher.embedded import EmbeddedParams
from questions_gen.teacher.store import Request


class TeacherParams(Section):
    model: Name
    """The name that is sent to the server and that stored answers are found by."""
    embedded: EmbeddedParams | None
    """The server of our own, used where run.teacher.base_url is null."""
    structured: Literal["json_schema", "json_object", "prompt"]
    """How the form of an answer is asked for; it is checked here all the same."""
    temperature: Annotated[float, Field(ge=0, le=2)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)]
    """Makes loops of a small model rarer. 0 is left out of the request: some services don't know it."""
    max_tokens: Annotated[int, Field(ge=100)]
    """Tokens of an answer, its thinking included. Texts may be as long as fits, and what is cut off is dropped."""
    seed: Seed
    """Of the first sample; each further one has the next number."""
    samples: Count
    """Answers that are asked for, each with a seed of its own, until one has the right form."""


SYSTEM_EVALUATE = (
    "You judge problems for mathematics competitions. Say in one or two sentences what is wrong, missing or unclear "
    "and how to improve it. Then score from 1 (poor) to 5 (excellent): rigor (conditions complete, answer determined), "
    "difficulty (several ideas needed), innovation (a new idea), clarity, educational_value (teaches something)."
)
ASK_EVALUATION = "Judge: {statement}"

SYSTEM_COMPARE = (
    "You compare two problems for mathematics competitions. Say in one or two sentences what tells them apart: whether "
    "conditions are complete and the answer is determined, how many ideas are needed, whether one is new. Then say "
    "which is better, first or second, whatever their order and length."
)
ASK_COMPARISON = "First: {first}\n\nSecond: {second}"

SYSTEM_WRITE = (
    "You write problems for mathematics competitions. Each is complete, ends with what is asked, and has one short "
    "answer, or null if it asks for a proof. Write the problem without its solution."
)
ASK_IMPROVEMENT = "Feedback: {feedback}\n\nImprove: {statement}"
ASK_VARIATION: dict[VariationKind, str] = {
    "context_change": "Change context (another mathematical setting, the same idea): {statement}",
    "parameter_change": "Change parameters (other numbers, the same structure): {statement}",
    "practical_application": "Change to an application (the same in a real situation): {statement}",
}

Example = tuple[str, TeacherAnswer]

EVALUATIONS: tuple[Example, ...] = (
    (
        ASK_EVALUATION.format(statement="How many numbers are divisible by 3?"),
        Evaluation(
            feedback="It isn't said which numbers are counted, so there is no answer. Give a range.",
            rigor=1,
            difficulty=1,
            innovation=1,
            clarity=2,
            educational_value=2,
        ),
    ),
    (
        ASK_EVALUATION.format(statement="For how many positive integers $n$ is $n^2 + 20$ divisible by $n + 4$?"),
        Evaluation(
            feedback="Complete and clear, but its idea is well known. Ask for the sum of all such $n$ under one more "
            "condition.",
            rigor=5,
            difficulty=3,
            innovation=2,
            clarity=5,
            educational_value=4,
        ),
    ),
)
COMPARISONS: tuple[Example, ...] = (
    (
        ASK_COMPARISON.format(
            first="How many numbers are divisible by 3?",
            second="How many integers from 1 to 100 are divisible by 3 but not by 9?",
        ),
        Comparison(
            feedback="The first doesn't say which numbers are counted; the second is complete.", better="second"
        ),
    ),
    (
        ASK_COMPARISON.format(
            first="For how many positive integers $n$ is $n^2 + 20$ divisible by $n + 4$?",
            second="For how many positive integers $n$ is $4n$ divisible by $4$?",
        ),
        Comparison(feedback="The first needs an idea; the second holds for all integers.", better="first"),
    ),
)
IMPROVEMENTS: tuple[Example, ...] = (
    (
        ASK_IMPROVEMENT.format(
            feedback="It isn't said which numbers are counted.", statement="How many numbers are divisible by 3?"
        ),
        WrittenProblem(problem="How many integers from 1 to 100 are divisible by 3 but not by 9?", answer="22"),
    ),
    (
        ASK_IMPROVEMENT.format(
            feedback="The sentence breaks off, and an angle is missing.",
            statement="In triangle $ABC$, $AB = 3$ and $BC = 4$. Find the length of",
        ),
        WrittenProblem(
            problem="In triangle $ABC$, $AB = 3$, $BC = 4$ and the angle at $B$ is right. What is the length of $CA$?",
            answer="5",
        ),
    ),
)
VARIATIONS: dict[VariationKind, Example] = {
    "context_change": (
        ASK_VARIATION["context_change"].format(statement="What is the sum of the integers from 1 to 20?"),
        WrittenProblem(
            problem="Each two of 21 points in the plane are joined by a segment. How many segments are there?",
            answer="210",
        ),
    ),
    "parameter_change": (
        ASK_VARIATION["parameter_change"].format(
            statement="A rectangle has width 3 and length 5. What is the length of its diagonal?"
        ),
        WrittenProblem(
            problem="A rectangle has width 6 and length 8. What is the length of its diagonal?", answer="10"
        ),
    ),
    "practical_application": (
        ASK_VARIATION["practical_application"].format(statement="Find the least common multiple of 12 and 18."),
        WrittenProblem(
            problem="Two buses leave a station together. One returns every 12 minutes, the other every 18 minutes. "
            "After how many minutes do they meet there again?",
            answer="36",
        ),
    ),
}
"""Examples that stand before each question: without them a small model doesn't write a problem at all."""

EXAMPLE_PROBLEMS = tuple(
    written.problem for _, written in (*IMPROVEMENTS, *VARIATIONS.values()) if isinstance(written, WrittenProblem)
)


def evaluation_request(params: TeacherParams, statement: str, *, sample: int = 0) -> Request:
    """Feedback and five scores for a problem."""
    question = ASK_EVALUATION.format(statement=statement)
    return _request(params, Evaluation, SYSTEM_EVALUATE, EVALUATIONS, question, sample)


def improvement_request(params: TeacherParams, statement: str, feedback: str, *, sample: int = 0) -> Request:
    """A better problem, by that feedback."""
    question = ASK_IMPROVEMENT.format(feedback=feedback, statement=statement)
    return _request(params, WrittenProblem, SYSTEM_WRITE, IMPROVEMENTS, question, sample)


def comparison_request(params: TeacherParams, first: str, second: str, *, sample: int = 0) -> Request:
    """Which of two problems is better."""
    question = ASK_COMPARISON.format(first=first, second=second)
    return _request(params, Comparison, SYSTEM_COMPARE, COMPARISONS, question, sample)


def variation_request(params: TeacherParams, kind: VariationKind, statement: str, *, sample: int = 0) -> Request:
    question = ASK_VARIATION[kind].format(statement=statement)
    return _request(params, WrittenProblem, SYSTEM_WRITE, [VARIATIONS[kind]], question, sample)


def _request(
    params: TeacherParams,
    kind: type[TeacherAnswer],
    system: str,
    examples: Sequence[Example],
    question: str,
    sample: int,
) -> Request:
    schema = json_schema(kind, text_limits(params.max_tokens))
    if params.structured != "json_schema":
        system = f"{system}\nAnswer with one JSON object and nothing else. Its JSON schema:\n{json.dumps(schema)}"
    messages = [{"role": "system", "content": system}]
    for asked, answered in examples:
        messages.append({"role": "user", "content": asked})
        messages.append({"role": "assistant", "content": json.dumps(answered.model_dump(), ensure_ascii=False)})
    body: dict[str, Any] = {
        "model": params.model,
        "messages": [*messages, {"role": "user", "content": question}],
        "temperature": params.temperature,
        "top_p": params.top_p,
        "max_tokens": params.max_tokens,
        "seed": params.seed + sample,
    }
    if params.frequency_penalty:
        body["frequency_penalty"] = params.frequency_penalty
    if params.structured == "json_schema":
        form = {"name": kind.__name__.lower(), "schema": schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    elif params.structured == "json_object":
        body["response_format"] = {"type": "json_object"}
    return Request(body, sample)
