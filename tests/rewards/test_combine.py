import pytest

from questions_gen import files
from questions_gen.history import History
from questions_gen.params import ParamsError, parse_params
from questions_gen.prompts import problem_messages
from questions_gen.rewards import difficulty
from questions_gen.rewards.combine import NAMES, RewardParams, load_judge
from questions_gen.schema import Problem
from tests.rewards.judges import PARAMS, completion, judge, labelled, no_model, prompt

PRIMES = "Let $p$ and $q$ be prime numbers with $p + q = 60$. Find all possible values of $pq$."
CIRCLE = "A circle of radius 5 touches two sides of a square with side 12. How far apart are their centres?"


def total(verdict):
    weights = PARAMS.weights.model_dump()
    judged = {name: value for name, value in verdict.rewards.items() if value is not None}
    return sum(weights[n] * v for n, v in judged.items()) / sum(weights[n] for n in judged)


def test_total_is_the_weighted_mean_of_what_was_judged():
    alone = judge().judge([completion(PRIMES)], [prompt()])[0]
    assert alone.passed
    assert tuple(alone.rewards) == NAMES
    assert alone.rewards["diversity"] is None
    assert alone.rewards["novelty"] == 1.0
    assert alone.total == pytest.approx(total(alone))


def test_a_closed_gate_pays_nothing_and_says_why():
    told = judge().judge([completion("Sure! Find x.")], [prompt()])[0]
    assert not told.passed
    assert told.total == 0.0
    assert "dialogue" in told.reasons


def test_completions_of_one_prompt_are_a_group():
    made = [completion(PRIMES, id="1", prompt_id="a"), completion(PRIMES, id="2", prompt_id="a"),
            completion(CIRCLE, id="3", prompt_id="b")]  # fmt: skip
    told = judge().judge(made, [prompt(id="a"), prompt(id="b")])
    assert [v.rewards["diversity"] for v in told] == [pytest.approx(0, abs=1e-6), pytest.approx(0, abs=1e-6), None]


def test_nearness_to_the_history_is_penalised_and_reported():
    told = judge(history=[PRIMES.replace("60", "84")]).judge([completion(PRIMES)], [prompt()])[0]
    assert told.passed
    assert told.similarity > 0.85
    assert told.total == pytest.approx(PARAMS.penalty_factor * total(told))


def test_a_copy_of_a_known_problem_closes_the_gate():
    told = judge(known=[CIRCLE, PRIMES]).judge([completion(PRIMES.replace("$p$", "$r$"))], [prompt()])[0]
    assert "copy" in told.reasons
    assert told.total == 0.0


def test_padding_an_old_problem_makes_no_new_one():
    padded = f"Topology is deep and beautiful. {PRIMES} Many students like such questions."
    told = judge(known=[PRIMES]).judge([completion(padded)], [prompt()])[0]
    assert "copy" in told.reasons


def test_a_variation_is_not_held_against_its_own_original():
    varied = PRIMES.replace("60", "84")
    asked = prompt(task="variation", kind="parameter_change", original=PRIMES)
    told = judge(known=[PRIMES], history=[PRIMES]).judge([completion(varied)], [asked])[0]
    assert told.passed
    assert told.rewards["novelty"] == 1.0
    assert told.total > 0.5
    same = judge(known=[PRIMES]).judge([completion(PRIMES)], [asked])[0]
    assert "copy" in same.reasons


def test_judging_adds_nothing_to_the_history():
    judged = judge()
    judged.judge([completion(PRIMES)], [prompt()])
    assert len(judged.history) == 0


def test_other_weights_can_be_given():
    made, asked = [completion(PRIMES)], [prompt()]
    only_rigor = {"difficulty": 0, "novelty": 0, "rigor": 1, "diversity": 0}
    told = judge().judge(made, asked, weights=only_rigor)[0]
    assert told.total == pytest.approx(told.rewards["rigor"])


@pytest.mark.parametrize("task", ["solve", "chat"])
def test_tasks_that_ask_for_no_problem_are_refused(task):
    with pytest.raises(ValueError, match=task):
        judge().judge([completion(PRIMES)], [prompt(task=task)])


def test_a_completion_without_its_prompt_is_refused():
    with pytest.raises(ValueError, match="wasn't given"):
        judge().judge([completion(PRIMES, prompt_id="other")], [prompt()])


def test_all_rewards_stay_in_range_on_hostile_text():
    texts = ["", "x" * 100_000, "$" * 300, "{" * 3000, "Find \ud800 $x$.", "\u202eFind $x$.", "find " * 500]
    made = [completion(t, id=str(i)) for i, t in enumerate(texts)]
    for told in judge(history=[PRIMES], known=[CIRCLE]).judge(made, [prompt()]):
        assert not told.passed
        assert told.total == 0.0
        assert all(value is None or 0 <= value <= 1 for value in told.rewards.values())


def test_load_judge_reads_what_mix_wrote(tmp_path):
    training, held_out = labelled(40), [Problem(id="e", statement=CIRCLE, source="made", licence="none")]
    difficulty.fit(training).save(tmp_path / "difficulty.json")
    files.write_rows(tmp_path / "problems.jsonl", training)
    files.write_rows(tmp_path / "evaluation.jsonl", held_out)
    loaded = load_judge(PARAMS, tmp_path, History(5))
    told = loaded.judge([completion(CIRCLE), completion(PRIMES, id="2")], [prompt()])
    assert "copy" in told[0].reasons
    assert told[1].passed


def test_weights_that_are_all_zero_are_refused():
    values = PARAMS.model_dump()
    values["weights"] = dict.fromkeys(NAMES, 0.0)
    with pytest.raises(ParamsError, match="rewards.weights"):
        parse_params({"rewards": values}, {"rewards": RewardParams})


def test_without_a_model_difficulty_is_one_half():
    assert no_model().score(PRIMES) == 0.5


@pytest.mark.parametrize(
    ("text", "reasons", "why"),
    [
        ("Find all primes $p$ such that $p + 2$ divides $p^2 + 8$.", ("no_answer",), "asked for, and not given"),
        ("Find all primes $p$ such that $p + 2$ divides $p^2 + 8$.\nAnswer: \\boxed{2}", (), "given"),
        ("Prove that $p + 2$ divides $p^2 + 8$ for only finitely many primes $p$.", (), "a proof has none"),
    ],
)
def test_an_answer_that_the_prompt_asks_for_must_be_there(text, reasons, why):
    done = completion(text)
    asked = prompt(messages=problem_messages("number theory"))
    (verdict,) = judge().judge([done], [asked])
    assert verdict.reasons == reasons, why
    (verdict,) = judge().judge([done], [prompt()])
    assert verdict.reasons == (), "nobody asked for it"
