"""judge as a whole, against a server on loopback."""

from pathlib import Path

from questions_gen import files
from questions_gen.answers import parse_completion
from questions_gen.params import load_params
from questions_gen.schema import Evaluated, Message, Prompt, Verdict
from questions_gen.stage import Context, Log, NoTracker, RunParams, TeacherRun, TrackingRun
from stages import judge
from tests.conftest import ROOT
from tests.fake_teacher import UNLIMITED, FakeTeacher
from tests.pipeline.test_teach import PARAMS, contents


def row(name: str, text: str, *, test: str = "new", thinking: bool = False) -> Evaluated:
    prompt = Prompt(id=f"p-{name}", task="problem", messages=(Message(role="user", content="?"),))
    completion = parse_completion(id=name, prompt_id=prompt.id, text=text, finish_reason="stop", tokens=9, seed=0)
    verdict = Verdict(passed=True, rewards={}, similarity=0.0, known_similarity=0.0, total=0.5)
    return Evaluated(
        test=test, cell="x", thinking=thinking, prompt=prompt, completion=completion, verdict=verdict, nearest=None
    )


def run_judge(home: Path, base_url: str | None, texts: list[str], mode: str = "record", out: str = "judgement") -> Log:
    files.write_rows(home / "evaluation/rows.jsonl", [row(f"c{n}", text) for n, text in enumerate(texts)])
    server = TeacherRun(mode=mode, base_url=base_url, key_variable="NONE", concurrency=4, timeout=5.0, **UNLIMITED)
    given = load_params({"run": RunParams}, ROOT / "params.yaml")["run"]
    run = given.model_copy(update={"teacher": server, "tracking": TrackingRun(enabled=False, uri=None)})
    return judge.work(
        Context(run, NoTracker(), home / "checkpoints", home),
        teacher=PARAMS,
        judge=judge.JudgeParams(samples=2),
        evaluation=home / "evaluation",
        judgement=home / out,
    )


def test_the_first_problems_with_a_statement_are_scored(tmp_path: Path) -> None:
    with FakeTeacher() as server:
        log = run_judge(tmp_path, server.base_url, ["", "What is 2?", "What is 3?", "What is 4?"])
        assert len(server.bodies) == 2
    rows = files.read_rows(tmp_path / "judgement/evaluations.jsonl")
    assert [row["problem_id"] for row in rows] == ["c1", "c2"]
    assert log.metrics["n"] == 2
    assert log.metrics["mean"]["overall"] == (rows[0]["overall"] + rows[1]["overall"]) / 2
    assert log.metrics["dropped"] == {}
    assert run_judge(tmp_path, None, ["", "What is 2?", "What is 3?"], mode="replay", out="replayed") == log
    assert contents(tmp_path / "judgement") == contents(tmp_path / "replayed")


def test_only_new_problems_without_thinking_are_scored(tmp_path: Path) -> None:
    rows = [
        row("a", "What is 1?", thinking=True),
        row("b", "What is 2?", test="variation"),
        row("c", "What is 3?", test="control"),
        row("d", "What is 4?"),
    ]
    files.write_rows(tmp_path / "rows.jsonl", rows)
    assert [c.id for c in judge.questions(tmp_path, judge.JudgeParams(samples=9))] == ["d"]


def test_what_is_not_judged_is_no_score(tmp_path: Path) -> None:
    with FakeTeacher(["score_of_9"] * 3) as server:
        log = run_judge(tmp_path, server.base_url, ["What is 2?"])
    assert log.metrics["n"] == 0
    assert set(log.metrics["mean"].values()) == {None}
    assert log.metrics["dropped"] == {"wrong_schema": 1}
    assert files.read_rows(tmp_path / "judgement/dropped.jsonl") == [{"id": "c0", "reason": "wrong_schema"}]


def test_a_model_that_wrote_nothing_is_judged_as_nothing(tmp_path: Path) -> None:
    log = run_judge(tmp_path, None, ["", " "], mode="replay")
    assert log.metrics["n"] == 0
    assert files.read_rows(tmp_path / "judgement/evaluations.jsonl") == []


def test_one_stage_a_model() -> None:
    stage = judge.stage("grpo")
    assert stage.address == "judge@grpo"
    assert stage.inputs == {"evaluation": Path("data/evaluation/grpo")}
    assert stage.outputs == {"judgement": Path("data/judgement/grpo")}
