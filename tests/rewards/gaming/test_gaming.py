"""Every fake of fakes.jsonl is refused for its reason, or stays under its ceiling; every genuine problem passes."""

from collections import Counter
from pathlib import Path

import pytest

from questions_gen import files
from questions_gen.rewards.gate import REASONS
from questions_gen.schema import Verdict
from tests.rewards.judges import completion, judge, prompt

FOLDER = Path(__file__).parent
FAKES = files.read_rows(FOLDER / "fakes.jsonl")
GENUINE = files.read_rows(FOLDER / "genuine.jsonl")


def verdict(row: dict) -> Verdict:
    kind, original = row.get("kind"), row.get("original")
    task = "problem" if original is None else "variation" if kind else "innovation"
    asked = prompt(task=task, kind=kind, original=original)
    known = [row["known"]] if "known" in row else []
    made = completion(row["text"], id=row["id"], finish_reason=row.get("finish_reason", "stop"))
    return judge(known=known).judge([made], [asked])[0]


def test_the_suite_is_broad_enough():
    families = Counter(row["family"] for row in FAKES)
    assert len(FAKES) >= 200
    assert len(families) >= 14
    assert len({row["id"] for row in FAKES}) == len(FAKES)
    assert all(("reason" in row) != ("ceiling" in row) for row in FAKES)
    assert {row["reason"] for row in FAKES if "reason" in row} <= set(REASONS)


@pytest.mark.parametrize("row", FAKES, ids=[row["id"] for row in FAKES])
def test_fake_is_not_paid(row):
    told = verdict(row)
    if "ceiling" in row:
        assert told.total <= row["ceiling"]
    else:
        assert not told.passed
        assert told.total == 0.0
        assert row["reason"] in told.reasons


@pytest.mark.parametrize("row", GENUINE, ids=[row["id"] for row in GENUINE])
def test_genuine_problem_passes_and_is_paid(row):
    told = verdict(row)
    assert told.passed
    assert told.reasons == ()
    assert told.total > 0.5
