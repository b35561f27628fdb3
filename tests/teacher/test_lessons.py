"""What is learned: problems of the teacher's that hold, each drop with its reason."""

import asyncio

import pytest

from questions_gen import prompts
from questions_gen.answers import parse_completion, split_answer
from questions_gen.schema import Completion, Prompt, VariationKind
from questions_gen.teacher.answers import Comparison, Evaluation, WrittenProblem
from questions_gen.teacher.client import Dropped
from questions_gen.teacher.lessons import Proposal, Selection, reason_against, select, teach_one, to_problem
from tests.rewards.judges import judge

ORIGINAL = "How many integers $n$ have $n^2 < 100$?"
"""Its gate is closed: the prompt asks for a line with the answer."""
GOOD = WrittenProblem(problem="How many positive integers $n$ have $n^2 < 100$ and are odd?", answer="5")
VARIED = {
    "context_change": "A square has an area below 100 and a side of $n$ meters. How many whole $n$ have $n^2 < 100$?",
    "parameter_change": "How many integers $n$ have $n^2 < 400$?",
    "practical_application": "A farmer plants trees in $n$ rows of $n$ in a garden. How many $n$ have $n^2 < 100$?",
}


def completion(text: str, number: int = 0) -> Completion:
    return parse_completion(id=f"c{number}", prompt_id="p", text=text, finish_reason="stop", tokens=1, seed=0)


PROMPT = Prompt(id="p", task="problem", messages=prompts.problem_messages("number theory"))


class Scripted:
    """A teacher that says what it was told to; an exception is raised."""

    def __init__(
        self,
        evaluation: object = None,
        improved: object = GOOD,
        varied: object = None,
        better: tuple[object, ...] = ("second", "first"),
    ):
        default = Evaluation(
            feedback="Say positive.", rigor=1, difficulty=1, innovation=1, clarity=1, educational_value=1
        )
        self.said = {"evaluate": evaluation or default, "improve": improved, "vary": varied}
        self.better = list(better)

    async def evaluate(self, statement: str) -> Evaluation:
        return self._say("evaluate")

    async def improve(self, statement: str, feedback: str) -> WrittenProblem:
        return self._say("improve")

    async def vary(self, kind: VariationKind, statement: str) -> WrittenProblem:
        return self._say("vary") or WrittenProblem(problem=VARIED[kind], answer="19")

    async def compare(self, first: str, second: str) -> Comparison:
        better = self.better.pop(0)
        if isinstance(better, Exception):
            raise better
        return Comparison(feedback="One is better.", better=better)

    def _say(self, what: str):
        if isinstance(self.said[what], Exception):
            raise self.said[what]
        return self.said[what]


def lesson(
    teacher: Scripted,
    variations: bool = False,
    original: str = ORIGINAL,
    margin: float = 0.0,
    compare: bool = False,
    history: tuple[str, ...] = (),
):
    selection = Selection(judge(history=history), margin, compare)
    return asyncio.run(teach_one(teacher, Proposal(PROMPT, completion(original), variations), selection))


def test_an_improvement_makes_two_conversations() -> None:
    taught = lesson(Scripted())
    assert [conversation.id for conversation in taught.conversations] == ["c0/improve", "c0/direct"]
    improve, direct = taught.conversations
    assert improve.messages[:-1] == prompts.improve_messages(ORIGINAL, "Say positive.")
    assert direct.messages[:-1] == PROMPT.messages
    assert direct.task == "problem"
    for conversation in taught.conversations:
        assert conversation.source_id == "c0"
        assert split_answer(conversation.messages[-1].content) == (GOOD.problem, "5")
    assert taught.dropped == []
    assert taught.verdict.reasons == ("no_answer",)


def test_what_was_kept_is_preferred_to_what_it_was_made_of() -> None:
    [preference] = lesson(Scripted()).preferences
    assert preference.messages == PROMPT.messages
    assert split_answer(preference.chosen) == (GOOD.problem, "5")
    assert preference.rejected == ORIGINAL
    assert preference.chosen_total > preference.rejected_total == 0


def test_an_improvement_must_win_by_the_margin() -> None:
    """Against an original that the gate passes, and that is nearer to the history."""
    near = {"original": f"{ORIGINAL}\nAnswer: \\boxed{{19}}", "history": ("How many integers $n$ have $n^3 < 900$?",)}
    better = WrittenProblem(
        problem="Let $n$ be a positive integer such that $n^2 < 100$ and $n$ is coprime to $100$. Find the sum of all "
        "such $n$.",
        answer="20",
    )
    taught = lesson(Scripted(improved=better), **near)
    assert taught.verdict.passed
    gain = taught.preferences[0].chosen_total - taught.preferences[0].rejected_total
    assert gain > 0
    assert lesson(Scripted(improved=better), margin=gain - 1e-9, **near).dropped == []
    lost = lesson(Scripted(improved=better), margin=gain + 1e-9, **near)
    assert lost.dropped == [{"id": "c0/improve", "reason": "not_better"}]
    assert lost.conversations == lost.preferences == []


@pytest.mark.parametrize(
    ("better", "dropped"),
    [
        (("second", "first"), []),
        (("first", "first"), [{"id": "c0/improve", "reason": "not_preferred"}]),
        (("second", "second"), [{"id": "c0/improve", "reason": "not_preferred"}]),
        (("second", Dropped("cut_off")), [{"id": "c0/improve", "reason": "cut_off"}]),
    ],
    ids=["both times", "never", "the second place", "no answer"],
)
def test_where_asked_the_teacher_must_prefer_it_in_both_orders(better: tuple, dropped: list) -> None:
    taught = lesson(Scripted(better=better), compare=True)
    assert taught.dropped == dropped
    assert len(taught.preferences) == (0 if dropped else 1)


def test_variations_answer_the_seed_s_three_prompts() -> None:
    taught = lesson(Scripted(), variations=True)
    varied = [conversation for conversation in taught.conversations if conversation.task == "variation"]
    kinds = ["context_change", "parameter_change", "practical_application"]
    assert [conversation.messages[:-1] for conversation in varied] == [
        prompts.variation_messages(kind, ORIGINAL) for kind in kinds
    ]


def test_without_feedback_nothing_is_improved_but_variations_go_on() -> None:
    taught = lesson(Scripted(evaluation=Dropped("cut_off")), variations=True)
    assert taught.evaluation is None
    assert taught.dropped == [{"id": "c0/evaluate", "reason": "cut_off"}]
    assert {conversation.task for conversation in taught.conversations} == {"variation"}


@pytest.mark.parametrize(
    ("problem", "answer", "reason"),
    [
        (ORIGINAL.lower(), "19", "unchanged"),
        ("How many integers from 1 to 100 are divisible by 3 but not by 9?", "22", "copies_the_example"),
        (GOOD.problem, "5} and {6", "unreadable_answer"),
        (GOOD.problem + "\nAnswer: \\boxed{5}", None, "unreadable_answer"),
        (GOOD.problem, "5", None),
        ("Prove that $n^2 + n$ is even for each integer $n$.", None, None),
    ],
)
def test_problems_that_teach_nothing_are_told(problem: str, answer: str | None, reason: str | None) -> None:
    assert reason_against(to_problem(WrittenProblem(problem=problem, answer=answer)), ORIGINAL) == reason


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        ("Find the sum of the sum of the sum of the sum of the sum of the sum.", "repetition"),
        ("The number $n$ is odd and below 100.", "not_a_question"),
    ],
)
def test_what_the_gate_refuses_is_not_learned(problem: str, reason: str) -> None:
    dropped = lesson(Scripted(improved=WrittenProblem(problem=problem, answer="1")))
    assert dropped.dropped == [{"id": "c0/improve", "reason": reason}]
    assert dropped.conversations == dropped.preferences == []


def test_a_variation_of_another_kind_is_not_learned() -> None:
    taught = lesson(Scripted(varied=WrittenProblem(problem=VARIED["parameter_change"], answer="39")), variations=True)
    assert "c0/parameter_change" in [row.id for row in taught.conversations]
    assert "c0/practical_application" not in [row.id for row in taught.conversations]
    assert {"id": "c0/practical_application", "reason": "not_the_declared_variation"} in taught.dropped


def test_a_boxed_answer_is_taken_out_of_its_box() -> None:
    assert to_problem(WrittenProblem(problem="p", answer="\\boxed{\\frac{1}{2}}")).answer == "\\frac{1}{2}"
    assert to_problem(WrittenProblem(problem="p", answer="a\n b")).answer == "a b"


def test_proposals_need_a_statement_that_is_new() -> None:
    completions = [completion(text, n) for n, text in enumerate(["", "What is 1?", "what  is 1?", "What is 2?"])]
    proposals, refused = select([PROMPT], completions, every=2)
    assert [(p.completion.id, p.variations) for p in proposals] == [("c1", True), ("c3", False)]
    assert [row for lesson in refused for row in lesson.dropped] == [
        {"id": "c0/proposal", "reason": "no_statement"},
        {"id": "c2/proposal", "reason": "repeats_a_proposal"},
    ]
