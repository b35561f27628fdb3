"""`questions-gen compare` between revisions of a real repository, on scores that the real judge gave."""

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from questions_gen import cli, files, measures
from questions_gen.report.scores import write_scores
from questions_gen.report.summary import MODELS
from tests.evaluations import asked_prompts, evaluated, gibberish, names, problems

ASKED = asked_prompts(16)
RIGHT = {"gate_pass_rate", "total", "topic_adherence"}
"""What gibberish must be worse at: whether it passes, what it is paid, whether it is of the topic."""


@pytest.fixture(scope="module")
def scores():
    """Three models: one, the same with its texts dealt anew among prompts of a topic and samples, and gibberish."""
    texts = problems(names(ASKED), 2)
    topics: dict[str, list[str]] = {}
    for one in ASKED:
        topics.setdefault(one.cell, []).append(one.prompt.id)
    dealt = {}
    for prompts in topics.values():
        moved = [*prompts[1:], prompts[0]]
        dealt |= {prompt: texts[other][::-1] for prompt, other in zip(prompts, moved, strict=True)}
    made = {"good": texts, "shuffled": dealt, "gibberish": gibberish(names(ASKED), 2)}
    return {name: measures.score(evaluated(ASKED, of)) for name, of in made.items()}


def write(scores, loss: float = 2.0) -> None:
    """metrics/ as the stage report writes it, with these scores for the last model and the rest unchanged."""
    files.write_text(Path("metrics/scores.csv"), write_scores({"base": scores["good"], "distill": scores["model"]}))
    files.write_json(Path("metrics/summary.json"), {"models": {model: {"validation_loss": loss} for model in MODELS}})


@pytest.fixture
def repository(tmp_path: Path, scores, monkeypatch) -> Path:
    """HEAD has good scores, tag `none` no metrics, and there are two experiments, of which one has the name of two."""
    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "main")
    git("config", "user.name", "test")
    git("config", "user.email", "test@localhost")
    files.write_text(Path("README.md"), "nothing\n")
    commit("none")
    git("tag", "none")
    write(scores | {"model": scores["good"]})
    commit("good")
    write(scores | {"model": scores["gibberish"]}, loss=2.5)
    commit("gibberish")
    for number, name in ((1, "worse-one"), (2, "twice"), (3, "twice")):
        git("update-ref", f"refs/exps/a{number}/{'b' * 38}/{name}", "HEAD" if number < 3 else "none")
    git("reset", "-q", "--hard", "HEAD^")
    return tmp_path


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True)


def commit(message: str) -> None:
    git("add", "-A")
    git("commit", "-qm", message)


def compare(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["compare", *arguments])


def rows(*arguments: str) -> dict[str, dict]:
    """The rows of the last model by metric."""
    result = compare(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return {row["metric"]: row for row in json.loads(result.stdout)["rows"] if row["model"] == "distill"}


def test_of_a_shuffled_copy_of_the_same_model_nothing_can_be_told(repository, scores):
    write(scores | {"model": scores["shuffled"]})
    told = rows("HEAD")
    assert {row["verdict"] for row in told.values()} == {"can't tell"}
    total = told["total"]
    assert total["low"] < 0 < total["high"], "its texts stand elsewhere, so that there is something to be seen"
    assert total["prompts"] == 16
    write(scores | {"model": scores["good"][::-1]})
    assert {row["difference"] for row in rows("HEAD").values()} <= {0.0, None}, "the order of rows says nothing"


def test_gibberish_is_worse_on_the_right_metrics(repository):
    told = rows("HEAD", "worse-one")
    assert {name for name, row in told.items() if row["verdict"] == "worse"} >= RIGHT
    assert not [name for name, row in told.items() if row["verdict"] == "better"], "nonsense is better at nothing"
    for name in RIGHT:
        assert told[name]["high"] < 0
        assert told[name]["difference"] == pytest.approx(told[name]["after"] - told[name]["before"], abs=2e-4)
    assert told["validation_loss"]["difference"] == 0.5
    assert {row["verdict"] for row in rows("worse-one", "HEAD").values()} >= {"better"}


def test_a_model_that_did_not_change_is_not_said_to_have(repository):
    result = json.loads(compare("HEAD", "worse-one", "--json").stdout)
    base = [row for row in result["rows"] if row["model"] == "base" and row["metric"] != "validation_loss"]
    assert base
    assert {row["verdict"] for row in base} == {"can't tell"}
    assert {row["difference"] for row in base} <= {0.0, None}


def test_tables_for_the_eye_and_for_a_pull_request(repository):
    shown = CliRunner().invoke(cli.app, ["compare", "HEAD", "worse-one"], env={"COLUMNS": "80"})
    assert shown.exit_code == 0, shown.output
    assert "…" not in shown.stdout, "it fits on 80 characters"
    line = next(line for line in shown.stdout.splitlines() if "gate_pass_rate" in line and "worse" in line)
    assert "↑" in line
    markdown = compare("HEAD", "worse-one", "--markdown").stdout
    assert "| metric | before | after | change | 95 % interval | n | verdict |" in markdown
    assert any(row.startswith("| total ↑ | 0.") and row.endswith("| worse |") for row in markdown.splitlines())


def test_other_prompts_are_said_to_be_unpaired(repository, scores):
    from dataclasses import replace

    moved = [replace(row, prompt=f"other {row.prompt}") for row in scores["gibberish"]]
    write(scores | {"model": moved})
    told = rows("HEAD")
    assert not told["total"]["paired"]
    assert told["total"]["verdict"] == "worse"
    assert "not paired" in compare("HEAD").stdout


REFUSED = [
    (["nowhere"], "nowhere: no Git revision and no experiment of this name", "unknown"),
    (["--json", "none"], "none: has no metrics/scores.csv", "no files there"),
    (["twice"], "twice: 2 experiments have this name", "ambiguous"),
    (["HEAD", "nowhere"], "nowhere: no Git revision", "the second one"),
]


@pytest.mark.parametrize(("arguments", "message", "reason"), REFUSED, ids=[case[2] for case in REFUSED])
def test_what_cannot_be_compared_is_named(repository, arguments, message, reason):
    result = compare(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_a_workspace_without_files_and_a_torn_file(repository):
    Path("metrics/scores.csv").write_text("model,test\nbase,new\n")
    torn = compare("HEAD")
    assert torn.exit_code == 2
    assert "metrics/scores.csv of workspace: not a file of scores" in torn.stderr
    Path("metrics/scores.csv").unlink()
    gone = compare("HEAD")
    assert gone.exit_code == 2
    assert "metrics/scores.csv: not in the workspace" in gone.stderr


def test_outside_of_a_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    result = compare("HEAD")
    assert result.exit_code == 2
    assert "not in a Git repository" in result.stderr
