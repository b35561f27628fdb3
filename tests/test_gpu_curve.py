"""The page of a run of sft and grpo: collected from a checkout's own files, and shown from the one file of it."""

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks.gpu import curve
from questions_gen import files
from tests.conftest import ROOT
from tests.evaluations import asked_prompts, evaluated, gibberish, names, problems
from tests.report.sample_logs import grpo_step, log, sample_logs

PAGE = ROOT / "docs/experiments/gpu-smollm2.md"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """Of a base model that writes gibberish, and adapters that write problems."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    files.write_json(tmp_path / "logs/sft.json", sample_logs()["sft"])
    steps = [{**grpo_step(step), "length": 40.0 + step, "cut_off": 0.5} for step in range(1, 24)]
    files.write_json(tmp_path / "logs/grpo.json", log({"completions": 184}, steps))
    asked = asked_prompts(8)
    for name, texts in (("base", gibberish(names(asked), 2)), ("sft", problems(names(asked), 2)), ("grpo", None)):
        rows = evaluated(asked, texts or problems(names(asked), 2, 1))
        files.write_rows(tmp_path / "data/evaluation" / name / "rows.jsonl", rows)
    monkeypatch.chdir(tmp_path)
    collected = curve.collect({"card": "none"})
    monkeypatch.chdir(ROOT)
    return json.loads(files.to_json(collected))


def test_both_pairs_of_models_are_compared_on_the_same_prompts(run: dict) -> None:
    rows = {(row["model"], row["metric"]): row for row in run["evaluation"]}
    assert rows["base → sft", "gate_pass_rate"]["verdict"] == "better"
    assert rows["sft → grpo", "gate_pass_rate"]["prompts"] == 8
    shown = curve.render(run)
    assert "**base → sft**" in shown
    assert "**sft → grpo**" in shown


def test_no_step_is_left_out_of_the_curve(run: dict) -> None:
    assert len(run["grpo"]["steps"]) == 23
    table = curve.curve(run["grpo"]["steps"])
    assert "| 1-2 |" in table
    assert "| 19-23 |" in table
    drawn = ET.fromstring(curve.chart(run))
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(drawn.findall("{*}polyline")) >= 2


def test_the_page_and_its_chart_are_those_of_its_file() -> None:
    run = files.read_json(PAGE.with_suffix(".json"))
    assert curve.render(run) in PAGE.read_text(encoding="utf-8")
    assert curve.chart(run) == PAGE.with_suffix(".svg").read_text(encoding="utf-8")


def test_what_the_page_counts_is_in_the_rows_beside_it() -> None:
    rows = files.read_rows(PAGE.with_name("gpu-smollm2-grpo-rows.jsonl"))
    texts = [row["completion"]["text"] for row in rows if row["test"] == "new"]
    boxes = sum("is the only such" in text for text in texts)
    how_many = sum(text.startswith("How many") for text in texts)
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"{boxes} of the {len(texts)} end with a box of words" in page
    assert f'{how_many} of the {len(texts)} begin with "How many"' in page
