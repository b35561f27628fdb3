"""What the teacher says is taken exactly, or not at all."""

import json

import pytest

from questions_gen.teacher.answers import (
    Evaluation,
    Rejected,
    WrittenProblem,
    json_schema,
    mend_latex,
    parse,
    summarise,
    text_limits,
)

LIMITS = text_limits(400)
SCORES = {"rigor": 1, "difficulty": 2, "innovation": 3, "clarity": 4, "educational_value": 5}
EVALUATION = {"feedback": "Say which numbers.", **SCORES}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (json.dumps(EVALUATION), "plain"),
        (f"```json\n{json.dumps(EVALUATION, indent=2)}\n```", "in a code fence"),
        (f"<think>Is {{it}} good?</think>\n{json.dumps(EVALUATION)}", "after thinking that has braces too"),
        (f"Here it is: {json.dumps(EVALUATION)}", "after a word of greeting"),
    ],
)
def test_an_evaluation_is_read(text: str, why: str) -> None:
    assert parse(text, Evaluation, LIMITS).model_dump() == EVALUATION, why


@pytest.mark.parametrize(
    ("text", "reason", "why"),
    [
        ("", "empty", "nothing"),
        ("<think>never ends", "empty", "thinking only"),
        ("The problem is good: 5 of 5.", "not_json", "prose"),
        (json.dumps(EVALUATION)[:-9], "not_json", "half"),
        ("[1, 2]", "not_json", "a list"),
        (json.dumps(SCORES), "wrong_schema", "a field is missing"),
        (json.dumps(EVALUATION | {"rigor": 9}), "wrong_schema", "a score of 9"),
        (json.dumps(EVALUATION | {"rigor": 0}), "wrong_schema", "a score of 0"),
        (json.dumps(EVALUATION | {"rigor": "4"}), "wrong_schema", "a score in words"),
        (json.dumps(EVALUATION | {"rigor": 3.5}), "wrong_schema", "half a score"),
        (json.dumps(EVALUATION | {"rigor": True}), "wrong_schema", "a truth value"),
        (json.dumps(EVALUATION | {"rigor": None}), "wrong_schema", "no score"),
        (json.dumps(EVALUATION | {"mood": "good"}), "wrong_schema", "a field nobody asked for"),
        (json.dumps(EVALUATION | {"feedback": "  "}), "wrong_schema", "feedback of spaces"),
        (json.dumps(EVALUATION | {"feedback": "\ud800"}), "wrong_schema", "half a character, which no file can hold"),
        ("{" * 100_000, "not_json", "nested deeper than the parser goes"),
    ],
)
def test_anything_else_is_rejected_and_never_scored(text: str, reason: str, why: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse(text, Evaluation, LIMITS)
    assert caught.value.reason == reason, why


def test_a_text_that_fills_its_limit_was_cut() -> None:
    whole = {"problem": "x" * (LIMITS["problem"] - 1), "answer": None}
    assert parse(json.dumps(whole), WrittenProblem, LIMITS).answer is None
    for name in whole:
        cut = {"problem": "x", "answer": "1", name: "1" * LIMITS[name]}
        with pytest.raises(Rejected, match="too_long"):
            parse(json.dumps(cut), WrittenProblem, LIMITS)
    long = EVALUATION | {"feedback": "x" * LIMITS["feedback"]}
    assert parse(json.dumps(long), Evaluation, LIMITS).rigor == 1, "feedback that was cut is still feedback"


@pytest.mark.parametrize(
    ("raw", "expected", "why"),
    [
        (r"\\frac{1}{2}", r"\frac{1}{2}", "escaped as it should be"),
        (r"\frac{1}{2}", r"\frac{1}{2}", "a form feed for JSON"),
        (r"a \times b", r"a \times b", "a tab for JSON"),
        (r"\big(\beta\big)", r"\big(\beta\big)", "backspaces for JSON"),
        (r"\rho", r"\rho", "a carriage return for JSON"),
        (r"a \neq b", r"a \neq b", "a newline for JSON"),
        (r"\sqrt{2} \(x\)", r"\sqrt{2} \(x\)", "no JSON escape at all"),
        (r"one\ntwo \\sqrt 2", "one\ntwo \\sqrt 2", "a newline that is one"),
    ],
)
def test_latex_survives_json(raw: str, expected: str, why: str) -> None:
    answer = parse(f'{{"problem": "{raw}", "answer": null}}', WrittenProblem, LIMITS)
    assert answer.problem == expected, why


def test_mending_leaves_whole_latex_alone() -> None:
    text = r"Let $\nu \neq \frac{a}{b}$ and \begin{cases} x \\ y \end{cases}"
    assert mend_latex(text) == text


def test_the_schema_asks_for_feedback_first_and_bounds_everything() -> None:
    schema = json_schema(Evaluation, LIMITS)
    assert list(schema["properties"]) == schema["required"] == ["feedback", *SCORES]
    assert schema["properties"]["feedback"] == {"minLength": 1, "type": "string", "maxLength": 200}
    assert schema["properties"]["rigor"] == {"maximum": 5, "minimum": 1, "type": "integer"}
    assert schema["additionalProperties"] is False
    answer = json_schema(WrittenProblem, LIMITS)["properties"]["answer"]
    assert answer == {"anyOf": [{"minLength": 1, "type": "string", "maxLength": 80}, {"type": "null"}]}


def test_overall_is_the_mean_of_the_five() -> None:
    evaluation = Evaluation(**EVALUATION)
    assert evaluation.overall == 3.0
    assert evaluation.row("p1") == {"problem_id": "p1", "overall": 3.0, **EVALUATION}
    assert summarise([evaluation, evaluation])["mean"] == {**SCORES, "overall": 3.0}


def test_nothing_judged_is_no_score() -> None:
    assert summarise([]) == {"n": 0, "mean": dict.fromkeys((*SCORES, "overall"))}
