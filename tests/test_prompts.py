from typing import get_args

import pytest

from questions_gen import prompts
from questions_gen.answers import split_answer
from questions_gen.schema import Problem, VariationKind


def problem(name: str = "p", **values) -> Problem:
    return Problem(**{"id": name, "statement": "Find $x$.", "source": "s", "licence": "MIT", **values})


def asked(messages) -> str:
    (message,) = messages
    assert message.role == "user"
    return message.content


def test_what_is_not_known_is_left_out_of_the_prompt():
    whole = asked(prompts.problem_messages("algebra", ("AM-GM", "Vieta")))
    assert "Topic: algebra\nConcepts: AM-GM; Vieta\n" in whole
    assert "Concepts" not in asked(prompts.problem_messages("algebra", ()))
    bare = asked(prompts.problem_messages(None))
    assert "Topic" not in bare
    assert "None" not in bare


@pytest.mark.parametrize(
    ("messages", "contained"),
    [
        (prompts.solve_messages("What is 1 + 1?"), ["What is 1 + 1?", r"\boxed{...}"]),
        (prompts.innovation_messages("Find $x$.", ["Find $y$.", "Find $z$."]), ["Find $x$.", "Find $y$.", "Find $z$."]),
        (prompts.improve_messages("Find $x$.", "say what x is"), ["Improve: Find $x$.", "say what x is"]),
        (prompts.improve_messages("Find $x$.", None), ["Improve: Find $x$."]),
    ],
    ids=["solve", "innovation", "improve", "improve without feedback"],
)
def test_prompts_hold_their_material(messages, contained):
    assert all(part in asked(messages) for part in contained)
    assert "None" not in asked(messages)


def test_every_kind_of_variation_has_its_own_words():
    texts = {asked(prompts.variation_messages(kind, "Find $x$.")) for kind in get_args(VariationKind)}
    assert len(texts) == 3
    assert all("Find $x$." in text for text in texts)
    assert asked(prompts.variation_messages("context_change", "Find $x$.")).startswith("Change context: ")


@pytest.mark.parametrize(
    ("statement", "answer", "target"),
    [
        ("Find $x$. ", "2", "Find $x$.\nAnswer: \\boxed{2}"),
        ("Find $x$.", r"\frac{1}{2}", "Find $x$.\nAnswer: \\boxed{\\frac{1}{2}}"),
        ("Find $x$.", "1,\n2", "Find $x$.\nAnswer: \\boxed{1, 2}"),
        ("Prove that $x = x$.", None, "Prove that $x = x$."),
    ],
    ids=["plain", "nested braces", "an answer of two lines is put on one", "a proof has no answer line"],
)
def test_target_is_the_statement_and_a_final_answer_line(statement, answer, target):
    written = prompts.problem_target(problem(statement=statement, answer=answer))
    assert written == target
    flat = answer and " ".join(answer.split())
    assert split_answer(written) == (statement.strip(), flat)


def test_topic_prompts_do_not_depend_on_the_order_of_the_problems():
    problems = [problem(f"p{i}", topic=("algebra", "geometry")[i % 2], concepts=(f"c{i}",)) for i in range(20)]
    first = prompts.topic_prompts([], problems, 3)
    assert first == prompts.topic_prompts([], problems[::-1], 3)
    assert [prompt.topic for prompt in first] == ["algebra"] * 3 + ["geometry"] * 3
    assert len({prompt.id for prompt in first}) == 6
    for prompt in first:
        assert prompt.messages == prompts.problem_messages(prompt.topic, prompt.concepts)
        assert not any("Find $x$." in message.content for message in prompt.messages)


def test_every_topic_of_the_data_is_asked_for_with_what_concepts_there_are():
    training = [problem("t1", topic="calculus", concepts=("limits",)), problem("t2", topic=None)]
    held_out = [problem("h1", topic="algebra", concepts=("Vieta",))]
    asked_for = {prompt.topic: prompt for prompt in prompts.topic_prompts(training, held_out, 5)}
    assert set(asked_for) == {"algebra", "calculus"}
    assert asked_for["algebra"].concepts == ("Vieta",)
    assert asked_for["calculus"].concepts == (), "concepts of training problems would ask for what was learned"


def test_the_seeds_prompts_stand_as_they_were_and_ask_for_the_form():
    asked_for = {prompt.topic: asked(prompt.messages) for prompt in prompts.seed_prompts()}
    assert asked_for["calculus"].startswith("Generate a calculus competition problem:\n")
    assert asked_for["algebra"].startswith("Create an algebra problem:\n")
    assert asked_for["geometry"].startswith("Design a geometry proof:\n")
    assert all(text.endswith(prompts.WORDS["en"].form) for text in asked_for.values())


def test_a_problem_is_varied_in_three_ways():
    made = prompts.variation_prompts("own/p", "Find $x$.")
    assert [prompt.kind for prompt in made] == list(get_args(VariationKind))
    assert {prompt.original for prompt in made} == {"Find $x$."}
    assert len({prompt.id for prompt in made}) == 3


def test_chinese_prompts_ask_in_chinese_alone():
    kinds = {kind: asked(prompts.variation_messages(kind, "求 $x$。", "zh")) for kind in get_args(VariationKind)}
    assert [kinds[kind][:4] for kind in get_args(VariationKind)] == ["改变背景", "改变参数", "实际应用"]
    texts = [
        *kinds.values(),
        asked(prompts.problem_messages("number theory", ("同余", "整除"), "zh")),
        asked(prompts.innovation_messages("求 $x$。", ["求 $y$。"], "zh")),
        asked(prompts.improve_messages("求 $x$。", "说明 $x$ 是什么", "zh")),
        *(asked(prompt.messages) for prompt in prompts.seed_prompts("zh")),
    ]
    assert "主题：数论\n知识点：同余；整除\n" in texts[3]
    assert all(text.endswith(prompts.WORDS["zh"].form) for text in texts)
    assert not any(word in text for text in texts for word in ("Problem", "Answer", "Topic", "Write"))
    assert prompts.written_problem("求 $x$。", "2") == "求 $x$。\n答案：\\boxed{2}"
