"""judge as a whole, against a server on loopback."""

from hashlib import sha256
from pathlib import Path

from questions_gen import files
from questions_gen.answers import parse_completion
from questions_gen.params import load_params
from questions_gen.schema import Evaluated, Language, Message, Prompt, Verdict
from questions_gen.stage import Context, Log, NoTracker, RunParams, TeacherRun, TrackingRun
from questions_gen.teacher import chinese
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


def run_judge(
    home: Path,
    base_url: str | None,
    texts: list[str],
    mode: str = "record",
    out: str = "judgement",
    language: Language = "en",
) -> Log:
    files.write_rows(home / "evaluation/rows.jsonl", [row(f"c{n}", text) for n, text in enumerate(texts)])
    server = TeacherRun(mode=mode, base_url=base_url, key_variable="NONE", concurrency=4, timeout=5.0, **UNLIMITED)
    given = load_params({"run": RunParams}, ROOT / "params.yaml")["run"]
    run = given.model_copy(update={"teacher": server, "tracking": TrackingRun(enabled=False, uri=None)})
    return judge.work(
        Context(run, NoTracker(), home / "checkpoints", home),
        teacher=PARAMS,
        judge=judge.JudgeParams(samples=2),
        language=language,
        evaluation=home / "evaluation",
        judgement=home / out,
    )


def test_problems_with_a_statement_are_scored(tmp_path: Path) -> None:
    texts = ["", "What is 2?", "What is 3?", "What is 4?"]
    with FakeTeacher() as server:
        log = run_judge(tmp_path, server.base_url, texts)
        assert len(server.bodies) == 2
    rows = files.read_rows(tmp_path / "judgement/evaluations.jsonl")
    assert [row["problem_id"] for row in rows] == sorted(by_hash("c1", "c2", "c3")[:2])
    assert log.metrics["n"] == 2
    assert log.metrics["mean"]["overall"] == (rows[0]["overall"] + rows[1]["overall"]) / 2
    assert log.metrics["dropped"] == {}
    assert run_judge(tmp_path, None, texts, mode="replay", out="replayed") == log
    assert contents(tmp_path / "judgement") == contents(tmp_path / "replayed")


def by_hash(*names: str) -> list[str]:
    return sorted(names, key=lambda name: sha256(f"p-{name}".encode()).hexdigest())


def test_each_prompt_comes_once_before_one_comes_twice_and_all_topics_do(tmp_path: Path) -> None:
    """The rows are in the order of topics; the first of them alone would be of one."""
    names = [f"{topic}{number}" for topic in ("algebra", "geometry", "number theory") for number in range(8)]
    rows = [row(name, "What is 2?") for name in names for _ in range(2)]
    files.write_rows(tmp_path / "rows.jsonl", rows)
    chosen = [c.id for c in judge.questions(tmp_path, judge.JudgeParams(samples=12))]
    assert chosen == by_hash(*names)[:12]
    assert {name.rstrip("01234567") for name in chosen} == {"algebra", "geometry", "number theory"}
    every = judge.questions(tmp_path, judge.JudgeParams(samples=30))
    assert [c.id for c in every] == (by_hash(*names) * 2)[:30]


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


def test_a_chinese_run_asks_in_chinese(tmp_path: Path) -> None:
    with FakeTeacher() as server:
        log = run_judge(tmp_path, server.base_url, ["求 $x^2-2x$ 的最小值。", "求所有质数 $p$。"], language="zh")
        asked = [[message["content"] for message in body["messages"]] for body in server.bodies]
    assert log.metrics["n"] == 2
    assert {messages[0] for messages in asked} == {chinese.SYSTEM_EVALUATE}
    assert sorted(messages[-1] for messages in asked) == ["评审：求 $x^2-2x$ 的最小值。", "评审：求所有质数 $p$。"]
