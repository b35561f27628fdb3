import pytest

from questions_gen.rewards.core import core

STATEMENT = "Let $n$ be an odd integer with $n > 1$. Find the remainder of $n^2$ modulo 8."


@pytest.mark.parametrize(
    "padded",
    [
        f"This needs great insight. {STATEMENT}",
        f"{STATEMENT} Topology is deep.",
        f"{STATEMENT} Note that $n = n$.",
        f"Recall that $\\int_0^1 x\\,dx = \\frac12$. {STATEMENT}",
        f"{STATEMENT} {STATEMENT}",
    ],
)
def test_padding_is_taken_out(padded):
    assert core(padded).replace(" .", ".") == core(STATEMENT).replace(" .", ".")


def test_what_bears_on_the_question_stays():
    story = "Anna has 12 apples. She gives 3 of them to Boris. How many apples does Anna keep?"
    assert core(story) == story
    assert core("No question here.") == "No question here."


def test_a_lone_question_takes_the_sentence_it_refers_to():
    text = "A circle of radius 5 touches a line. Find the distance from its centre to the line."
    assert core(text) == text
