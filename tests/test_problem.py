import numpy as np
import pytest

from questions_gen.problem import Index, features, near_duplicates, ngrams, normalise, problem_id, similarity, words

PRIMES = "Let $p$ and $q$ be prime numbers with $p + q = 60$. Find all possible values of $pq$."
BAKER = "A baker sells 40 rolls in the morning and twice as many in the evening. How many rolls does she sell?"
CIRCLE = "A circle of radius 5 touches two sides of a square with side 12. How far apart are their centres?"


def test_normalise_forgets_case_layout_and_spacing():
    assert normalise("Let  $\\left(X\\right)$\nbe ") == normalise("let (x ) be")


def test_problem_id_is_stable_and_short():
    assert problem_id("champ", "Find x.") == problem_id("champ", " find   X. ")
    assert problem_id("champ", "Find x.") != problem_id("other", "Find x.")
    assert problem_id("champ", "Find x.").startswith("champ-")
    assert len(problem_id("champ", "Find x.")) == 18


def test_words_and_ngrams():
    assert words("Find $x$, then 3.5!") == ["find", "x", "then", "3.5"]
    assert ngrams(["a", "b", "c"], 2) == {("a", "b"), ("b", "c")}
    assert ngrams(["a"], 2) == set()


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ("Let $r$ and $s$ be prime numbers with $r + s = 60$. Find all possible values of $rs$.", "renamed variables"),
        ("Let $p$ and $q$ be prime numbers with $p + q = 84$. Find all possible values of $pq$.", "changed numbers"),
        (
            "Find all possible values of $pq$. Let $p$ and $q$ be prime numbers with $p + q = 60$.",
            "reordered sentences",
        ),
        ("LET $p$ and $q$ be prime numbers with $p+q=60$. Find all possible values of $p q$.", "layout"),
    ],
)
def test_near_in_spite_of(other, reason):
    assert similarity(features(PRIMES), features(other)) > 0.85, reason


def test_unrelated_problems_are_far():
    assert similarity(features(PRIMES), features(BAKER)) < 0.3
    assert similarity(features(BAKER), features(CIRCLE)) < 0.4


def test_similarity_is_bounded_and_symmetric():
    left, right = features(PRIMES), features(CIRCLE)
    assert similarity(left, left) == pytest.approx(1.0)
    assert similarity(left, right) == pytest.approx(similarity(right, left))
    assert similarity(features(""), left) == 0.0


def test_index_finds_the_nearest_and_its_place():
    index = Index()
    assert index.nearest([PRIMES])[1].tolist() == [-1]
    index.add([BAKER, PRIMES])
    index.add([CIRCLE])
    similarities, positions = index.nearest([CIRCLE, PRIMES.replace("60", "84"), ""])
    assert positions.tolist()[:2] == [2, 1]
    assert similarities[0] == pytest.approx(1.0)
    assert np.all((similarities >= 0) & (similarities <= 1))
    assert similarities[2] == 0.0
    assert index.statement(1) == PRIMES
    assert len(index) == 3


def test_index_can_look_at_the_last_ones_only():
    index = Index()
    index.add([PRIMES, BAKER])
    assert index.nearest([PRIMES], start=1)[1].tolist() == [1]
    assert index.nearest([PRIMES], start=2)[1].tolist() == [-1]
    assert index.tail(1).statement(0) == BAKER
    assert len(index.tail(0)) == 0


def test_index_agrees_with_exact_similarity():
    texts = [
        f"How many of the {n} {noun} in box {n * n} are {colour}?"
        for n in range(3, 40)
        for noun, colour in (("coins", "gold"), ("cards", "red"), ("shells", "white"))
    ]
    index = Index()
    index.add(texts)
    queries = ["How many of the 7 shells in box 3 are white?", PRIMES]
    exact = [max(similarity(features(query), features(text)) for text in texts) for query in queries]
    assert index.nearest(queries)[0] == pytest.approx(exact, abs=0.02)


def test_near_duplicates_name_the_earlier_one():
    texts = [PRIMES, BAKER, PRIMES.replace("60", "84"), CIRCLE, BAKER + " ", PRIMES]
    assert near_duplicates(texts, 0.9) == [None, None, 0, None, 1, 0]
    assert near_duplicates([], 0.9) == []
