"""teach as a whole, against a server on loopback."""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import pytest
from scipy.stats import spearmanr

from questions_gen import files, prompts
from questions_gen.answers import parse_completion, split_answer
from questions_gen.errors import UserError
from questions_gen.params import load_params
from questions_gen.schema import Conversation, Preference, Prompt
from questions_gen.stage import Context, Log, NoTracker, RunParams, TeacherRun, TrackingRun
from questions_gen.teacher.prompts import TeacherParams
from stages import teach
from tests.conftest import ROOT, write_tiny_mixed
from tests.fake_teacher import UNLIMITED, FakeTeacher, asks_for_evaluation, good_answer
from tests.rewards.judges import PARAMS as REWARDS

PARAMS = TeacherParams(
    model="m",
    embedded=None,
    structured="json_schema",
    temperature=0.3,
    top_p=0.95,
    max_tokens=400,
    frequency_penalty=0.0,
    seed=1,
    samples=1,
)
TEACH = teach.TeachParams(variations_every=3, margin=0.02, compare=False)
COUNT = 6


def write_proposals(folder: Path, *, texts: dict[int, str] | None = None) -> Path:
    asked = [
        Prompt(id=f"p{n}", task="problem", messages=prompts.problem_messages("algebra", [f"idea {n}"]))
        for n in range(COUNT)
    ]
    texts = {n: f"Find the sum of the roots of $x^2 - {n + 5} x + {n} = 0$." for n in range(COUNT)} | (texts or {})
    completions = [
        parse_completion(id=f"c{n}", prompt_id=f"p{n}", text=texts[n], finish_reason="stop", tokens=9, seed=n)
        for n in range(COUNT)
    ]
    files.write_rows(folder / "prompts.jsonl", asked)
    files.write_rows(folder / "completions.jsonl", completions)
    return folder


def run_teach(
    home: Path,
    base_url: str | None,
    out: str = "lessons",
    mode: str = "record",
    compare: bool = False,
    **proposals: object,
) -> Log:
    server = TeacherRun(mode=mode, base_url=base_url, key_variable="NONE", concurrency=4, timeout=5.0, **UNLIMITED)
    given = load_params({"run": RunParams}, ROOT / "params.yaml")["run"]
    run = given.model_copy(update={"teacher": server, "tracking": TrackingRun(enabled=False, uri=None)})
    context = Context(run, NoTracker(), home / "checkpoints", home)
    write_tiny_mixed(home / "mixed")
    return teach.work(
        context,
        teacher=PARAMS,
        teach=TEACH.model_copy(update={"compare": compare}),
        rewards=REWARDS,
        mixed=home / "mixed",
        proposals=write_proposals(home / "proposals", **proposals),
        lessons=home / out,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_each_proposal_becomes_lessons(tmp_path: Path) -> None:
    with FakeTeacher() as server:
        log = run_teach(tmp_path, server.base_url)
        assert len(server.bodies) == 6 + 6 + 2 * 3
    rows = files.read_records(tmp_path / "lessons/conversations.jsonl", Conversation)
    assert log.metrics["tasks"] == {"improve": 6, "problem": 6, "variation": 6}
    assert log.metrics["conversations"] == len(rows) == 18
    assert log.metrics["dropped"] == {}
    assert log.metrics["tokens"] == {"prompt": 18 * 10, "completion": 18 * 5}
    preferences = files.read_records(tmp_path / "lessons/preferences.jsonl", Preference)
    assert [pair.id for pair in preferences] == [f"c{n}" for n in range(COUNT)]
    assert log.metrics["preferences"] == 6
    assert log.metrics["gain"] == fmean(pair.chosen_total for pair in preferences), "the originals have no answer"
    assert {row.source_id for row in rows if row.task == "variation"} == {"c0", "c3"}, "every third"
    for row in rows:
        statement, answer = split_answer(row.messages[-1].content)
        assert statement.startswith("How many integers") == (row.task != "variation")
        assert answer is not None
    evaluations = files.read_rows(tmp_path / "lessons/evaluations.jsonl")
    assert [row["problem_id"] for row in evaluations] == [f"c{n}" for n in range(COUNT)]
    improve = next(row for row in rows if row.id == "c2/improve")
    assert evaluations[2]["feedback"] in improve.messages[0].content, "its own feedback"
    keys = [row["key"] for row in files.read_rows(tmp_path / "lessons/answers.jsonl")]
    assert keys == sorted(set(keys))
    assert len(keys) == 18


def test_the_data_is_the_same_from_the_server_and_from_the_store(tmp_path: Path) -> None:
    with FakeTeacher(["http_503", "reset", None, "half_json"]) as server:
        asked = run_teach(tmp_path, server.base_url)
    replayed = run_teach(tmp_path, None, "replayed", mode="replay")
    assert asked == replayed
    assert contents(tmp_path / "lessons") == contents(tmp_path / "replayed")
    with FakeTeacher() as server:
        assert run_teach(tmp_path / "other", server.base_url) == asked
    assert contents(tmp_path / "lessons") == contents(tmp_path / "other/lessons"), "no id, time or attempt in it"


@pytest.mark.parametrize("changed", [1, 2, 4])
def test_changed_proposals_ask_for_those_only(tmp_path: Path, changed: int) -> None:
    places = [1, 2, 4, 5][:changed]
    with FakeTeacher() as server:
        run_teach(tmp_path, server.base_url)
        before = len(server.bodies)
        run_teach(tmp_path, server.base_url, texts={n: f"What is the last digit of $7^{{{100 + n}}}$?" for n in places})
        asked = server.bodies[before:]
    assert len(asked) == 2 * changed, "an evaluation and an improvement of each"
    assert all("$7^{10" in body["messages"][-1]["content"] for body in asked)


def test_where_asked_each_improvement_is_compared_in_both_orders(tmp_path: Path) -> None:
    with FakeTeacher() as server:
        log = run_teach(tmp_path, server.base_url, compare=True)
        assert len(server.bodies) == 6 + 6 + 2 * 3 + 2 * 6
    assert log.metrics["preferences"] == 6
    with FakeTeacher(answer=always_the_second) as server:
        log = run_teach(tmp_path / "other", server.base_url, compare=True)
    assert log.metrics["preferences"] == 0
    assert log.metrics["dropped"] == {"not_preferred": 6}


def always_the_second(body: dict) -> str:
    answer = json.loads(good_answer(body))
    return json.dumps(answer | {"better": "second"} if "better" in answer else answer)


def test_agreement_is_a_rank_correlation_where_there_is_something_to_rank(tmp_path: Path) -> None:
    with FakeTeacher() as server:
        assert run_teach(tmp_path, server.base_url).metrics["agreement"] is None, "every total is 0"
        answered = {
            n: f"Find the {ordinal} prime above {10**n} that has an odd number of ones.\nAnswer: \\boxed{{{n + 7}}}"
            for n, ordinal in enumerate(["first", "second", "third", "last", "least", "largest"])
        }
        log = run_teach(tmp_path / "other", server.base_url, texts=answered)
    rows = files.read_rows(tmp_path / "other/lessons/evaluations.jsonl")
    expected = spearmanr([row["overall"] for row in rows], [row["total"] for row in rows]).statistic
    assert log.metrics["agreement"] == pytest.approx(expected)
    assert -1 <= expected <= 1


def test_what_fails_is_dropped_with_its_reason(tmp_path: Path) -> None:
    def answer(body: dict) -> str:
        if asks_for_evaluation(body) or "$x^2 - 6 x" not in body["messages"][-1]["content"]:
            return good_answer(body)
        return json.dumps({"problem": "Find the sum of the roots of $x^2 - 6 x + 1 = 0$.", "answer": "6"})

    with FakeTeacher(answer=answer) as server:
        again = "Find the sum of the roots of $x^2 - 5 x + 0 = 0$."
        log = run_teach(tmp_path, server.base_url, texts={4: "", 5: again})
    assert files.read_rows(tmp_path / "lessons/dropped.jsonl") == [
        {"id": "c1/improve", "reason": "unchanged"},
        {"id": "c4/proposal", "reason": "no_statement"},
        {"id": "c5/proposal", "reason": "repeats_a_proposal"},
    ]
    assert log.metrics["dropped"] == {"no_statement": 1, "repeats_a_proposal": 1, "unchanged": 1}
    assert log.metrics["scores"]["n"] == 4


def test_a_teacher_that_says_nothing_leaves_reasons(tmp_path: Path) -> None:
    with FakeTeacher(answer=lambda body: "I'd rather not.") as server:
        log = run_teach(tmp_path, server.base_url)
    assert log.metrics["dropped"] == {"not_json": 12}
    assert log.metrics["conversations"] == log.metrics["preferences"] == 0


def test_a_part_is_no_training_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("questions_gen.teacher.client.FIRST_PAUSE", 0)
    with (
        FakeTeacher([None] * 8 + ["http_500"] * 1000) as server,
        pytest.raises(UserError, match="run again to go on from there"),
    ):
        run_teach(tmp_path, server.base_url)
    assert not (tmp_path / "lessons").exists()
    with FakeTeacher() as server:
        run_teach(tmp_path, server.base_url)
        assert len(server.bodies) == 18 - 8, "what was answered isn't asked again"


def test_the_stages_of_the_teacher_load_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "trl", "peft", "openai", "datasets", "mlflow", "xllamacpp", "sklearn")
    script = f"import sys, stages.teach, stages.judge; print(sorted(set({heavy!r}) & set(sys.modules)))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    assert subprocess.check_output([sys.executable, "-c", script], text=True, env=environment) == "[]\n"
