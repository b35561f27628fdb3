"""The names that the report reads are the names that the stages write: a name that drifted would become a null."""

from questions_gen import measures
from questions_gen.report.summary import REWARDS
from questions_gen.rewards.combine import RewardWeights
from questions_gen.teacher import answers
from stages import evaluate, teach
from tests.report.sample_logs import sample_logs
from tests.report.sample_scores import sample_rows


def test_the_sample_judgement_is_of_the_shape_that_judge_writes():
    sample = sample_logs()["judge@sft"]["metrics"]
    assert list(answers.summarise([])["mean"]) == list(sample["mean"]) == [*measures.DIMENSIONS, "overall"]


def test_the_teachers_dimensions_are_those_that_are_measured():
    assert measures.DIMENSIONS == answers.DIMENSIONS


def test_the_sample_evaluation_is_of_the_shape_that_evaluate_writes():
    written = evaluate.summarise(sample_rows()["sft"])
    assert set(sample_logs()["evaluate@sft"]["metrics"]) <= set(written)
    assert written["n"] == 20
    assert None not in written["rewards"].values()


def test_the_sample_lessons_are_counted_as_teach_counts_them():
    assert set(sample_logs()["teach"]["metrics"]) <= set(teach.count([], []))


def test_the_rewards_are_those_that_are_weighted():
    assert set(REWARDS) == set(RewardWeights.model_fields)
