"""The names that the report reads are the names that the stages write: a name that drifted would become a null."""

from questions_gen.measures import DIMENSIONS
from questions_gen.report.summary import REWARDS, model_numbers
from questions_gen.rewards.combine import RewardWeights
from questions_gen.schema import Completion, Verdict
from questions_gen.teacher import answers
from stages import evaluate, teach
from tests.report.sample_logs import sample_logs


def test_the_sample_judgement_is_of_the_shape_that_judge_writes():
    sample = sample_logs()["judge@sft"]["metrics"]
    assert list(answers.summarise([])["mean"]) == list(sample["mean"]) == [*DIMENSIONS, "overall"]


def test_the_sample_evaluation_is_of_the_shape_that_evaluate_writes():
    completion = Completion(
        id="c", prompt_id="p", text="What is 1?", statement="What is 1?", finish_reason="stop", tokens=5, seed=1
    )
    verdict = Verdict(
        passed=True, rewards=dict.fromkeys(REWARDS, 0.5), similarity=0.25, known_similarity=0.25, total=0.5
    )
    written = evaluate.summarise([completion], [verdict], 0.85)
    assert set(sample_logs()["evaluate@sft"]["metrics"]) <= set(written)
    numbers = model_numbers({"evaluate@sft": {"metrics": written}}, "sft")
    assert [name for name, value in numbers.items() if value is None] == ["validation_loss", "teacher_overall"]


def test_the_sample_lessons_are_counted_as_teach_counts_them():
    assert set(sample_logs()["teach"]["metrics"]) <= set(teach.count([], []))


def test_the_rewards_are_those_that_are_weighted():
    assert set(REWARDS) == set(RewardWeights.model_fields)
