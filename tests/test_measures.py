"""What an evaluation measures, of rows that the real judge judged."""

from dataclasses import replace

import pytest

from questions_gen import measures
from questions_gen.measures import COLUMNS, DIMENSIONS, MEASURES, TEACHER, Score
from questions_gen.problem import Index
from tests.evaluations import asked_prompts, evaluated, gibberish, names, problems

ASKED = asked_prompts(16)


@pytest.fixture(scope="module")
def good():
    return evaluated(ASKED, problems(names(ASKED), 2))


@pytest.fixture(scope="module")
def bad():
    return evaluated(ASKED, gibberish(names(ASKED), 2))


def of(scores, name):
    return measures.estimate(scores, MEASURES[name])


def test_good_problems_are_told_from_gibberish(good, bad):
    for name in ("gate_pass_rate", "total", "topic_adherence"):
        high, low = of(measures.score(good), name), of(measures.score(bad), name)
        assert low["high"] < high["low"], name
    assert of(measures.score(bad), "gate_pass_rate") == {
        "mean": 0.0,
        "low": 0.0,
        "high": 0.2059,
        "n": 32,
        "prompts": 16,
    }


def test_what_does_not_pass_the_gate_is_no_hard_or_new_problem(bad):
    for name in ("difficulty", "novelty", "rigor", "set_diversity", "novelty_training"):
        assert of(measures.score(bad), name) == {"mean": None, "low": None, "high": None, "n": 0, "prompts": 0}, name


def test_a_test_that_was_not_done_is_null_and_no_nought(good):
    scores = measures.score(good)
    assert of(scores, "thinking_total") is None
    assert measures.compare(scores, scores, MEASURES["thinking_total"]) is None
    cells = measures.cell_estimates(scores, "new")
    assert {cell["with_thinking"] for cell in cells.values()} == {None}
    assert cells["geometry"]["without_thinking"]["total"]["n"] == 2 * sum(one.cell == "geometry" for one in ASKED)
    assert set(measures.cell_estimates(scores, "variation")) == {
        "context_change", "parameter_change", "practical_application",
    }  # fmt: skip


def test_set_diversity_sees_what_groups_do_not(good):
    """The same problem for every prompt: a group of one is as diverse as any, the set isn't."""
    text = problems(names(ASKED), 1)[ASKED[0].prompt.id]
    same = measures.score(evaluated(ASKED, dict.fromkeys(names(ASKED), text)))
    assert of(same, "diversity")["n"] == 0
    assert of(same, "set_diversity")["mean"] == 0
    assert of(measures.score(good), "set_diversity")["mean"] > 0.01


def test_copies_are_counted(good):
    texts = problems(names(ASKED), 1)
    known = good[0].nearest
    scores = measures.score(evaluated(ASKED, {**texts, ASKED[0].prompt.id: [f"{known}\nAnswer: \\boxed{{1}}"]}))
    assert of(scores, "copies")["mean"] == of(scores, "contamination_rate")["mean"] == 0.0625
    assert scores[0].values["copied"] == 1


def test_novelty_to_the_history_of_grpo(good):
    history = Index()
    assert {row.values["novelty_history"] for row in measures.score(good, history=history)} == {None}
    history.add([good[0].completion.statement])
    found = measures.score(good, history=history)
    assert found[0].values["novelty_history"] == pytest.approx(0, abs=1e-3)
    assert found[1].values["novelty_history"] > 0.01


def test_the_teachers_marks_and_their_balance(good):
    row = {"overall": 3.0, **dict(zip(DIMENSIONS, (4, 2, 3, 4, 2), strict=True))}
    liked = {"overall": 4.2, **dict.fromkeys(DIMENSIONS, 4)}
    marks = {r.completion.id: liked if place % 4 == 0 else row for place, r in enumerate(good[:32])}
    scores = measures.score(good, marks)
    assert of(scores, "teacher_approval")["mean"] == 0.25
    assert of(scores, "teacher_overall")["mean"] == pytest.approx(0.25 * 4 + 0.75 * 3)
    assert of(scores, "balance")["mean"] == pytest.approx(2.5 / 4)
    assert of(scores, "balance")["low"] < 0.625 < of(scores, "balance")["high"]
    few = measures.score(good, dict(list(marks.items())[:2]))
    assert of(few, "balance") == {"mean": pytest.approx(0.75), "low": None, "high": None, "n": 2, "prompts": 1}


def test_variations_are_counted_by_kind_and_by_origin(good):
    scores = measures.score(good)
    own = [replace(row, test="own_variation") for row in scores if row.test == "variation"]
    both = [*scores, *own]
    assert of(both, "variation_success")["n"] == 2 * of(scores, "held_out_variation_success")["n"] == 24
    assert of(scores, "held_out_variation_success")["prompts"] == 2, "three variations of an original are one"
    assert of(scores, "own_variation_success") is None


def test_every_score_has_a_place_and_a_column(good):
    scores = measures.score(good)
    places = [(row.test, row.thinking, row.prompt, row.sample) for row in scores]
    assert len(set(places)) == len(scores) == len(good)
    assert all(tuple(row.values) == COLUMNS for row in scores)
    assert {column for measure in MEASURES.values() for column in measure.columns} == set(COLUMNS)
    assert set(TEACHER) <= set(COLUMNS)


def one(prompt: str, total: float | None, sample: int = 0) -> Score:
    return Score("new", "algebra", False, prompt, sample, {**dict.fromkeys(COLUMNS), "passed": 1.0, "total": total})


def test_a_prompt_counts_as_one_however_often_it_was_sampled():
    scores = [one("a", 0.0), one("a", 0.2, 1), one("b", 0.5), one("c", None)]
    assert of(scores, "total") == {"mean": 0.3, "low": None, "high": None, "n": 3, "prompts": 2}


def test_differences_are_paired_by_prompt_where_half_of_them_are_common():
    before = [one(f"p{n}", n / 20) for n in range(10)]
    after = [one(f"p{n}", n / 20 + 0.1 + n % 2 / 50) for n in range(2, 12)]
    found = measures.compare(before, after, MEASURES["total"])
    assert found.paired
    assert found.prompts == 8
    assert found.difference == pytest.approx(0.11)
    assert (found.before, found.verdict) == (pytest.approx(0.275), "better")


def test_other_prompts_are_compared_unpaired():
    before = [one(f"p{n}", 0.1 + n % 3 / 50) for n in range(10)]
    after = [one(f"q{n}", 0.5 + n % 3 / 50) for n in range(9)]
    found = measures.compare(before, after, MEASURES["total"])
    assert not found.paired
    assert (found.prompts, found.verdict) == (9, "better")
    assert measures.compare(before, [], MEASURES["total"]).after is None


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("total", 0.2, "better"),
        ("total", -0.2, "worse"),
        ("contamination_rate", 0.2, "worse"),
        ("tokens", 0.2, "higher"),
        ("total", 0.0, "can't tell"),
    ],
    ids=["higher is better", "lower is worse", "of a share of copies", "a length is neither", "no change"],
)
def test_verdicts_say_which_way_is_better(name, change, expected):
    measure = MEASURES[name]
    (column,) = measure.columns
    sides = [
        [
            replace(row, values={**row.values, column: 0.3 + n / 50 + shift * (1 + n % 3 / 10)})
            for n, row in enumerate(one(f"p{n}", None) for n in range(12))
        ]
        for shift in (0.0, change)
    ]
    assert measures.compare(*sides, measure).verdict == expected
