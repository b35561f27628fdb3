"""Intervals: what they cover, in simulated evaluations whose truth is known, and what they refuse to say."""

import numpy as np
import pytest

from questions_gen import statistics
from questions_gen.statistics import LEAST, Interval, interval, paired, unpaired

SETS = 1_000


def passes(draw: np.random.Generator, prompts: int, mean: float = 0.5) -> np.ndarray:
    """Share of two completions that pass, where prompts differ in how easy they are."""
    return draw.binomial(2, draw.beta(3 * mean, 3 * (1 - mean), (SETS, prompts))) / 2


def totals(draw: np.random.Generator, prompts: int) -> np.ndarray:
    """Mean total of two completions: 0 where the gate is closed, else about 0.7, alike inside of a prompt."""
    level = draw.normal(0.7, 0.05, (SETS, prompts, 1)) + draw.normal(0, 0.05, (SETS, prompts, 2))
    return (level * (draw.random((SETS, prompts, 2)) < draw.beta(1, 1, (SETS, prompts, 1)))).mean(axis=2)


def lengths(draw: np.random.Generator, prompts: int) -> np.ndarray:
    return draw.normal(60, 15, (SETS, prompts))


CASES = [
    (passes, LEAST, 0.5),
    (passes, 20, 0.5),
    (passes, 50, 0.5),
    (totals, LEAST, 0.35),
    (totals, 20, 0.35),
    (totals, 50, 0.35),
    (lengths, LEAST, 60),
    (lengths, 100, 60),
]


def covered(found: list[Interval | None], truth: float) -> float:
    """Share of the intervals that hold the truth, of those that there are."""
    told = [one for one in found if one is not None]
    assert len(told) >= 0.98 * len(found)
    return float(np.mean([one.low - 1e-9 <= truth <= one.high + 1e-9 for one in told]))


@pytest.mark.parametrize(("simulate", "prompts", "truth"), CASES, ids=[f"{c[0].__name__}-{c[1]}" for c in CASES])
def test_intervals_cover_the_truth_in_93_to_97_percent_of_1000_sets(simulate, prompts, truth):
    sets = simulate(np.random.default_rng(1), prompts)
    assert 0.93 <= covered([interval(one[:, None], bounds=None) for one in sets], truth) <= 0.97


@pytest.mark.parametrize("prompts", [LEAST, 30])
def test_so_do_those_of_a_difference_paired_by_prompt(prompts):
    draw = np.random.default_rng(2)
    before = totals(draw, prompts)
    after = 0.8 * before + 0.1 + draw.normal(0, 0.1, before.shape)
    truth = 0.8 * 0.35 + 0.1 - 0.35
    found = [paired(b[:, None], a[:, None]) for b, a in zip(before, after, strict=True)]
    assert 0.93 <= covered(found, truth) <= 0.97


def test_and_of_an_unpaired_one():
    draw = np.random.default_rng(3)
    found = [unpaired(b[:, None], a[:, None]) for b, a in zip(totals(draw, 30), passes(draw, 25, 0.4), strict=True)]
    assert 0.93 <= covered(found, 0.4 - 0.35) <= 0.97


def test_completions_of_one_prompt_are_no_more_than_one():
    """Taken for independent, ten equal completions a prompt would claim three times the certainty."""
    draw = np.random.default_rng(4)
    rows = [(f"p{n}", [value]) for n, value in enumerate(draw.normal(0, 1, 20)) for _ in range(10)]
    by_prompt = np.array(list(statistics.by_prompt(rows).values()))
    alone = interval(np.array([values for _, values in rows]))
    together = interval(by_prompt)
    assert len(by_prompt) == 20
    assert (together.high - together.low) > 2.5 * (alone.high - alone.low)


def test_few_prompts_have_no_interval():
    assert interval(np.arange(LEAST - 1.0)[:, None]) is None
    assert paired(np.zeros((LEAST - 1, 1)), np.arange(LEAST - 1.0)[:, None]) is None
    assert unpaired(np.arange(50.0)[:, None], np.arange(LEAST - 1.0)[:, None]) is None
    assert interval(np.arange(float(LEAST))[:, None]) is not None


def test_a_share_of_nought_is_known_as_well_as_its_number_allows():
    """Of 16 that all failed: at most 1 − 0.025^(1/16) = 20.6 %, as the binomial says."""
    from scipy.stats import binomtest

    exact = binomtest(0, 16).proportion_ci(0.95, "exact")
    assert interval(np.zeros((16, 1)), bounds=(0, 1)) == pytest.approx((exact.low, exact.high))
    assert interval(np.ones((16, 1)), bounds=(0, 1)) == pytest.approx((1 - exact.high, 1))
    assert interval(np.full((16, 1), 0.5), bounds=(0, 1)) is None, "nothing is known of what it never was"
    assert interval(np.zeros((16, 1))) is None


def test_a_change_that_is_the_same_everywhere():
    zeros, ones = np.zeros((16, 1)), np.ones((16, 1))
    low, high = paired(zeros, ones, bounds=(0, 1))
    assert (low, high) == pytest.approx((1 - 2 * (1 - 0.025 ** (1 / 16)), 1))
    assert paired(zeros, zeros, bounds=(0, 1)) is None, "no change seen, but none ruled out"


def test_pairing_sees_what_is_small_beside_the_spread_of_prompts():
    draw = np.random.default_rng(5)
    before = draw.uniform(0, 1, (30, 1))
    after = before + draw.normal(0.05, 0.02, (30, 1))
    assert paired(before, after).low > 0
    assert unpaired(before, after).low < 0 < unpaired(before, after).high


def test_evenness_is_lowest_over_highest_mean():
    draw = np.random.default_rng(6)
    marks = np.stack([draw.normal(mean, 0.2, 40) for mean in (2.0, 3.0, 4.0)], axis=1)
    low, high = interval(marks, statistics.evenness)
    assert low < 0.5 < high
    assert high - low < 0.1


def test_the_draws_are_seeded():
    values = np.random.default_rng(7).normal(0, 1, (12, 1))
    first = interval(values)
    statistics._weights.cache_clear()
    assert interval(values) == first
