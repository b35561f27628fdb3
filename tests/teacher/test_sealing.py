"""Sealing: the same answers make the same bytes, nothing is lost, and damage is found."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.teacher import sealing
from questions_gen.teacher.sealing import find, prune, seal, shards, stats, verify
from questions_gen.teacher.store import SEALED, Store
from tests.teacher.test_store import answer, failure, journal


def store(home: Path, numbers: list[int]) -> Store:
    kept = Store(home)
    for number in numbers:
        kept.keep([(answer(number, f'{{"n": {number}}}'), 1)])
    return kept


def test_the_order_of_arrival_leaves_no_trace(tmp_path: Path) -> None:
    numbers = list(range(60))
    for name, seed in (("a", 1), ("b", 2)):
        random.Random(seed).shuffle(numbers)
        kept = store(tmp_path / name, numbers)
        kept.keep([(failure(100 + seed), seed)])
        assert seal(tmp_path / name) == 60
    assert files.digest(tmp_path / "a" / SEALED) == files.digest(tmp_path / "b" / SEALED)
    assert len(shards(tmp_path / "a")) == len({answer(number).key[0] for number in numbers})


def test_sealed_answers_are_found_without_the_journal_and_new_ones_join_them(tmp_path: Path) -> None:
    store(tmp_path, [1, 2, 3])
    seal(tmp_path)
    journal(tmp_path).unlink()
    assert Store(tmp_path).find(answer(2).key).text == '{"n": 2}'
    store(tmp_path, [4])
    assert stats(tmp_path)["not_sealed"] == 1
    assert seal(tmp_path) == 4
    assert stats(tmp_path) == {
        "answers": 4,
        "not_sealed": 0,
        "models": {"m": 4},
        "failures": {},
        "tokens": {"prompt_tokens": 4},
    }


def test_an_answer_that_was_asked_again_replaces_the_sealed_one(tmp_path: Path) -> None:
    store(tmp_path, [1])
    seal(tmp_path)
    Store(tmp_path).keep([(answer(1, "newer"), 1)])
    seal(tmp_path)
    assert find(tmp_path, answer(1).key).text == "newer"


def test_nothing_to_seal_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no answer is stored yet"):
        seal(tmp_path)


def test_pruning_takes_rows_and_no_answer(tmp_path: Path) -> None:
    kept = store(tmp_path, [1, 2])
    seal(tmp_path)
    kept.keep([(answer(2, "newer"), 1), (answer(3), 1), (answer(4, "first"), 1), (answer(4, "last"), 1)])
    kept.keep([(failure(4), 1), (failure(5), 1), (failure(5), 2)])
    before = {number: Store(tmp_path).find(answer(number).key) for number in range(1, 5)}
    assert prune(tmp_path) == 3 + 2, "1 and 2 as they are sealed, the first 4; the failure of 4, the first of 5"
    opened = Store(tmp_path)
    assert {number: opened.find(answer(number).key) for number in before} == before
    assert opened.find_failure(answer(5).key) == failure(5), "a replay still knows why there is no answer"
    assert prune(tmp_path) == 0
    kept.keep([(answer(6), 1)])
    assert opened.find(answer(6).key) == answer(6)


def test_an_answer_that_arrives_while_another_prunes_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = store(tmp_path, [1])
    seal(tmp_path)
    look = sealing.answers

    def late(home: Path) -> dict:
        found = look(home)
        kept.keep([(answer(2), 1)])
        return found

    monkeypatch.setattr(sealing, "answers", late)
    assert prune(tmp_path) == 1
    assert Store(tmp_path).find(answer(2).key) == answer(2)


def test_a_sealed_store_knows_what_was_rejected(tmp_path: Path) -> None:
    """Else a replay without the journal couldn't go on to a question's second sample."""
    kept = store(tmp_path, [1, 2])
    texts = [failure(number).model_copy(update={"text": "half an answ"}) for number in (2, 3)]
    kept.keep([(texts[0], 1), (texts[1], 1), (failure(4), 1)])
    assert seal(tmp_path) == 2
    assert verify(tmp_path) == (2 + 3 + 2 + 1, [])
    shutil.rmtree(tmp_path / ".teacher")
    opened = Store(tmp_path)
    assert opened.find_failure(answer(3).key) == texts[1]
    assert opened.find_failure(answer(2).key) is None, "it was answered later"
    assert opened.find_failure(answer(4).key) is None, "an error is no answer"
    store(tmp_path, [3])
    assert seal(tmp_path) == 3
    assert Store(tmp_path).find_failure(answer(3).key) is None


def test_a_store_that_was_open_while_another_pruned_reads_on(tmp_path: Path) -> None:
    opened = store(tmp_path, [1, 2, 3])
    seal(tmp_path)
    assert prune(tmp_path) == 3
    store(tmp_path, [4])
    assert opened.find(answer(4).key) is not None


def test_damage_is_found(tmp_path: Path) -> None:
    store(tmp_path, [1, 2, 3])
    seal(tmp_path)
    assert verify(tmp_path) == (6, [])
    lines = journal(tmp_path).read_text().splitlines()
    lines[0] = lines[0][:40]
    lines[1] = lines[1].replace("question 2", "question 9")
    journal(tmp_path).write_text("\n".join(lines) + "\n")
    whole, damaged = verify(tmp_path)
    assert whole == 4
    assert [(row.path.name, row.line) for row in damaged] == [("answers.jsonl", 1), ("answers.jsonl", 2)]
    assert "isn't that of its request" in damaged[1].cause


def test_a_key_may_be_cut_short_but_not_ambiguous(tmp_path: Path) -> None:
    store(tmp_path, list(range(20)))
    assert find(tmp_path, answer(7).key[:20]) == answer(7, '{"n": 7}')
    with pytest.raises(UserError, match="20 keys begin with it"):
        find(tmp_path, "")
    with pytest.raises(UserError, match="no stored key"):
        find(tmp_path, "xyz")


def run(home: Path, *command: str) -> subprocess.CompletedProcess:
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(home)}
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)


def test_the_command_seals_and_versions(tmp_path: Path) -> None:
    """In a real DVC repository; a clone that pulls has the answers, and a stage in it would ask nothing."""
    home, clone = tmp_path / "home", tmp_path / "clone"
    home.mkdir()
    for command in ("git init -q", "dvc init -q", f"dvc remote add -q -d shared {tmp_path / 'remote'}"):
        assert run(home, *command.split()).returncode == 0
    store(home, [1, 2, 3])
    done = run(home, "questions-gen", "teacher", "seal")
    assert done.returncode == 0, done.stderr
    assert "3 answers are sealed in data/teacher_store" in done.stdout
    run(home, "git", "add", "-A", ":!.teacher")
    run(home, "git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "answers")
    assert run(home, "dvc", "push", "-q").returncode == 0
    assert run(tmp_path, "git", "clone", "-q", str(home), str(clone)).returncode == 0
    pulled = run(clone, "dvc", "pull", "-q")
    assert pulled.returncode == 0, pulled.stderr
    assert Store(clone).find(answer(3).key).text == '{"n": 3}'
    assert "answers      3" in run(clone, "questions-gen", "teacher", "stats").stdout
    assert run(clone, "questions-gen", "teacher", "verify").returncode == 0
    assert '"n": 2' in run(clone, "questions-gen", "teacher", "show", answer(2).key).stdout.replace("\\", "")
