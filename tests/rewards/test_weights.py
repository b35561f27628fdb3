"""Dynamic weights: what no longer tells completions apart gives way, within bounds."""

import pytest

from questions_gen.rewards.weights import DynamicWeights, adapted, spreads
from questions_gen.schema import Verdict

BASE = {"difficulty": 0.4, "novelty": 0.3, "rigor": 0.2, "diversity": 0.1}
PARAMS = DynamicWeights(window=4, enough=0.05, low=0.5, high=1.5)


def verdict(rigor: float | None, passed: bool = True) -> Verdict:
    return Verdict(
        passed=passed, rewards={"rigor": rigor}, similarity=0, known_similarity=0, total=0.5 if passed else 0
    )


def test_a_saturated_reward_gives_weight_to_the_others() -> None:
    weights = adapted(BASE, {"difficulty": 0.0, "novelty": 0.2, "rigor": 0.2, "diversity": 0.2}, PARAMS)
    assert weights["difficulty"] < BASE["difficulty"]
    for name in ("novelty", "rigor", "diversity"):
        assert weights[name] > BASE[name]
    assert sum(weights.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("spread", "reason"),
    [
        (dict.fromkeys(BASE, 0.2), "all tell apart"),
        (dict.fromkeys(BASE, 0.0), "none does"),
        (dict.fromkeys(BASE), "nothing is known"),
        ({}, "nothing was measured"),
    ],
)
def test_equal_rewards_keep_their_weights(spread: dict, reason: str) -> None:
    assert adapted(BASE, spread, PARAMS) == pytest.approx(BASE), reason


@pytest.mark.parametrize("saturated", list(BASE))
@pytest.mark.parametrize("alive", list(BASE))
def test_the_bounds_hold(saturated: str, alive: str) -> None:
    for spread in ({saturated: 0.0}, {**dict.fromkeys(BASE, 0.0), alive: 1.0}):
        for name, weight in adapted(BASE, spread, PARAMS).items():
            assert PARAMS.low * BASE[name] - 1e-12 <= weight <= PARAMS.high * BASE[name] + 1e-12


def test_bounds_of_one_switch_it_off() -> None:
    fixed = DynamicWeights(window=1, enough=0.05, low=1.0, high=1.0)
    assert adapted(BASE, {"difficulty": 0.0, "novelty": 1.0}, fixed) == pytest.approx(BASE)


def test_a_weight_of_nought_stays() -> None:
    assert adapted({"rigor": 0.0, "novelty": 1.0}, {"novelty": 0.0}, PARAMS)["rigor"] == 0


def test_the_spread_is_that_of_passed_completions_inside_groups() -> None:
    groups = [
        [verdict(0.2), verdict(0.6), verdict(0.9, passed=False)],
        [verdict(0.5), verdict(None)],
        [verdict(0.4), verdict(0.4)],
    ]
    assert spreads(groups, ["rigor"]) == {"rigor": pytest.approx(0.1)}
    assert spreads([[verdict(0.5)]], ["rigor"]) == {"rigor": None}
