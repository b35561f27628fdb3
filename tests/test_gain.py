"""benchmarks/gain.py: completions are paired by prompt, and the interval is over prompts."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import gain
from questions_gen import files
from questions_gen.answers import parse_completion
from questions_gen.errors import UserError
from questions_gen.schema import Verdict


def evaluation(folder: Path, totals: dict[str, list[float]]) -> Path:
    """A folder as the stage evaluate writes it, with these totals by prompt."""
    rows = [(prompt, number, total) for prompt, values in totals.items() for number, total in enumerate(values)]
    files.write_rows(
        folder / "completions.jsonl",
        [
            parse_completion(id=f"{p}/{n}", prompt_id=p, text="Find x.", finish_reason="stop", tokens=3, seed=0)
            for p, n, _ in rows
        ],
    )
    files.write_rows(
        folder / "verdicts.jsonl",
        [
            Verdict(passed=t > 0, rewards={"rigor": t or None}, similarity=0, known_similarity=0, total=t)
            for _, _, t in rows
        ],
    )
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    before = evaluation(tmp_path / "before", {"a": [0.0, 0.2], "b": [0.5, 0.5], "only before": [1.0]})
    after = evaluation(tmp_path / "after", {"b": [0.5, 0.7], "a": [0.2, 0.4]})
    return before, after


def test_means_are_paired_by_prompt(pair: tuple[Path, Path]) -> None:
    before, after = gain.paired_means([tuple(map(gain.by_prompt, pair))], "total")
    assert before == pytest.approx([0.1, 0.5])
    assert after == pytest.approx([0.3, 0.6])


def test_what_was_not_judged_is_no_nought(pair: tuple[Path, Path]) -> None:
    before, _ = gain.paired_means([tuple(map(gain.by_prompt, pair))], "rigor")
    assert before == pytest.approx([0.2, 0.5])


def test_the_interval_holds_the_mean_and_narrows_with_prompts() -> None:
    draw = np.random.default_rng(1)
    few, many = draw.normal(0.1, 0.2, 20), draw.normal(0.1, 0.2, 2000)
    widths = []
    for differences in (few, many):
        mean, low, high = gain.bootstrap(differences)
        assert low < mean < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 5
    assert gain.bootstrap(few) == gain.bootstrap(few), "the resamples are seeded"


def test_the_table_is_printed_and_half_a_pair_is_refused(pair: tuple[Path, Path], capsys) -> None:
    gain.main([str(path) for path in pair])
    printed = capsys.readouterr().out
    assert "4 completions, 1 pair" in printed
    assert "total" in printed
    with pytest.raises(SystemExit):
        gain.main([str(pair[0])])


def test_a_missing_evaluation_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"completions\.jsonl"):
        gain.by_prompt(tmp_path / "nothing")
