"""Text to HTML: formulas are drawn, and nothing of a model's text becomes more than text."""

import random
import re
import time
from html.parser import HTMLParser

import pytest

from questions_gen.report.latex import ATTRIBUTES, ELEMENTS, formula, html, mathml
from tests.report.sample_evaluations import HOSTILE, STATEMENTS


class Elements(HTMLParser):
    """All elements, attributes and text of a piece of HTML, as a browser parts them."""

    def __init__(self, text: str):
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    "text", ["$x^2$", "$$x^2$$", r"\(x^2\)", r"\[x^2\]", "Let $x^2$.", r"cost \$5, $x^2$", "a$x^2$, b"]
)
def test_formulas_of_every_delimiter_are_drawn(text):
    assert "<msup><mi>x</mi><mn>2</mn></msup>" in html(text)
    assert "<code>" not in html(text)


@pytest.mark.parametrize(
    "text",
    [
        "between $5 and $6",  # money: a digit after the second
        "$ x$ and y",  # a space inside
        r"a \$x\$ b",  # escaped
        "one $ only",
        "$a\n\nb$",  # of two paragraphs
        "$$",
        r"\[ never closed",
    ],
)
def test_what_is_no_formula_stays_text(text):
    assert Elements(html(text)).names == set()
    assert Elements(html(text)).text == text


@pytest.mark.parametrize("text", STATEMENTS)
def test_competition_problems_are_drawn_whole(text):
    assert "<math" in html(text)
    assert "<code>" not in html(text)


@pytest.mark.parametrize(
    "latex",
    [
        r"\frac{1}{",
        r"\left( x",
        r"\begin{cases} a",
        "x^2^3",
        r"\unknown{x}",
        "a & b",
        r"\href{javascript:alert(1)}{x}",
        r"\style{position:fixed}{x}",
        r"\class{skip}{x}",
        r"\rule{1em}{2em}",
        r"\hspace{1000em}",  # would push the page apart
        r"\newcommand{\a}{\a\a}\a",  # could grow without end
        "{" * 900,
    ],
)
def test_what_cannot_be_drawn_is_shown_as_its_source(latex):
    assert mathml(latex) is None
    drawn = html(f"before ${latex}$ after")
    assert Elements(drawn).names == {"code"}
    assert Elements(drawn).text == f"before ${latex}$ after"
    assert formula(latex).startswith("<code>")


def test_a_formula_that_is_too_long_is_text():
    text = f"${'x+' * 600}x$"
    assert html(text) == text


def test_text_inside_a_formula_is_escaped():
    assert "<mtext>&lt;script&gt;1&lt;/script&gt;</mtext>" in html(r"$\text{<script>1</script>}$")
    assert "<mo>&lt;</mo>" in html("$a<b$")


def test_nothing_but_listed_elements_and_attributes_comes_out_of_hostile_text():
    """Random sequences of what could break out, many of which are drawn."""
    pieces = (
        *(r"\frac", "{", "}", "x", "1", "^", "_", r"\left(", r"\right)", r"\sqrt", "[", "]", "&", r"\\", " ", '"', "'"),
        *(r"\text{", r"\href{javascript:a}", r"\color{red}", r"\hspace{2em}", r"\operatorname", "<script>", "</math>"),
        *(
            r"\begin{matrix}",
            r"\end{matrix}",
            r"\tag{",
            r"\unicode{x3c}",
            r"\class{a}",
            "<!--",
            "&lt;",
            r"\mathrm{<b>}",
        ),
    )
    draw = random.Random(1)
    drawn = 0
    for _ in range(800):
        latex = "".join(draw.choice(pieces) for _ in range(draw.randint(1, 10)))
        found = Elements(html(f"<i>$${latex}$$"))
        assert found.names <= ELEMENTS | {"code"}, latex
        assert found.attributes <= set(ATTRIBUTES), latex
        drawn += "math" in found.names
    assert drawn > 60
    assert Elements(html(HOSTILE)).names <= ELEMENTS | {"code"}


def test_values_of_attributes_hold_no_quotes_and_no_code():
    values = re.findall(r'="([^"]*)"', html(r"$\color{red\"x=y}{x} \hspace{1em\" onload=\"a} \binom{n}{k}$"))
    assert values
    assert all(re.fullmatch(r"[\w .%+-]*", value) for value in values)


@pytest.mark.parametrize("text", [r"\[" * 4000, "$$a" * 4000, "$x" * 4000, r"\(\\" * 2000, "$" * 8000])
def test_no_text_takes_long(text):
    start = time.perf_counter()
    html(text)
    assert time.perf_counter() - start < 2
