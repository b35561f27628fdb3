"""Nothing that was stored is lost, and nothing that isn't a whole answer is ever a hit."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.teacher.prompts import TeacherParams, evaluation_request
from questions_gen.teacher.store import Answer, Failure, Request, Store

PARAMS = {
    "model": "m",
    "embedded": None,
    "structured": "json_schema",
    "temperature": 0.3,
    "top_p": 0.95,
    "max_tokens": 400,
    "frequency_penalty": 0.0,
    "seed": 1,
    "samples": 1,
}


def answer(number: int, text: str = "{}") -> Answer:
    request = Request({"model": "m", "messages": [{"role": "user", "content": f"question {number}"}]})
    return Answer(
        key=request.key, request=request.body, sample=0, text=text, thinking=None, finish_reason="stop",
        usage={"prompt_tokens": 1}, served_model="m",
    )  # fmt: skip


def failure(number: int) -> Failure:
    return Failure(**answer(number).model_dump(exclude={"text"}), text=None, reason="cut_off", detail="")


def journal(home: Path) -> Path:
    return home / ".teacher/answers.jsonl"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", "n"), ("structured", "json_object"), ("structured", "prompt"), ("temperature", 0.4), ("top_p", 0.9),
        ("max_tokens", 401), ("frequency_penalty", 0.1), ("seed", 2),
    ],
)  # fmt: skip
def test_each_sampling_parameter_is_part_of_the_key(key: str, value: object) -> None:
    changed = TeacherParams(**(PARAMS | {key: value}))
    assert evaluation_request(changed, "p").key != evaluation_request(TeacherParams(**PARAMS), "p").key


def test_the_statement_and_the_sample_are_part_of_the_key_and_the_order_of_fields_is_not() -> None:
    params = TeacherParams(**PARAMS)
    request = evaluation_request(params, "p")
    assert evaluation_request(params, "q").key != request.key
    assert Request(request.body, sample=1).key != request.key
    assert Request(dict(reversed(request.body.items()))).key == request.key


def test_what_one_store_keeps_another_finds(tmp_path: Path) -> None:
    early, late = Store(tmp_path), Store(tmp_path)
    early.keep([(answer(1), 1), (failure(2), 3)])
    assert late.find(answer(1).key) == answer(1), "without being opened again"
    assert Store(tmp_path).find(answer(1).key) == answer(1)


def test_a_failure_is_never_a_hit(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep([(failure(1), 1)])
    assert store.find(failure(1).key) is None
    assert Store(tmp_path).find(failure(1).key) is None
    found = Store(tmp_path).find_failure(failure(1).key)
    assert found is not None
    assert found.reason == "cut_off"


def test_the_last_answer_counts_and_the_journal_goes_before_the_sealed_store(tmp_path: Path) -> None:
    files.write_rows(tmp_path / "data/teacher_store/00.jsonl", [answer(1, "sealed"), answer(2, "sealed")])
    store = Store(tmp_path)
    store.keep([(answer(1, "first"), 1)])
    store.keep([(answer(1, "second"), 1)])
    for opened in (store, Store(tmp_path)):
        assert [opened.find(answer(n).key).text for n in (1, 2)] == ["second", "sealed"]


@pytest.mark.parametrize(
    ("cut", "kept", "why"),
    [
        (1, True, "only the newline is missing: the answer is whole"),
        (2, False, "the last brace is missing"),
        (60, False, "half a line"),
    ],
)
def test_a_torn_last_line_is_repaired(tmp_path: Path, cut: int, kept: bool, why: str) -> None:
    Store(tmp_path).keep([(answer(1), 1), (answer(2), 1)])
    content = journal(tmp_path).read_bytes()
    journal(tmp_path).write_bytes(content[:-cut])
    store = Store(tmp_path)
    assert store.find(answer(1).key) == answer(1)
    assert (store.find(answer(2).key) is not None) == kept, why
    store.keep([(answer(3), 1)])
    lines = journal(tmp_path).read_text().splitlines()
    expected = (1, 2, 3) if kept else (1, 3)
    assert [json.loads(line)["entry"]["key"] for line in lines] == [answer(number).key for number in expected]


def test_a_damaged_line_costs_no_other(tmp_path: Path) -> None:
    Store(tmp_path).keep([(answer(1), 1), (answer(2), 1), (answer(3), 1)])
    lines = journal(tmp_path).read_bytes().splitlines(keepends=True)
    journal(tmp_path).write_bytes(lines[0] + b"\xff\x00{]\n[]\n" + lines[2])
    store = Store(tmp_path)
    assert [store.find(answer(n).key) is not None for n in (1, 2, 3)] == [True, False, True]


def test_a_full_disk_is_said_and_leaves_the_journal_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.keep([(answer(1), 1)])
    before = journal(tmp_path).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        store.keep([(answer(2), 1)])
    assert journal(tmp_path).read_bytes() == before
    assert store.find(answer(2).key) is None


WRITER = """
import sys
from pathlib import Path
from tests.teacher.test_store import answer
from questions_gen.teacher.store import Store
store, first = Store(Path(sys.argv[1])), int(sys.argv[2])
print("open", flush=True)
for number in range(first, first + 100_000):
    store.keep([(answer(number, "x" * 3000), 1)])
    print(number, flush=True)
"""


def start_writer(home: Path, first: int) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", WRITER, str(home), str(first)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert writer.stdout.readline() == "open\n"
    return writer


def test_kill_loses_no_answer_that_was_kept_nor_does_a_second_writer(tmp_path: Path) -> None:
    draw = random.Random(5)
    kept: list[int] = []
    for round_number in range(10):  # 20 moments
        writers = [start_writer(tmp_path, (10 * round_number + place) * 100_000) for place in range(2)]
        time.sleep(draw.uniform(0.02, 0.2))
        for writer in writers:
            writer.kill()
            kept += [int(line) for line in writer.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
    store = Store(tmp_path)
    assert len(kept) > 20
    assert all(store.find(answer(number).key) is not None for number in kept)
    store.keep([(answer(7), 1)])
    assert all(json.loads(line) for line in journal(tmp_path).read_text().splitlines())


@pytest.mark.alone
def test_ten_thousand_answers_are_found_quickly(tmp_path: Path) -> None:
    made = [answer(number, "x" * 500) for number in range(10_000)]
    Store(tmp_path).keep([(entry, 1) for entry in made])
    start = time.perf_counter()
    store = Store(tmp_path)
    assert all(store.find(Request(entry.request).key) is not None for entry in made)
    assert time.perf_counter() - start < 3
