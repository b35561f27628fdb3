"""What the teacher is asked, and the whole request that this makes."""

import json
from collections.abc import Sequence
from types import ModuleType
from typing import Annotated, Any, Literal

from pydantic import Field

from questions_gen.params import Count, Name, Section, Seed
from questions_gen.schema import Language, VariationKind
from questions_gen.teacher import chinese, english
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


WORDS: dict[Language, ModuleType] = {"en": english, "zh": chinese}

EXAMPLE_PROBLEMS = tuple(
    written.problem for words in WORDS.values() for _, written in (*words.IMPROVEMENTS, *words.VARIATIONS.values())
)


def evaluation_request(params: TeacherParams, statement: str, *, sample: int = 0, language: Language = "en") -> Request:
    """Feedback and five scores for a problem."""
    words = WORDS[language]
    question = words.ASK_EVALUATION.format(statement=statement)
    return _request(params, Evaluation, words, words.SYSTEM_EVALUATE, words.EVALUATIONS, question, sample)


def improvement_request(
    params: TeacherParams, statement: str, feedback: str, *, sample: int = 0, language: Language = "en"
) -> Request:
    """A better problem, by that feedback."""
    words = WORDS[language]
    question = words.ASK_IMPROVEMENT.format(feedback=feedback, statement=statement)
    return _request(params, WrittenProblem, words, words.SYSTEM_WRITE, words.IMPROVEMENTS, question, sample)


def comparison_request(
    params: TeacherParams, first: str, second: str, *, sample: int = 0, language: Language = "en"
) -> Request:
    """Which of two problems is better."""
    words = WORDS[language]
    question = words.ASK_COMPARISON.format(first=first, second=second)
    return _request(params, Comparison, words, words.SYSTEM_COMPARE, words.COMPARISONS, question, sample)


def variation_request(
    params: TeacherParams, kind: VariationKind, statement: str, *, sample: int = 0, language: Language = "en"
) -> Request:
    words = WORDS[language]
    question = words.ASK_VARIATION[kind].format(statement=statement)
    return _request(params, WrittenProblem, words, words.SYSTEM_WRITE, [words.VARIATIONS[kind]], question, sample)


def _request(
    params: TeacherParams,
    kind: type[TeacherAnswer],
    words: ModuleType,
    system: str,
    examples: Sequence[english.Example],
    question: str,
    sample: int,
) -> Request:
    schema = json_schema(kind, text_limits(params.max_tokens))
    if params.structured != "json_schema":
        system = f"{system}\n{words.FORM}\n{json.dumps(schema)}"
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
