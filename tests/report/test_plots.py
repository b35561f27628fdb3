"""The CSV files: what DVC draws, with nan where there is no number."""

import csv
import io

from questions_gen.report.plots import PLOTS, alone, plots
from questions_gen.report.summary import LOG_ADDRESSES
from tests.report.sample_logs import log, sample_logs


def table(name, logs=None, estimates=None):
    return list(csv.DictReader(io.StringIO(plots(logs or sample_logs(), estimates or {})[name])))


def estimates(**means):
    """Of one model, sft."""
    return {"sft": {name: alone(mean) for name, mean in means.items()}}


def test_the_names_are_the_outputs_of_the_stage():
    assert tuple(plots(sample_logs(), {})) == PLOTS


def test_loss_has_a_column_a_stage_and_nan_after_the_shorter_one():
    rows = table("loss")
    assert [(row["step"], row["distill"]) for row in rows] == [("1", "1.6"), ("2", "1.5"), ("3", "nan"), ("4", "nan")]
    assert [row["sft"] for row in rows] == ["2.4", "2.3", "2.2", "2.1"]


def test_reward_has_its_parts_and_no_zero_for_one_that_was_not_judged():
    first, *_ = rows = table("reward")
    assert [row["reward"] for row in rows] == ["0.21", "0.22", "0.23"]
    assert (first["gate"], first["rigor"], first["diversity"]) == ("0.5", "0.3", "nan")


def test_gate_reasons_are_shares_of_all_completions():
    shares = {row["bar"]: row["share"] for row in table("gate_reasons")}
    assert shares["any reason: base"] == "1.0"
    assert shares["cut_off: sft"] == "0.1875"  # 3 of 16
    assert shares["no_question: base"] == "0.0"  # evaluated, and never given


def test_teacher_scores_are_named_by_dimension_and_nan_where_nobody_was_scored():
    scores = {row["bar"]: row["score"] for row in table("teacher_scores", estimates=estimates(teacher_overall=2.333))}
    assert scores["overall: sft"] == "2.333"
    assert scores["overall: base"] == scores["rigor: sft"] == "nan"


def test_rewards_by_model_and_balance():
    told = estimates(difficulty=0.12345, diversity=None, balance=0.5)
    means = {row["bar"]: row["mean"] for row in table("rewards_by_model", estimates=told)}
    assert (means["difficulty: sft"], means["diversity: sft"]) == ("0.1235", "nan")
    assert [row["balance"] for row in table("balance", estimates=told)] == ["nan", "0.5", "nan", "nan"]


def test_bars_are_never_an_empty_file_which_dvc_cannot_draw():
    logs = {address: log({}) for address in LOG_ADDRESSES}
    for name in ("gate_reasons", "rewards_by_model", "teacher_scores", "balance"):
        assert table(name, logs), name
