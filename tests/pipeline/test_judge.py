"""judge as a whole, against a server on loopback."""

from pathlib import Path

from questions_gen import files
from questions_gen.answers import parse_completion
from questions_gen.stage import Context, Log, NoTracker, RolloutsRun, RunParams, TeacherRun, TrackingRun
from stages import judge
from tests.fake_teacher import UNLIMITED, FakeTeacher
from tests.pipeline.test_teach import PARAMS, contents

NO_ENGINE = RolloutsRun(server=None, gpu_memory=0.5)


def run_judge(home: Path, base_url: str | None, texts: list[str], mode: str = "record", out: str = "judgement") -> Log:
    completions = [
        parse_completion(id=f"c{n}", prompt_id=f"p{n}", text=text, finish_reason="stop", tokens=9, seed=n)
        for n, text in enumerate(texts)
    ]
    files.write_rows(home / "evaluation/completions.jsonl", completions)
    server = TeacherRun(mode=mode, base_url=base_url, key_variable="NONE", concurrency=4, timeout=5.0, **UNLIMITED)
    run = RunParams(teacher=server, rollouts=NO_ENGINE, tracking=TrackingRun(enabled=False, uri=None))
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
