"""The stage report: logs and evaluations in; out come the summary and plots, which DVC then reads, and the page."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.report.summary import LOG_ADDRESSES
from questions_gen.reviews import REVIEWS, add_review
from questions_gen.stage import run
from stages.report import STAGE, log_path
from tests.report.sample_evaluations import SAMPLE_SOURCES
from tests.report.sample_logs import sample_logs
from tests.report.sample_scores import sample_marks, sample_rows
from tests.test_reviews import review

ROOT = Path(__file__).resolve().parents[2]

PLOTS = yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the logs and evaluations of a run, and this code."""
    for name in ("src", "stages", "params.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    files.write_text(Path("data/checked/params.txt"), "params.yaml is valid\n")
    files.write_text(REVIEWS, "")
    write_logs(sample_logs())
    for model, rows in sample_rows().items():
        write_rows(model, rows)
        marks = [{"problem_id": name, **mark} for name, mark in sample_marks(rows).items()]
        files.write_rows(Path("data/judgement") / model / "evaluations.jsonl", marks)
    files.write_rows(Path("data/history/problems.jsonl"), [{"statement": "Find all primes $p$ below 50."}])
    files.write_json(Path("data/raw/manifest.json"), {"sources": SAMPLE_SOURCES})
    return tmp_path


def write_rows(model, rows):
    files.write_rows(Path("data/evaluation") / model / "rows.jsonl", rows)


def write_logs(logs):
    for address, log in logs.items():
        files.write_json(log_path(address), log)


def outputs():
    return {path: path.read_bytes() for path in (*STAGE.outputs.values(), STAGE.log)}


def test_writes_the_summary_the_plots_and_its_log(checkout, capsys):
    run(STAGE)
    summary = files.read_json(Path("metrics/summary.json"))
    assert summary["models"]["base"]["validation_loss"] == 2.188
    assert summary["models"]["base"]["set_diversity"] is None
    intervals = files.read_json(Path("metrics/intervals.json"))
    assert intervals["models"]["sft"]["measures"]["novelty_history"]["mean"] > 0
    assert intervals["models"]["sft"]["measures"]["total"]["mean"] == summary["models"]["sft"]["total"]
    scores = Path("metrics/scores.csv").read_text().splitlines()
    assert len(scores) == 1 + sum(map(len, sample_rows().values()))
    assert scores[0].startswith("model,test,cell,thinking,prompt,sample,passed,total,difficulty,")
    assert files.read_json(STAGE.log)["metrics"] == summary
    assert list(csv.reader(Path("plots/loss.csv").read_text().splitlines()))[1] == ["1", "2.4", "1.6"]
    assert "gate_pass_rate" in capsys.readouterr().out


def test_the_page_is_written_and_says_what_was_run(checkout):
    run(STAGE)
    text = Path("report/index.html").read_text()
    for told in ("smollm2-135m", "champ-dataset", "Apache-2.0", "right triangle"):
        assert told.lower() in text.lower()
    assert str(checkout) not in text


def test_rows_of_another_shape_are_named_and_the_old_page_stays(checkout):
    run(STAGE)
    before = outputs()
    files.write_rows(Path("data/evaluation/grpo/rows.jsonl"), [{"test": "new"}])
    with pytest.raises(UserError, match=r"data/evaluation/grpo/rows\.jsonl, row 1: not a Evaluated: cell"):
        run(STAGE)
    assert outputs() == before


def test_what_people_said_stands_in_the_summary(checkout):
    run(STAGE)
    assert set(files.read_json(Path("metrics/summary.json"))["stages"]["reviews"].values()) == {None}
    assert "People rated" not in Path("report/index.html").read_text()
    for number in range(3):
        add_review(REVIEWS, review(number, valid=number != 1, passed=number != 1, liked=number == 2))
    run(STAGE)
    said = files.read_json(Path("metrics/summary.json"))["stages"]["reviews"]
    assert (said["reviews"], said["valid"], said["valid_kappa"]) == (3, 0.6667, 1)
    assert said["liked_rank_correlation"] is None, "the totals are alike"
    page = Path("report/index.html").read_text()
    assert "People rated <b>3</b> problems" in page
    assert "valid and the gate, κ <b>1</b>; difficulty, ρ <b>–</b>;" in page


def test_equal_logs_give_equal_bytes(checkout):
    run(STAGE)
    before = outputs()
    run(STAGE)
    assert outputs() == before


@pytest.mark.parametrize("address", LOG_ADDRESSES)
def test_a_missing_log_is_named_and_nothing_is_written(checkout, address):
    log_path(address).unlink()
    with pytest.raises(UserError, match=str(log_path(address))):
        run(STAGE)
    assert not Path("metrics").exists()


def test_a_torn_log_is_named_and_the_old_summary_stays(checkout):
    run(STAGE)
    before = outputs()
    log_path("sft").write_text('{"metrics": {"trai')
    with pytest.raises(UserError, match=r"logs/sft\.json: not valid JSON"):
        run(STAGE)
    assert outputs() == before


def test_dvc_shows_and_compares_what_it_wrote(checkout):
    run(STAGE)
    Path("dvc.yaml").write_text(yaml.safe_dump({"plots": PLOTS, "metrics": ["metrics/summary.json"]}))
    git("init", "-q")
    dvc("init", "-q")
    shutil.copytree(ROOT / ".dvc/plots", ".dvc/plots")
    git("add", "dvc.yaml", "metrics", "plots", ".dvc", ".dvcignore")
    git("-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-qm", "before")
    write_rows("sft", sample_rows()["base"][:20] + sample_rows()["sft"][20:])
    files.write_rows(Path("data/judgement/base/evaluations.jsonl"), [])
    run(STAGE)
    changes = json.loads(dvc("metrics", "diff", "--json"))["metrics/summary.json"]
    assert changes["models.sft.gate_pass_rate"]["new"] == 0.0
    assert changes["models.sft.set_diversity"]["new"] is None
    assert changes["models.base.teacher_overall"] == {"old": 3.4, "new": None}
    assert {name.rsplit(".", 1)[0] for name in changes} <= {"models.sft", "models.base"}
    assert len(dvc("metrics", "diff").splitlines()) <= 40
    drawn = json.loads(dvc("plots", "diff", "--json"))["data"]
    assert sorted(drawn) == sorted(name for plot in PLOTS for name in plot)
    for (plot,) in drawn.values():
        spec = plot["content"]
        assert {row["rev"] for row in spec["data"]["values"]} == {"HEAD", "workspace"}
        assert "<DVC_METRIC" not in json.dumps(spec)  # every place of the template was filled
    bars = drawn["balance"][0]["content"]
    assert bars["encoding"]["y"]["sort"] is None  # in the order of the file
    now = [(row["bar"], row["balance"]) for row in bars["data"]["values"] if row["rev"] == "workspace"]
    assert now == [("balance: base", "nan"), *((f"balance: {model}", "0.5") for model in ("sft", "grpo", "distill"))]


def git(*arguments):
    subprocess.run(["git", *arguments], check=True)


def dvc(*arguments):
    """What `dvc` prints, with nothing sent anywhere."""
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def test_tracking_changes_no_byte(checkout, monkeypatch):
    """Off and on, the stage writes the same; on, the run is found in MLflow."""
    import sqlite3

    from questions_gen import tracking

    for name in ("src", "stages"):
        monkeypatch.syspath_prepend(str(checkout / name))
    run(STAGE)
    without = outputs()
    run(STAGE, tracking.start)
    assert outputs() == without
    with sqlite3.connect("mlflow.db") as database:
        names = {name for (name,) in database.execute("select name from runs")}
    assert "report" in names
