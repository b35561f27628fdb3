import json
import time
from pathlib import Path

import pytest

from questions_gen.rewards import latex
from questions_gen.rewards.gate import REASONS, RULES, reasons_against
from questions_gen.rewards.text import asks
from tests.rewards.judges import completion


def reasons(text: str, finish_reason: str = "stop") -> tuple[str, ...]:
    return reasons_against(completion(text, finish_reason=finish_reason), RULES)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Find all primes $p$ such that $p^2+2$ is prime.", "plain"),
        ("Find all primes $p$ such that $p^2+2$ is prime.\nAnswer: \\boxed{3}", "with its answer line"),
        ("<think>primes!</think>Prove that there are infinitely many primes of the form $4k+3$.", "a proof"),
        ("A pen costs $5 and a book costs $12. How much do 3 pens and 2 books cost?", "prices, no formulas"),
        ("Ann has $2, $10 and $5 notes worth $50 in all. How many notes can she have?", "an odd number of prices"),
        ("Let $n \\geq 2$. (a) Find $f(2)$ if $f(n)=n^2$. (b) Find $f(f(n))$.", "parts of one problem"),
        ("Is it possible to tile a $6\\times 6$ board with $1\\times 4$ tiles?", "yes or no"),
        (
            "Let $[x)$ be the half-open interval $[0,x)$. Find $x$ if its length is $\\frac{1}{2}$.",
            "half-open intervals",
        ),
        ("Solve $x^2-5x+6=0$.", "short"),
        ("For real numbers $a<b<c$, prove that $(a-b)(b-c)>0$.", "a chain that looks like a tag"),
        ("Find all pairs of integers $1<i<j$ such that $ij>100$ and $j<40$.", "and so does this one"),
        (
            r"Reals satisfy \begin{align*} x+y &= 7 \\ x-y &= 1 \end{align*} Find $x$. Write it as $m$ over three.",
            "an environment without dollars, in its place among the formulas",
        ),
        ("Which positive integer must be added to $1000$ so that the result is divisible by $7$?", "a condition"),
        ("An integer is multiplied by $3$ and $5$ is added; the result is $26$. What is the integer?", "another"),
        (
            "The probability of $A$ is $3$ times that of $B$. The probability of $B$ is $2$ times the one of $C$. "
            "One of the three happens. Find the probability of $A$.",
            "probabilities that are compared",
        ),
        ("A triangle has sides $10{,}000$, $10{,}000$ and $12{,}000$. Find its area.", "thousands are set apart"),
        ("Find the last digit of $11111111^{2024}$.", "eight equal digits are a number"),
        ("Let $a$$b$ be two digits. Find $a+b$ if $ab=12$.", "two formulas that touch"),
    ],
)
def test_one_well_formed_problem_passes(text, why):
    assert reasons(text) == (), why


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("Sure! Here's a problem: find all primes $p$ with $p<10$.", "dialogue"),
        ("Find all primes $p$ such that", "cut_off"),
        ("Find all primes $p with $p<10$.", "unbalanced_latex"),
        ("Primes are numbers with exactly two divisors.", "not_a_question"),
        ("Find all primes $p$ with $p<10$. The answer is 2, 3, 5, 7.", "answer_given_away"),
        ("Find all primes $p$ with $p<10$. The result is 2, 3, 5, 7.", "answer_given_away"),
        ("<p class='x'>Find all primes $p$ with $p<10$.</p>", "markup"),
        ("Find all primes $p$ with $p<10$.<br />", "markup"),
        ("The probability of $A$ is $3$. Find the probability that $A$ doesn't happen.", "contradiction"),
    ],
)
def test_reason(text, reason):
    assert reason in reasons(text)


def test_a_completion_that_hit_the_limit_is_cut_off():
    assert reasons("Find all primes $p$ with $p<10$.", "length") == ("cut_off",)


def test_reasons_come_from_the_closed_list_and_in_its_order():
    told = reasons("Sure! As an AI I cannot. Solution: the answer is $5")
    assert len(told) >= 3
    assert list(told) == sorted(told, key=REASONS.index)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Find all primes.", True),
        ("If $x=2$, compute $x^2$.", True),
        ("How many are left?", True),
        ("Does such a function exist?", True),
        ("In how many ways can this be done", True),
        ("The formula is used to find roots.", False),
        ("Finding primes is hard.", False),
        ("The result, which is larger, holds.", False),
    ],
)
def test_asks(sentence, expected):
    assert asks(sentence) is expected


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("$\\left(\\frac{1}{2}\\right)$", True),
        ("\\[ \\begin{cases} a \\\\ b \\end{cases} \\]", True),
        ("a \\\\[2pt] b", True),
        ("costs $5", True),
        ("$\\left( x$", False),
        ("$\\begin{cases} a$", False),
        ("\\( x", False),
        ("$$ x $", False),
    ],
)
def test_latex_is_whole(text, whole):
    assert latex.parses(latex.read(text)) is whole


HOSTILE = {
    "a megabyte": "find x " * 150_000,
    "nested braces": "Find $x$ if $" + "{" * 2_900 + "}" * 2_900 + "=1$.",
    "open braces": "Find $x$ if " + "{" * 5_800,
    "dollars": "Find $" + "$" * 5_900,
    "left": "Find $" + "\\left(" * 950 + "$.",
    "blanks": "Find" + " " * 5_900 + "$x$.",
    "newlines": "Find $x$.\n" * 590,
    "digits": "Find " + "1" * 5_900 + ".",
    "brackets": "Find " + "([" * 2_900,
    "long word": "a" * 5_900,
    "commas": "Find $x$" + ", 1" * 1_900 + ".",
    "begin": "\\begin{cases}" * 400,
    "backslashes": "\\" * 5_900,
    "prices": "$1 " * 1_900,
    "bidirectional": "Find \u202e$x$ if $x=1$." * 200,
    "lone surrogate": "Find $x$ \ud800 if $x^2=4$.",
    "questions": "what is the " * 490 + "?",
    "and": "and find " * 650,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_costs_bounded_time_and_is_refused(text):
    start = time.perf_counter()
    assert reasons(text)
    assert time.perf_counter() - start < 3


def test_genuine_problems_of_the_gaming_suite_pass():
    for line in (Path(__file__).parent / "gaming" / "genuine.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert reasons(row["text"]) == (), row["id"]


def test_an_environment_keeps_its_place_among_the_formulas():
    reading = latex.read(
        r"Let $a$ be $1$. \begin{align*} x &= \text{$b$} \end{align*} with $c$$d$, and \begin{cases} z \end{cases} too."
    )
    assert [formula.strip()[:9] for formula in reading.formulas] == ["a", "1", "\\begin{al", "c", "d", "\\begin{ca"]
    assert reading.prose.count(latex.MATH) == 6
    assert r"\text{ b }" in reading.formulas[2]
