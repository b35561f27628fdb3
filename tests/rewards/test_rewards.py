"""Novelty, diversity, rigor and what is a copy."""

import pytest

from questions_gen.problem import features
from questions_gen.rewards.diversity import diversity
from questions_gen.rewards.novelty import containment, is_copy, novelty
from questions_gen.rewards.rigor import rigor
from questions_gen.rewards.text import Text

PRIMES = "Let $p$ and $q$ be prime numbers with $p + q = 60$. Find all possible values of $pq$."
CIRCLE = "A circle of radius 5 touches two sides of a square with side 12. How far apart are their centres?"


@pytest.mark.parametrize(
    ("similarities", "expected"), [([], 1.0), ([0.25, 0.5], 1.0), ([0.75], 0.5), ([1.0, 0.1], 0.0)]
)
def test_novelty_is_the_distance_to_the_nearest(similarities, expected):
    assert novelty(similarities) == expected


@pytest.mark.parametrize(
    ("statement", "expected", "reason"),
    [
        (PRIMES, True, "the same"),
        (PRIMES.replace("p", "r").replace("rrime", "prime").replace("rossible", "possible"), True, "renamed"),
        ("Find all possible values of $pq$. Let $p$ and $q$ be prime numbers with $p+q=60$.", True, "reordered"),
        (PRIMES.replace("60", "84"), False, "another number is a variation, no copy"),
        (CIRCLE, False, "another problem"),
    ],
)
def test_is_copy(statement, expected, reason):
    assert is_copy(statement, PRIMES) is expected, reason


def test_containment_counts_runs_of_eight_words():
    assert containment(CIRCLE, f"It is known. {CIRCLE} Say why.") == 1.0
    assert containment(CIRCLE, PRIMES) == 0.0
    assert containment("Find x.", "Find x.") == 0.0


def test_diversity_leaves_the_problem_itself_out():
    assert diversity([features(PRIMES)]) == [None]
    same = diversity([features(PRIMES), features(PRIMES), features(CIRCLE)])
    assert same[0] == pytest.approx(0.0, abs=1e-6)
    assert same[1] == pytest.approx(0.0, abs=1e-6)
    assert same[2] > 0.5


def test_rigor_ranks_the_stated_above_the_vague():
    assert rigor(Text(PRIMES)) == 1.0
    assert max(rigor(Text("Find it.")), rigor(Text("Find $x+y+z$."))) < 0.5
    assert rigor(Text(PRIMES + " " + PRIMES)) <= rigor(Text(PRIMES))
    assert 0 <= rigor(Text("")) <= 1
