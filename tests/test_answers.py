import time

import pytest

from questions_gen.answers import boxed, parse_completion, split_answer, split_thinking


@pytest.mark.parametrize(
    ("text", "expected", "reason"),
    [
        ("Find x.", (None, "Find x."), "no thinking"),
        ("<think>hm</think>\n\nFind x.", ("hm", "Find x."), "thinking first"),
        ("hm</think>Find x.", ("hm", "Find x."), "the template opened it"),
        ("<think></think>Find x.", ("", "Find x."), "an empty block is thinking too"),
        ("<think>never ends", ("never ends", ""), "nothing was said after it"),
        ("<think>a</think>b</think>c", ("a</think>b", "c"), "the last close counts"),
    ],
)
def test_split_thinking(text, expected, reason):
    assert split_thinking(text) == expected, reason


@pytest.mark.parametrize(
    ("text", "expected", "reason"),
    [
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}", "braces balance"),
        (r"\boxed{1} or \boxed{2}", "2", "the last one"),
        (r"\boxed{1} and \boxed{2", "1", "the last whole one"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}", "escaped braces are no groups"),
        (r"\boxed {3}", "3", "a blank before the brace"),
        ("none", None, "no box"),
        (r"\boxed{1", None, "never closed"),
        (r"{\boxed{a}", "a", "an open group before it"),
    ],
)
def test_boxed(text, expected, reason):
    assert boxed(text) == expected, reason


@pytest.mark.parametrize(
    ("text", "expected", "reason"),
    [
        ("Find x.\nAnswer: \\boxed{\\frac12}", ("Find x.", "\\frac12"), "the form"),
        ("Find x.\n\n**Answer:** $\\boxed{3}$.", ("Find x.", "3"), "marked up"),
        ("Prove it.", ("Prove it.", None), "a proof has no answer"),
        ("Find x. Answer: \\boxed{3}", ("Find x. Answer: \\boxed{3}", None), "not on a line of its own"),
        ("Find x.\nAnswer: 3", ("Find x.\nAnswer: 3", None), "not boxed: it stays, and the gate sees it"),
        ("Answer: \\boxed{1}\nFind x.", ("Answer: \\boxed{1}\nFind x.", None), "not the final line"),
        ("Find x.\nAnswer: \\boxed{}", ("Find x.\nAnswer: \\boxed{}", None), "an empty box"),
        ("Find x.\nAnswer: \\boxed{...}", ("Find x.\nAnswer: \\boxed{...}", None), "the dots of the prompt"),
        ("Find x.\nAnswer: \\boxed{\\ldots }", ("Find x.\nAnswer: \\boxed{\\ldots }", None), "the same in LaTeX"),
        ("Answer: \\boxed{1}", ("", "1"), "no statement"),
        ("Find x.\nAnswer: \\[\\boxed{3}\\]", ("Find x.", "3"), "displayed"),
        ("Find x.\n\\textbf{Answer:} \\(\\boxed{3}\\)", ("Find x.", "3"), "in LaTeX's bold"),
        ("Find x.\n\n---\n### Answer: \\boxed{3}", ("Find x.", "3"), "a heading under a line"),
        ("Find x.\nAnswer: \\boxed{3} cm", ("Find x.\nAnswer: \\boxed{3} cm", None), "more than the box"),
    ],
)
def test_split_answer(text, expected, reason):
    assert split_answer(text) == expected, reason


def test_parse_completion_splits_all_parts():
    text = "<think>primes</think>Find all primes $p<5$.\nAnswer: \\boxed{2, 3}"
    made = parse_completion(id="c", prompt_id="p", text=text, finish_reason="stop", tokens=9, seed=1)
    assert (made.thinking, made.statement, made.answer) == ("primes", "Find all primes $p<5$.", "2, 3")
    assert made.text == text


@pytest.mark.parametrize("text", ["\\boxed{" * 150_000, "{" * 1_000_000, "Answer:\n" * 100_000, "</think>" * 100_000])
def test_hostile_text_costs_linear_time(text):
    start = time.perf_counter()
    parse_completion(id="c", prompt_id="p", text=text, finish_reason="stop", tokens=1, seed=0)
    boxed(text)
    assert time.perf_counter() - start < 5
