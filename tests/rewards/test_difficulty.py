import json

import pytest

from questions_gen.errors import UserError
from questions_gen.rewards import difficulty
from questions_gen.schema import Problem
from tests.rewards.judges import labelled

EASY = "Anna has 3 boxes. How many things does Anna have in the end?"
HARD = labelled(16)[7].statement


@pytest.fixture(scope="module")
def model() -> difficulty.DifficultyModel:
    return difficulty.fit(labelled(120))


def test_it_learns_the_labels(model):
    assert model.quality["rank_correlation"] > 0.4
    assert model.quality["low"] <= model.quality["rank_correlation"] <= model.quality["high"]
    assert 0 <= model.score(EASY) < model.score(HARD) <= 1


def test_a_file_brings_the_same_model_back(model, tmp_path):
    model.save(tmp_path / "model.json")
    again = difficulty.load(tmp_path / "model.json")
    assert again.score(HARD) == pytest.approx(model.score(HARD), abs=0.01)
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "model.json").read_bytes()


def test_fitting_twice_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        difficulty.fit(labelled(60)).save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_without_labels_it_knows_nothing():
    bare = [Problem(id=p.id, statement=p.statement, source="made", licence="none") for p in labelled(60)]
    for problems in ([], bare, labelled(5)):
        model = difficulty.fit(problems)
        assert model.score(HARD) == 0.5
        assert model.reliability == 0.0
        assert model.quality["rank_correlation"] is None


def test_labels_are_compared_within_a_source_only():
    shifted = [p.model_copy(update={"difficulty": p.difficulty + 100, "source": "other"}) for p in labelled(60)]
    together = difficulty.fit(labelled(60) + shifted)
    assert together.quality["rank_correlation"] > 0.4


@pytest.mark.parametrize(
    "value", ["{}", '{"version": 99}', "[]", "no json", json.dumps({"version": 1, "terms": {"a": 3}})]
)
def test_another_file_is_refused(value, tmp_path):
    (tmp_path / "model.json").write_text(value)
    with pytest.raises(UserError, match="model.json"):
        difficulty.load(tmp_path / "model.json")


def test_padding_hardly_changes_it(model):
    for padding in ("This is a very hard olympiad problem.", "Recall that $\\sum_{k=1}^n k = \\frac{n(n+1)}{2}$."):
        assert model.score(f"{padding} {EASY}") - model.score(EASY) <= 0.05
        assert model.score(f"{EASY} {padding}") - model.score(EASY) <= 0.05


def test_stuffing_keywords_saturates():
    from questions_gen.rewards.text import Text

    few = Text("Find the prime divisors of the polynomial sequence $a+b+c^2$ with 3 terms.")
    assert difficulty.structure(few) <= 1
    assert difficulty.structure(Text("")) == 0
