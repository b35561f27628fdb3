"""Reviews as data: what is asked about, what is kept, how far people and rewards agree."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.reviews import Review, add_review, agreement, items, kappa, read_reviews
from tests.commands.evaluations import evaluated


def review(number: int = 0, **changes: object) -> Review:
    values = {
        "reviewer": "ann", "problem": f"p{number}", "statement": f"Find {number}.", "answer": None,
        "models": ("sft",), "valid": True, "difficulty": 2, "liked": False, "comment": "", "passed": True,
        "total": 0.5, "rewarded_difficulty": 0.4,
    }  # fmt: skip
    return Review.model_validate({**values, **changes})


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data/reviews/reviews.jsonl"


def test_a_problem_of_two_models_is_asked_about_once():
    same = "Find all primes $p$."
    found = items({
        "sft": [evaluated("sft", 1, same), evaluated("sft", 2, "Find $x$.")],
        "grpo": [evaluated("grpo", 1, same), evaluated("grpo", 4, same, answer="5"), evaluated("grpo", 5, "")],
        "base": [evaluated("base", 1, same, test="variation")],
    })  # fmt: skip
    assert sorted((item.statement, item.answer, item.models) for item in found) == [
        ("Find $x$.", "3", ("sft",)),
        (same, "3", ("grpo", "sft")),
        (same, "5", ("grpo",)),
    ]


def test_the_last_word_of_a_person_counts(path):
    for one in (review(1), review(2), review(1, liked=True), review(1, reviewer="bob")):
        add_review(path, one)
    assert len(path.read_bytes().splitlines()) == 4, "nothing is lost"
    assert [(r.reviewer, r.problem, r.liked) for r in read_reviews(path)] == [
        ("ann", "p1", True), ("ann", "p2", False), ("bob", "p1", False),
    ]  # fmt: skip


def test_a_line_without_its_end_stays_a_line_of_its_own(path):
    files.write_text(path, files.to_json(review(1).model_dump(mode="json")))
    add_review(path, review(2))
    assert [r.problem for r in read_reviews(path)] == ["p1", "p2"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"statement": "x"}, "row 1: not a Review"),
        ({**review().model_dump(), "version": 2}, "row 1: not a Review: version"),
        ({**review().model_dump(), "difficulty": 6}, "row 1: not a Review: difficulty"),
        ({**review().model_dump(), "difficulty": None}, "a valid problem needs one"),
    ],
)
def test_a_file_of_another_schema_is_named(path, row, message):
    files.write_rows(path, [row])
    with pytest.raises(UserError, match=message):
        read_reviews(path)


def test_agreement_is_as_the_libraries_have_it():
    draw = np.random.default_rng(0)
    reviews = [
        review(
            n, valid=bool(draw.random() < 0.7), passed=bool(draw.random() < 0.6), difficulty=int(draw.integers(1, 6)),
            liked=bool(draw.random() < 0.5), total=float(draw.random()), rewarded_difficulty=float(draw.random()),
        )
        for n in range(50)
    ]  # fmt: skip
    said = agreement(reviews)
    assert said["reviews"] == 50
    assert said["valid_kappa"] == pytest.approx(
        cohen_kappa_score([r.valid for r in reviews], [r.passed for r in reviews])
    )
    assert said["difficulty_rank_correlation"] == pytest.approx(
        spearmanr([r.difficulty for r in reviews], [r.rewarded_difficulty for r in reviews]).statistic
    )
    assert said["liked_rank_correlation"] == pytest.approx(
        spearmanr([r.liked for r in reviews], [r.total for r in reviews]).statistic
    )


def test_what_nothing_tells_is_null_and_never_zero():
    assert set(agreement([]).values()) == {None}
    alike = agreement([review(1), review(2)])
    assert alike["reviews"] == 2
    assert alike["valid"] == 1.0
    assert [alike[name] for name in ("valid_kappa", "difficulty_rank_correlation", "liked_rank_correlation")] == [
        None, None, None,
    ]  # fmt: skip
    assert kappa([True, False], [False, True]) == -1
