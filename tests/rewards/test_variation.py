import pytest

from questions_gen.rewards.variation import reasons_against

FARM = "A farmer has 12 cows and sells 5 of them. Each cow is worth 300 dollars. How much are the others worth?"
ROOT = "Find the smallest positive integer $n$ such that $n^2 + n + 41$ is divisible by $43$."


@pytest.mark.parametrize(
    ("kind", "statement", "original", "expected", "reason"),
    [
        ("parameter_change", ROOT.replace("41", "17").replace("43", "19"), ROOT, (), "other numbers"),
        ("parameter_change", ROOT, ROOT, ("copy",), "nothing changed"),
        ("parameter_change", FARM, ROOT, ("not_the_declared_variation",), "another problem"),
        (
            "context_change",
            "A shop has 12 lamps and returns 5 of them. Each lamp is worth 300 dollars. How much are the others worth?",
            FARM,
            (),
            "another setting",
        ),
        ("context_change", FARM.replace("12", "14"), FARM, ("not_the_declared_variation",), "the same setting"),
        ("context_change", "Find all primes below 50.", FARM, ("not_the_declared_variation",), "other mathematics"),
        (
            "practical_application",
            "A shop numbers its boxes $n$. Find the smallest positive integer $n$ for which a box with $n^2 + n + 41$"
            " books can be divided among $43$ customers.",
            ROOT,
            (),
            "a real setting",
        ),
        ("practical_application", ROOT.replace("41", "17"), ROOT, ("not_the_declared_variation",), "no setting"),
        (None, ROOT.replace("41", "17"), ROOT, ("copy",), "an innovation may not be near"),
        (None, FARM, ROOT, (), "an innovation with another idea"),
    ],
)
def test_reasons_against(kind, statement, original, expected, reason):
    assert tuple(reasons_against(kind, statement, original)) == expected, reason
