"""benchmarks/gain.py: folders of evaluations, paired by prompt and by seed."""

from pathlib import Path

import pytest

from benchmarks import gain
from questions_gen import files
from questions_gen.errors import UserError
from tests.evaluations import asked_prompts, evaluated, gibberish, names, problems


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Before and after of two seeds, as the stage evaluate writes them."""
    asked = asked_prompts(8)
    root = tmp_path_factory.mktemp("gain")
    folders = []
    for seed in (0, 1):
        for name, texts in (("before", gibberish(names(asked), 2, seed)), ("after", problems(names(asked), 2, seed))):
            folders.append(root / f"{name}-{seed}")
            files.write_rows(folders[-1] / "rows.jsonl", evaluated(asked, texts))
    return folders


def test_a_prompt_of_each_seed_counts_as_one(pairs: list[Path]) -> None:
    one = {row.metric: row for row in gain.gains("", gain.read(pairs[:1]), gain.read(pairs[1:2]))}
    two = {row.metric: row for row in gain.gains("", gain.read(pairs[::2]), gain.read(pairs[1::2]))}
    assert (one["total"].prompts, two["total"].prompts) == (8, 16)
    assert two["total"].verdict == two["gate_pass_rate"].verdict == "better"
    assert two["total"].high - two["total"].low < one["total"].high - one["total"].low
    assert "difficulty" not in two, "nothing of the first passed, so that there is no gain to tell of"


def test_the_table_is_printed_and_half_a_pair_is_refused(pairs: list[Path], capsys) -> None:
    gain.main([str(path) for path in pairs])
    printed = capsys.readouterr().out
    assert "56 completions, 2 pair(s)" in printed
    assert "total" in printed
    with pytest.raises(SystemExit):
        gain.main([str(pairs[0])])


def test_a_missing_evaluation_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rows\.jsonl"):
        gain.read([tmp_path / "nothing"])
