"""Each request ends as an answer or as a named error, whatever the server does, and none is asked for twice."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.stage import Budget, Prices, TeacherRun
from questions_gen.teacher import client as client_module
from questions_gen.teacher.answers import Evaluation, parse, text_limits
from questions_gen.teacher.client import Client, Dropped, Missing, Unreachable
from questions_gen.teacher.connection import Connection, Endpoint, retry_after
from questions_gen.teacher.limits import Limits, OverBudget, Pace, most
from questions_gen.teacher.prompts import TeacherParams, evaluation_request
from questions_gen.teacher.sealing import seal
from questions_gen.teacher.session import consult
from questions_gen.teacher.store import SEALED, Request, Store
from tests.fake_teacher import PASSING_FAULTS, UNLIMITED, FakeTeacher
from tests.tracked_runs import CALLS

KEY = "sk-a-key-that-must-appear-nowhere"
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


def ask_all(
    home: Path,
    base_url: str,
    statements: Sequence[str],
    *,
    mode: str = "record",
    concurrency: int = 8,
    timeout: float = 5.0,
    pauses: list[float] | None = None,
    repeats_itself: bool = False,
    limits: dict[str, Any] | None = None,
) -> tuple[list[Any], Client]:
    """The evaluation or the exception of each statement. Pauses are noted, not made."""

    async def pause(seconds: float) -> None:
        if pauses is not None:
            pauses.append(seconds)

    async def work() -> tuple[list[Any], Client]:
        connect = partial(Connection, Endpoint(base_url, KEY, timeout, repeats_itself))
        run = teacher_run(base_url, mode=mode, **(limits or {}))
        client = Client(Store(home), mode, connect, concurrency, Limits(run), pause)
        read = partial(parse, kind=Evaluation, limits=text_limits(PARAMS.max_tokens))
        try:
            asked = [client.ask(evaluation_request(PARAMS, statement), read) for statement in statements]
            return await asyncio.gather(*asked, return_exceptions=True), client
        finally:
            await client.close()

    return asyncio.run(work())


def stored(home: Path) -> list[dict]:
    """What a sealed store would hold: the answers by key, without notes."""
    store = Store(home)
    return [store._answers._entries[key].model_dump() for key in sorted(store._answers._entries)]


@pytest.mark.parametrize("fault", PASSING_FAULTS)
def test_a_passing_fault_is_followed_by_an_answer(tmp_path: Path, fault: str) -> None:
    with FakeTeacher([fault]) as server:
        [result], client = ask_all(tmp_path, server.base_url, ["p"], timeout=0.3)
    assert isinstance(result, Evaluation)
    assert (len(server.bodies), client.counts["attempts"], client.counts["asked"]) == (2, 2, 1)
    assert Store(tmp_path).find_failure(evaluation_request(PARAMS, "p").key) is not None, "the fault is on record"


@pytest.mark.parametrize(
    ("fault", "expected", "words"),
    [
        ("http_400", Dropped, "refused"),
        ("http_422", Dropped, "refused"),
        ("http_401", UserError, "the key isn't accepted"),
        ("http_402", UserError, "the account is empty"),
        ("http_403", UserError, "access is denied"),
        ("http_404", UserError, "no such model or address"),
    ],
)
def test_what_no_repetition_mends_is_asked_once(tmp_path: Path, fault: str, expected: type, words: str) -> None:
    with FakeTeacher([fault] * 9) as server:
        [result], _ = ask_all(tmp_path, server.base_url, ["p"])
    assert isinstance(result, expected)
    assert words in str(result)
    assert KEY not in str(result)
    assert len(server.bodies) == 1


def test_a_denial_stops_all_that_is_not_under_way(tmp_path: Path) -> None:
    with FakeTeacher(["http_401"] * 50) as server:
        results, _ = ask_all(tmp_path, server.base_url, [f"p{n}" for n in range(50)], concurrency=2)
    assert all(isinstance(result, UserError) for result in results)
    assert len(server.bodies) <= 2


def test_equal_requests_are_asked_once(tmp_path: Path) -> None:
    with FakeTeacher(latency=0.1) as server:
        results, client = ask_all(tmp_path, server.base_url, ["p"] * 20 + ["q"])
        assert len(server.bodies) == 2
        assert results[0] == results[19] != results[20]
        assert client.counts["asked"] == 2
        ask_all(tmp_path, server.base_url, ["q", "p"])
        assert len(server.bodies) == 2, "the next run finds them stored"


def test_no_more_are_under_way_than_allowed_and_that_many_are(tmp_path: Path) -> None:
    with FakeTeacher(latency=0.1) as server:
        start = time.perf_counter()
        ask_all(tmp_path, server.base_url, [f"p{n}" for n in range(32)], concurrency=8)
        assert time.perf_counter() - start < 32 * 0.1 / 2
    assert server.most_at_once == 8


SERVER = """
import sys
from tests.fake_teacher import FakeTeacher
with FakeTeacher(latency=0.2) as server:
    print(server.base_url, flush=True)
    sys.stdin.read()
"""


@contextmanager
def server_of_its_own() -> Iterator[str]:
    """The address of a server in another process, which doesn't take its time from this one."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()


@pytest.mark.alone
def test_64_requests_at_once_are_30_times_as_fast_as_one_by_one(tmp_path: Path) -> None:
    with server_of_its_own() as base_url:
        rates = {}
        for tries in range(5):  # a busy machine is no fault of the client's
            for concurrency, count in ((1, 5), (64, 640)):
                began = time.monotonic()
                statements = [f"p{n} of try {tries}" for n in range(count)]
                home = tmp_path / f"{tries} {concurrency}"
                results, _ = ask_all(home, base_url, statements, concurrency=concurrency)
                rates[concurrency] = count / (time.monotonic() - began)
                assert all(isinstance(result, Evaluation) for result in results)
            if rates[64] >= 30 * rates[1]:
                break
    print(f"64 at once: {rates[64] / rates[1]:.1f} times the sequential rate")
    assert rates[64] >= 30 * rates[1]


RECORDER = """
import sys
from pathlib import Path
from tests.teacher.test_client import PARAMS, evaluate, teacher_run
from questions_gen.teacher.session import consult
statements = [f"p{n}" for n in range(400)]
consult(PARAMS, teacher_run(sys.argv[1], timeout=60.0), Path(sys.argv[2]), evaluate, statements, label="teach")
"""


def test_a_recording_that_is_killed_at_20_moments_asks_nothing_twice(tmp_path: Path) -> None:
    draw = random.Random(11)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    kept_before: list[tuple[int, set[str]]] = []
    with FakeTeacher(latency=0.02) as server:
        command = [sys.executable, "-c", RECORDER, server.base_url, str(tmp_path)]
        for _ in range(20):
            recorder = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
            seen = len(server.bodies)
            while len(server.bodies) == seen and recorder.poll() is None:
                time.sleep(0.001)
            time.sleep(draw.uniform(0, 0.1))
            recorder.kill()
            recorder.wait()
            time.sleep(0.1)  # what was sent has arrived
            kept_before.append((len(server.bodies), {entry["key"] for entry in stored(tmp_path)}))
        subprocess.run(command, env=environment, check=True, capture_output=True)
        keys = [Request(body).key for body in server.bodies]
    assert len(kept_before[-1][1]) > 20, "the kills hit it at work"
    for (_, earlier), (_, later) in pairwise(kept_before):
        assert earlier <= later, "no stored answer is lost"
    for place, kept in kept_before:
        assert not kept & set(keys[place:]), "none is asked again"
    assert len(stored(tmp_path)) == 400


def test_refresh_asks_again_and_the_new_answer_counts(tmp_path: Path) -> None:
    answers = iter(["1", "2"])

    def answer(body: dict) -> str:
        scores = '"difficulty": 1, "innovation": 1, "clarity": 1, "educational_value": 1'
        return f'{{"feedback": "f", "rigor": {next(answers)}, {scores}}}'

    with FakeTeacher(answer=answer) as server:
        ask_all(tmp_path, server.base_url, ["p"])
        [result], _ = ask_all(tmp_path, server.base_url, ["p"], mode="refresh")
    assert result.rigor == 2
    [result], _ = ask_all(tmp_path, "http://127.0.0.1:9/v1", ["p"], mode="replay")
    assert result.rigor == 2


def test_replay_asks_nobody(tmp_path: Path) -> None:
    with FakeTeacher([None, "length"]) as server:
        ask_all(tmp_path, server.base_url, ["p", "cut"], concurrency=1, repeats_itself=True)
        asked = len(server.bodies)
        results, _ = ask_all(tmp_path, server.base_url, ["p", "cut", "new"], mode="replay")
        assert len(server.bodies) == asked
    assert isinstance(results[0], Evaluation)
    assert isinstance(results[1], Dropped), "dropped then, dropped now"
    assert str(results[1]) == "cut_off"
    assert isinstance(results[2], Missing)


@pytest.mark.parametrize("fault", ["half_json", "wrong_schema", "score_of_9", "empty", "length"])
def test_a_bad_answer_is_no_score_and_no_hit(tmp_path: Path, fault: str) -> None:
    with FakeTeacher([fault] * 4) as server:
        [result], client = ask_all(tmp_path, server.base_url, ["p"], repeats_itself=True)
        assert isinstance(result, Dropped)
        assert len(server.bodies) == 1, "a server that repeats itself isn't asked again at once"
        assert stored(tmp_path) == []
        assert client.used == {}
        [result], _ = ask_all(tmp_path, server.base_url, ["p"])
        assert isinstance(result, Dropped)
        assert len(server.bodies) == 4, "another one is, three times"
        [result], _ = ask_all(tmp_path, server.base_url, ["p"])
        assert isinstance(result, Evaluation)


def test_pauses_grow_and_give_way_to_the_server_s_wish(tmp_path: Path) -> None:
    pauses: list[float] = []
    with FakeTeacher(["http_500", "http_429_retry_after", "http_503"]) as server:
        ask_all(tmp_path, server.base_url, ["p"], pauses=pauses)
    assert 0.25 <= pauses[0] <= 0.5
    assert pauses[1] == 0
    assert 1 <= pauses[2] <= 2


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after("7") == 7
    assert 50 < retry_after(time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 60))) < 61
    assert retry_after("soon") is retry_after(None) is None


def test_a_server_that_is_gone_is_left_in_peace_soon(tmp_path: Path) -> None:
    pauses: list[float] = []
    results, client = ask_all(
        tmp_path, "http://127.0.0.1:9/v1", [f"p{n}" for n in range(200)], concurrency=2, pauses=pauses
    )
    assert all(isinstance(result, Unreachable) for result in results)
    assert client.counts["attempts"] <= 6 * client_module.ATTEMPTS


def test_two_hundred_requests_and_many_faults_give_the_same_store_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    draw = random.Random(3)
    faults = [draw.choice(PASSING_FAULTS) if draw.random() < 0.3 else None for _ in range(1000)]
    statements = [f"p{n}" for n in range(200)]
    monkeypatch.setattr(client_module, "ANSWER_ATTEMPTS", 6)
    with FakeTeacher(faults) as server:
        results, _ = ask_all(tmp_path / "faults", server.base_url, statements, concurrency=32, timeout=0.5)
        assert all(isinstance(result, Evaluation | Dropped | Unreachable) for result in results)
        answered = sum(isinstance(result, Evaluation) for result in results)
        assert answered >= 190
        seen = len(server.bodies)
        while not all(isinstance(result, Evaluation) for result in results):
            results, _ = ask_all(tmp_path / "faults", server.base_url, statements, concurrency=32, timeout=0.5)
        assert len(server.bodies) - seen <= 6 * (200 - answered), "only what had no answer was asked again"
    with FakeTeacher() as server:
        expected, _ = ask_all(tmp_path / "calm", server.base_url, statements, concurrency=32)
    assert results == expected
    assert stored(tmp_path / "faults") == stored(tmp_path / "calm")
    assert seal(tmp_path / "faults") == seal(tmp_path / "calm") == 200
    assert files.digest(tmp_path / "faults" / SEALED) == files.digest(tmp_path / "calm" / SEALED)
    said = caplog.text + "".join(path.read_text() for path in tmp_path.rglob("*.jsonl"))
    assert "bad luck with Bearer ***" in said
    assert KEY not in said


def teacher_run(base_url: str | None, **values: Any) -> TeacherRun:
    defaults = {"mode": "record", "key_variable": "TEST_TEACHER_KEY", "concurrency": 4, "timeout": 5.0, **UNLIMITED}
    return TeacherRun(base_url=base_url, **(defaults | values))


async def evaluate(teacher: Any, statement: str) -> Evaluation:
    return await teacher.evaluate(statement)


def test_an_answer_in_memory_is_on_the_disk(tmp_path: Path) -> None:
    found: list[bool] = []

    async def check(teacher: Any, statement: str) -> None:
        await teacher.evaluate(statement)
        found.append(Store(tmp_path).find(evaluation_request(PARAMS, statement).key) is not None)

    with FakeTeacher() as server:
        consult(PARAMS, teacher_run(server.base_url), tmp_path, check, ["p", "q", "r"], label="teach")
    assert found == [True] * 3


def test_a_write_that_fails_once_loses_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep, tries = Store.keep, []

    def failing(self: Store, entries: list) -> None:
        tries.append(len(entries))
        if len(tries) == 2:
            raise UserError("the disk is full for a moment")
        keep(self, entries)

    monkeypatch.setattr(Store, "keep", failing)
    statements = [f"p{number}" for number in range(6)]
    with FakeTeacher() as server:
        results, _ = ask_all(tmp_path, server.base_url, statements)
    assert [isinstance(result, Evaluation) for result in results].count(False) == 1
    assert len(stored(tmp_path)) == 6, "the answers of the others that were to be written with it, and its own"


def test_a_session_is_whole_or_says_what_is_missing(tmp_path: Path) -> None:
    with FakeTeacher() as server:
        run = teacher_run(server.base_url)
        lessons = consult(PARAMS, run, tmp_path, evaluate, ["p", "q"], label="teach")
        assert [answer.key for answer in lessons.answers] == sorted(
            evaluation_request(PARAMS, statement).key for statement in ("p", "q")
        )
    replay = teacher_run(None, mode="replay")
    assert consult(PARAMS, replay, tmp_path, evaluate, ["q", "p"], label="teach").results == lessons.results[::-1]
    with pytest.raises(UserError, match=r"replay, but answers for 1 of 3 problems aren't stored \(2 answers are\)"):
        consult(PARAMS, replay, tmp_path, evaluate, ["p", "q", "new"], label="teach")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"base_url": None}, "teacher.embedded"),
        ({"base_url": "ftp://example.org"}, "must begin with http"),
        ({"base_url": "https://user:secret@teacher.example"}, "TEST_TEACHER_KEY is empty"),
    ],
)
def test_what_cannot_work_is_said_before_any_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict, words: str
) -> None:
    monkeypatch.delenv("TEST_TEACHER_KEY", raising=False)
    with pytest.raises(UserError, match=words) as caught:
        consult(PARAMS, teacher_run(**values), tmp_path, evaluate, ["p"], label="teach")
    assert "secret" not in str(caught.value)


def test_the_key_comes_from_the_environment_and_goes_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_TEACHER_KEY", KEY)
    with FakeTeacher(["http_401"]) as server, pytest.raises(UserError, match="isn't accepted") as caught:
        consult(PARAMS, teacher_run(server.base_url), tmp_path, evaluate, ["p"], label="teach")
    assert server.keys == {KEY}
    assert KEY not in str(caught.value)
    assert not any(KEY in path.read_text() for path in tmp_path.rglob("*") if path.is_file())


def test_a_proxy_is_not_asked_for_a_server_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert "HTTP_PROXY" in os.environ
    with FakeTeacher() as server:
        assert consult(PARAMS, teacher_run(server.base_url), tmp_path, evaluate, ["p"], label="teach").results


def test_a_failing_piece_of_work_is_no_result(tmp_path: Path) -> None:
    async def broken(teacher: Any, statement: str) -> None:
        raise KeyError(statement)

    with pytest.raises(KeyError):
        consult(PARAMS, teacher_run("http://127.0.0.1:9"), tmp_path, broken, ["p"], label="teach")


@pytest.mark.parametrize("structured", ["json_schema", "json_object", "prompt"])
def test_the_form_is_asked_for_in_the_way_that_the_params_say(tmp_path: Path, structured: str) -> None:
    params = PARAMS.model_copy(update={"structured": structured})
    with FakeTeacher() as server:
        consult(params, teacher_run(server.base_url), tmp_path, evaluate, ["p"], label="teach")
    [body] = server.bodies
    form: dict[str, Callable[[Any], bool]] = {
        "json_schema": lambda f: f["json_schema"]["strict"] and "feedback" in f["json_schema"]["schema"]["required"],
        "json_object": lambda f: f == {"type": "json_object"},
        "prompt": lambda f: f is None,
    }
    assert form[structured](body.get("response_format"))
    assert ("JSON" in body["messages"][0]["content"]) == (structured != "json_schema")
    assert body["seed"] == 1


BUDGETS = {
    "requests": Budget(requests=10, tokens=None, cost=None),
    "tokens": Budget(requests=None, tokens=10_000, cost=None),
    "cost": Budget(requests=None, tokens=None, cost=0.01),
}


@pytest.mark.parametrize("name", BUDGETS)
def test_no_more_than_the_budget_is_sent_also_at_once(tmp_path: Path, name: str) -> None:
    body = evaluation_request(PARAMS, "p0").body
    fitting = {"requests": 10, "tokens": 10_000 // most(body).total, "cost": 10_000 // most(body).total}[name]
    limits = {"budget": BUDGETS[name], "prices": Prices(prompt=1.0, completion=1.0)}
    with FakeTeacher(latency=0.2) as server:
        statements = [f"p{n}" for n in range(64)]
        results, client = ask_all(tmp_path, server.base_url, statements, concurrency=64, limits=limits)
        assert len(server.bodies) == client.counts["asked"] == fitting
        assert sum(isinstance(result, Evaluation) for result in results) == fitting
        over = [result for result in results if isinstance(result, OverBudget)]
        assert len(over) == 64 - fitting
        assert f"budget.{name}" in str(over[0])


def test_what_an_answer_took_is_counted_and_not_what_it_might_have_taken(tmp_path: Path) -> None:
    limits = {"budget": BUDGETS["tokens"], "prices": Prices(prompt=2.0, completion=10.0)}
    with FakeTeacher() as server:
        statements = [f"p{n}" for n in range(20)]
        results, client = ask_all(tmp_path, server.base_url, statements, concurrency=1, limits=limits)
    assert all(isinstance(result, Evaluation) for result in results)
    assert client.limits.tokens == (20 * 10, 20 * 5)
    assert client.limits.cost == pytest.approx((200 * 2 + 100 * 10) / 1e6)


def test_what_may_have_been_billed_stays_charged_and_a_refusal_costs_nothing(tmp_path: Path) -> None:
    with FakeTeacher(["http_503", "half_body"]) as server:
        _, client = ask_all(tmp_path, server.base_url, ["p"])
    charge = most(evaluation_request(PARAMS, "p").body)
    assert client.limits.requests == 3
    assert client.limits.tokens == (charge.prompt + 10, charge.completion + 5)


def test_a_run_over_its_budget_is_no_result_and_the_next_goes_on(tmp_path: Path) -> None:
    statements = [f"p{n}" for n in range(12)]
    with FakeTeacher() as server:
        run = teacher_run(server.base_url, budget=BUDGETS["requests"])
        with pytest.raises(UserError, match=r"stopped at run.teacher.budget.requests: 10; 2 of 12 problems"):
            consult(PARAMS, run, tmp_path, evaluate, statements, label="teach")
        assert len(consult(PARAMS, run, tmp_path, evaluate, statements, label="teach").results) == 12
        assert len(server.bodies) == 12


def test_a_pace_spreads_what_it_lets_through_over_the_minute() -> None:
    assert [Pace(None).wait(5, 0.0) for _ in range(3)] == [0, 0, 0]
    pace = Pace(60)
    assert [pace.wait(2, 10.0), pace.wait(1, 10.0), pace.wait(1, 11.0), pace.wait(1, 100.0)] == [0, 2, 2, 0]


@pytest.mark.parametrize("rate", ["requests_per_minute", "tokens_per_minute"])
def test_rates_hold_on_the_wire(tmp_path: Path, rate: str) -> None:
    units = 1 if rate == "requests_per_minute" else most(evaluation_request(PARAMS, "p0").body).total
    with FakeTeacher() as server:
        start = time.perf_counter()
        ask_all(tmp_path, server.base_url, [f"p{n}" for n in range(6)], limits={rate: 600 * units})
        assert 0.5 <= time.perf_counter() - start < 5


def test_a_budget_of_money_needs_prices() -> None:
    with pytest.raises(ValueError, match="needs prices"):
        teacher_run(None, budget=BUDGETS["cost"])


def test_each_call_is_shown_without_the_key(tmp_path: Path) -> None:
    with FakeTeacher(["http_503"]) as server:
        _, client = ask_all(tmp_path, server.base_url, ["p"])
        _, again = ask_all(tmp_path, server.base_url, ["p"])
    assert [row["status"] for row in client.calls] == ["http_503", "asked"]
    assert [row["status"] for row in again.calls] == ["stored"]
    assert client.calls[1]["prompt_tokens"] == 10
    assert client.calls[1].keys() == CALLS[1].keys(), "what is made into traces"
    assert client.calls[0]["start"] <= client.calls[0]["end"] <= client.calls[1]["start"] <= client.calls[1]["end"]
    assert KEY not in str(client.calls)
