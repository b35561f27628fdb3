"""What is learned: problems of the teacher's that hold, each drop with its reason."""

import asyncio

import pytest

from questions_gen import prompts
from questions_gen.answers import parse_completion, split_answer
from questions_gen.schema import Completion, Prompt, VariationKind
from questions_gen.teacher.answers import Evaluation, WrittenProblem
from questions_gen.teacher.client import Dropped
from questions_gen.teacher.lessons import Proposal, reason_against, select, teach_one, to_problem

ORIGINAL = "How many integers $n$ have $n^2 < 100$?"
GOOD = WrittenProblem(problem="How many positive integers $n$ have $n^2 < 100$ and are odd?", answer="5")


def completion(text: str, number: int = 0) -> Completion:
    return parse_completion(id=f"c{number}", prompt_id="p", text=text, finish_reason="stop", tokens=1, seed=0)


PROMPT = Prompt(id="p", task="problem", messages=prompts.problem_messages("number theory"))


class Scripted:
    """A teacher that says what it was told to; an exception is raised."""

    def __init__(self, evaluation: object = None, improved: object = GOOD, varied: object = GOOD):
        default = Evaluation(
            feedback="Say positive.", rigor=1, difficulty=1, innovation=1, clarity=1, educational_value=1
        )
        self.said = {"evaluate": evaluation or default, "improve": improved, "vary": varied}

    async def evaluate(self, statement: str) -> Evaluation:
        return self._say("evaluate")

    async def improve(self, statement: str, feedback: str) -> WrittenProblem:
        return self._say("improve")

    async def vary(self, kind: VariationKind, statement: str) -> WrittenProblem:
        return self._say("vary")

    def _say(self, what: str):
        if isinstance(self.said[what], Exception):
            raise self.said[what]
        return self.said[what]


def lesson(teacher: Scripted, variations: bool = False):
    return asyncio.run(teach_one(teacher, Proposal(PROMPT, completion(ORIGINAL), variations)))


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
    assert taught.verdicts == [()], "the gate passes it"
    assert taught.dropped == []


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


def test_a_broken_problem_is_dropped_and_a_poor_one_is_counted() -> None:
    loop = WrittenProblem(problem="Find the sum of the sum of the sum of the sum of the sum of the sum.", answer="1")
    dropped = lesson(Scripted(improved=loop))
    assert dropped.dropped == [{"id": "c0/improve", "reason": "repetition"}]
    assert dropped.conversations == dropped.verdicts == []
    poor = lesson(Scripted(improved=WrittenProblem(problem="The number $n$ is odd and below 100.", answer="1")))
    assert len(poor.conversations) == 2
    assert "not_a_question" in poor.verdicts[0]


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
