"""What the teacher answers: strict records, and the way from the raw text to them.

Whatever an endpoint promises, each answer is checked here. What doesn't parse is Rejected, never guessed.
"""

import json
import re
from collections.abc import Sequence
from statistics import fmean
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from questions_gen.answers import split_thinking

DIMENSIONS = ("rigor", "difficulty", "innovation", "clarity", "educational_value")

Score = Annotated[int, Field(ge=1, le=5)]
Text = Annotated[str, Field(min_length=1)]


class Rejected(Exception):
    """An answer that isn't what was asked for; `reason` is one of a few words, fit for counting."""

    def __init__(self, reason: str, detail: str = ""):
        self.reason = reason
        super().__init__(f"{reason}: {detail}" if detail else reason)


class TeacherAnswer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, str_strip_whitespace=True)


class Evaluation(TeacherAnswer):
    """Feedback stands first: a model that scores before it has said anything gives the same scores to all."""

    feedback: Text
    rigor: Score
    difficulty: Score
    innovation: Score
    clarity: Score
    educational_value: Score

    @property
    def overall(self) -> float:
        """The mean of the five scores, of 5.0."""
        return fmean(getattr(self, dimension) for dimension in DIMENSIONS)

    def row(self, problem_id: str) -> dict[str, Any]:
        """As it stands in evaluations.jsonl."""
        return {"problem_id": problem_id, "overall": self.overall, **self.model_dump()}


class WrittenProblem(TeacherAnswer):
    """An improved problem or a variation."""

    problem: Text
    answer: Text | None
    """None: a problem that asks for a proof."""


class Comparison(TeacherAnswer):
    """Which of two problems is the better one; feedback stands first here too."""

    feedback: Text
    better: Literal["first", "second"]


Kind = TypeVar("Kind", bound=TeacherAnswer)


def text_limits(max_tokens: int) -> dict[str, int]:
    """Longest text of each field, in characters, so that a whole answer fits into `max_tokens`.

    LaTeX has a token for every one or two characters, so that a problem and its answer stay below the tokens.
    """
    return {"feedback": max_tokens // 2, "problem": max_tokens * 3 // 4, "answer": max_tokens // 5}


def json_schema(kind: type[TeacherAnswer], limits: dict[str, int]) -> dict[str, Any]:
    """The JSON schema of `kind`; `required` lists the fields in the order in which they are to be written."""
    properties = {}
    for name, field in kind.model_json_schema()["properties"].items():
        branches = [{k: v for k, v in branch.items() if k != "title"} for branch in field.get("anyOf", [field])]
        branches = [
            b | {"maxLength": limits[name]} if name in limits and b["type"] == "string" else b for b in branches
        ]
        properties[name] = branches[0] if len(branches) == 1 else {"anyOf": branches}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def parse(text: str, kind: type[Kind], limits: dict[str, int]) -> Kind:
    """The answer in a raw text, which may stand after thinking or in a code fence. Raises Rejected."""
    _, rest = split_thinking(text)
    if not rest:
        raise Rejected("empty")
    value = _load_object(rest[rest.find("{") : rest.rfind("}") + 1])
    value = {name: mend_latex(item) if isinstance(item, str) else item for name, item in value.items()}
    try:
        answer = kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise Rejected("wrong_schema", f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    for name in ("problem", "answer"):  # feedback that was cut is still feedback
        if len(value.get(name) or "") >= limits[name]:
            raise Rejected("too_long", f"{name} fills its {limits[name]} characters, so it was cut")
    return answer


def _load_object(text: str) -> dict[str, Any]:
    r"""One JSON object. A backslash that starts no JSON escape (`\sqrt`, `\(`) is taken for LaTeX."""
    for candidate in (text, re.sub(r'(\\\\)|\\(?!["\\/bfnrtu])', r"\\\\", text)):
        try:
            value = json.loads(candidate, strict=False)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    raise Rejected("not_json")


_SLIPS = {"\b": r"\b", "\f": r"\f", "\r": r"\r", "\t": r"\t"}
_NEWLINE_SLIP = re.compile(r"\n(?=(?:eq|e|leq|geq|mid|ot|otin|abla|u|i|parallel|less|gtr|subseteq)(?![a-zA-Z]))")


def mend_latex(text: str) -> str:
    r"""Give LaTeX commands back the backslash that JSON took: `\frac` in JSON is a form feed and "rac".

    >>> mend_latex("\frac{1}{2} \times 3, a \neq b")
    '\\frac{1}{2} \\times 3, a \\neq b'
    """
    for character, command in _SLIPS.items():
        text = re.sub(re.escape(character) + r"(?=[a-zA-Z])", lambda _, new=command: new, text)
    return _NEWLINE_SLIP.sub(lambda _: r"\n", text)


def summarise(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """How many there are, and the mean of each dimension and of `overall`; null without any."""
    names = (*DIMENSIONS, "overall")
    means = {name: fmean(getattr(e, name) for e in evaluations) if evaluations else None for name in names}
    return {"n": len(evaluations), "mean": means}
