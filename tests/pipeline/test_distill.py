"""Which rows distill trains on, and when it refuses to."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.params import load_params
from stages.distill import DistillParams, check_enough, replay
from tests.conftest import tiny_conversations


def params(**changes) -> DistillParams:
    return DistillParams(**(load_params({"distill": DistillParams})["distill"].model_dump() | changes))


@pytest.mark.parametrize(("kept", "share", "expected"), [(3, 0.25, 1), (30, 0.25, 10), (6, 0.5, 6), (6, 0.0, 0)])
def test_replayed_rows_are_that_share_of_all(kept: int, share: float, expected: int) -> None:
    mixed = tiny_conversations(20)
    rows = replay(mixed, kept, share, seed=7)
    assert len(rows) == len({row.id for row in rows}) == expected
    assert replay(mixed, kept, share, seed=7) == rows
    assert expected < 2 or replay(mixed, kept, share, seed=8) != rows


def test_a_small_mix_is_replayed_whole() -> None:
    assert len(replay(tiny_conversations(4), 30, 0.5, seed=7)) == 4


def test_too_few_pairs_are_an_error_that_says_why(tmp_path: Path) -> None:
    reasons = ["not_better", "cut_off", "not_better"]
    rows = [{"id": f"c{n}/improve", "reason": reason} for n, reason in enumerate(reasons)]
    files.write_rows(tmp_path / "dropped.jsonl", rows)
    check_enough([1, 2], tmp_path, params(minimum_pairs=2))
    with pytest.raises(UserError, match=r"minimum_pairs: 2, but the teacher left 1 .*cut_off 1, not_better 2"):
        check_enough([1], tmp_path, params(minimum_pairs=2))


def test_preferences_are_not_mixed_with_the_mix() -> None:
    with pytest.raises(ValidationError, match="replay_share must be 0 with objective: dpo"):
        params(objective="dpo", replay_share=0.1)
    assert params(objective="dpo", replay_share=0.0).objective == "dpo"
