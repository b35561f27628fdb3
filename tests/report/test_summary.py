"""The summary: stable names, four digits, and null for what wasn't measured."""

import json

import pytest

from questions_gen.report.summary import LOG_ADDRESSES, MODELS, rounded, summarise
from tests.report.sample_logs import log, sample_logs


def leaves(value, prefix=""):
    if not isinstance(value, dict):
        return {prefix: value}
    return {name: leaf for key, inner in value.items() for name, leaf in leaves(inner, f"{prefix}.{key}").items()}


def test_the_samples_are_what_the_report_reads():
    assert sorted(sample_logs()) == sorted(LOG_ADDRESSES)


def test_every_model_has_the_same_numbers():
    models = summarise(sample_logs())["models"]
    assert tuple(models) == MODELS
    assert len({tuple(numbers) for numbers in models.values()}) == 1
    assert models["sft"] == {
        "validation_loss": 1.712,
        "gate_pass_rate": 0.25,
        "total": 0.1,
        "difficulty": 0.1235,
        "novelty": 0.5,
        "rigor": 0.25,
        "diversity": None,
        "novelty_training": 0.6543,
        "copies": 0,
        "contamination_rate": 0.125,
        "teacher_overall": 2.333,
    }


def test_each_models_validation_loss_is_the_one_measured_on_it():
    losses = {model: numbers["validation_loss"] for model, numbers in summarise(sample_logs())["models"].items()}
    assert losses == {"base": 2.188, "sft": 1.712, "grpo": 1.7, "distill": 1.65}


def test_stages_count_what_they_kept_and_dropped():
    assert summarise(sample_logs())["stages"] == {
        "mix": {"conversations": 243, "dropped": 5, "difficulty_rank_correlation": 0.2625},
        "grpo": {"reward": 0.2135, "groups": 3, "groups_without_spread": 1, "coordinated_conversations": 5},
        "teach": {
            "conversations": 6,
            "preferences": 2,
            "dropped": 1,
            "gain": 0.1235,
            "overall": 2.5,
            "agreement": -0.25,
            "tokens": 4600,
        },
    }


def test_nothing_dropped_is_a_measured_zero():
    logs = sample_logs() | {"mix": log({"rows": {"train": 3}, "dropped": {}})}
    assert summarise(logs)["stages"]["mix"]["dropped"] == 0


def test_without_any_number_the_names_stay_and_all_are_null():
    full, empty = leaves(summarise(sample_logs())), leaves(summarise({}))
    assert list(full) == list(empty)
    assert set(empty.values()) == {None}
    assert summarise({address: log({}) for address in LOG_ADDRESSES}) == summarise({})


def test_the_diff_of_all_numbers_fits_on_a_screen():
    assert len(leaves(summarise(sample_logs()))) <= 60


def test_the_summary_is_json():
    assert json.loads(json.dumps(summarise(sample_logs()), allow_nan=False)) == summarise(sample_logs())


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
