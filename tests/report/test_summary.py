"""The summary: stable names, four digits, and null for what wasn't measured."""

import json

import pytest

from questions_gen.measures import DIMENSIONS, rounded
from questions_gen.report.scores import read_scores, write_scores
from questions_gen.report.summary import HEADLINES, LOG_ADDRESSES, MODELS, intervals, summarise
from tests.report.sample_logs import log, sample_logs
from tests.report.sample_scores import sample_scores


def leaves(value, prefix=""):
    if not isinstance(value, dict):
        return {prefix: value}
    return {name: leaf for key, inner in value.items() for name, leaf in leaves(inner, f"{prefix}.{key}").items()}


def test_the_samples_are_what_the_report_reads():
    assert sorted(sample_logs()) == sorted(LOG_ADDRESSES)


def test_every_model_has_the_same_numbers():
    models = summarise(sample_logs(), sample_scores())["models"]
    assert tuple(models) == MODELS
    assert {tuple(numbers) for numbers in models.values()} == {("validation_loss", *HEADLINES)}
    assert (models["base"]["gate_pass_rate"], models["base"]["total"]) == (0.0, 0.0)
    assert models["base"]["set_diversity"] is None, "nothing passed, so nothing is diverse"
    assert models["sft"]["gate_pass_rate"] > 0.5
    assert models["sft"]["teacher_overall"] == 3.4
    assert models["sft"]["balance"] == 0.5  # 2 / 4
    assert models["sft"]["teacher_approval"] == 0.0


def test_the_summary_and_the_file_of_scores_say_the_same():
    """compare reads the one and DVC the other."""
    scores = sample_scores()
    again = read_scores(write_scores(scores), "scores.csv")
    assert again == {model: list(rows) for model, rows in scores.items()}
    assert summarise(sample_logs(), again) == summarise(sample_logs(), scores)


def test_intervals_hold_the_means_and_say_of_how_many():
    told = intervals(sample_logs(), sample_scores())
    for model, numbers in summarise(sample_logs(), sample_scores())["models"].items():
        for name in HEADLINES:
            found = told["models"][model]["measures"][name]
            assert found["mean"] == numbers[name]
            assert found["low"] is None or found["low"] <= found["mean"] <= found["high"]
    passed = told["models"]["sft"]["measures"]["gate_pass_rate"]
    assert (passed["n"], passed["prompts"]) == (20, 10)
    assert passed["low"] < passed["high"]
    assert told["models"]["sft"]["measures"]["thinking_total"] is None, "not supported is null and not 0"
    cell = told["models"]["sft"]["cells"]["variation"]["parameter_change"]
    assert cell["without_thinking"]["gate_pass_rate"]["n"] == 4
    assert cell["with_thinking"] is None


def test_gains_are_of_each_model_on_the_one_before():
    gains = intervals(sample_logs(), sample_scores())["gains"]
    assert {after: gain["before"] for after, gain in gains.items()} == {
        "sft": "base", "grpo": "sft", "distill": "grpo",
    }  # fmt: skip
    assert gains["sft"]["measures"]["total"]["verdict"] == "better"
    assert gains["grpo"]["measures"]["total"]["verdict"] == "can't tell", "other numbers in the same forms"


def test_the_control_stands_beside_the_models():
    control = summarise(sample_logs(), sample_scores())["control"]
    assert control["fake"]["total"] < control["real"]["total"]
    assert summarise({}, {})["control"]["real"] == {"gate_pass_rate": None, "total": None}


def test_each_models_validation_loss_is_the_one_measured_on_it():
    losses = {model: numbers["validation_loss"] for model, numbers in summarise(sample_logs(), {})["models"].items()}
    assert losses == {"base": 2.188, "sft": 1.712, "grpo": 1.7, "distill": 1.65}


def test_stages_count_what_they_kept_and_dropped():
    logs = sample_logs()
    assert summarise(logs, {})["stages"] == {
        "mix": {"conversations": 243, "difficulty_rank_correlation": 0.2625},
        "grpo": {"reward": 0.2135, "groups_without_spread": 1},
        "teach": {
            "conversations": 6,
            "preferences": 2,
            "dropped": 1,
            "gain": 0.1235,
            "agreement": -0.25,
            "tokens": 4600,
            **dict.fromkeys(("overall", *DIMENSIONS), 2.5),
        },
    }
    assert intervals(logs, {})["stages"] == {
        "mix": {"dropped": {"near_duplicate": 2, "too_long": 3}},
        "teach": {"kept": {"improve": 4, "problem": 2}, "dropped": {"cut_off": 1}},
    }


def test_nothing_dropped_is_a_measured_zero():
    logs = sample_logs() | {"teach": log({"dropped": {}})}
    assert summarise(logs, {})["stages"]["teach"]["dropped"] == 0


def test_without_any_number_the_names_stay_and_all_are_null():
    full, empty = leaves(summarise(sample_logs(), sample_scores())), leaves(summarise({}, {}))
    assert list(full) == list(empty)
    assert set(empty.values()) == {None}
    assert summarise({address: log({}) for address in LOG_ADDRESSES}, {}) == summarise({}, {})


def test_the_diff_of_all_models_fits_on_a_screen():
    summary = summarise(sample_logs(), sample_scores())
    assert len(leaves(summary["models"])) <= 40
    assert len(leaves(summary)) <= 60


def test_both_files_are_json():
    for told in (summarise(sample_logs(), sample_scores()), intervals(sample_logs(), sample_scores())):
        assert json.loads(json.dumps(told, allow_nan=False)) == told


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.123456, 0.1235),
        (12345.678, 12350.0),
        (0.000123456, 0.0001235),
        (25669, 25669),  # a count stays exact
        (0, 0),
        (0.0, 0.0),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),  # no number
        ("0.5", None),
    ],
)
def test_rounded(value, expected):
    assert rounded(value) == expected
    assert type(rounded(value)) is type(expected)
