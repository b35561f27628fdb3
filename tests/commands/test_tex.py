"""LaTeX of a model's text: it compiles whatever the text, and shows what it can't set."""

import random
import re
import shutil
from pathlib import Path

import pytest

from questions_gen import files
from questions_gen.commands import tex
from questions_gen.commands.sheet import latex, make_pdf, markdown
from tests.conftest import ROOT

KEPT = [
    (r"x^2", r"x^{2}", "a script gets its braces"),
    (r"\frac12", r"\frac{1}{2}", "an argument too"),
    (r"\sqrt[3]{x}", r"\sqrt[{3}]{x}", "a root"),
    (r"a_{n+1} \le a_n", r"a_{n+1}\le a_{n}", "blanks mean nothing"),
    (r"x'^2", r"x'^{2}", "a prime and a power"),
    (r"90°", r"90^{\circ }", "mathematics that isn't ASCII"),
    (r"\text{if } n % 2", None, "a comment would take the rest of the line"),
    (r"\begin{cases} 1 & x>0 \\ [2] & x<0 \end{cases}", r"\begin{cases}1&x>0\\{}[2]&x<0\end{cases}", "no length"),
    (r"\left[0, \tfrac{1}{2}\right)", r"\left[0,\tfrac{1}{2}\right)", "brackets of two kinds"),
    (r"\text{50\% of } \$3_x", r"\text{50\% of }\$3_{x}", "text inside"),
]
REFUSED = [
    (r"x^2^3", "two powers"),
    (r"x_1'_2", "two indices"),
    (r"x_", "nothing to lower"),
    (r"\frac{1}", "one argument of two"),
    (r"a & b", "a column outside of a table"),
    (r"\begin{cases} a & b & c \end{cases}", "a column too many"),
    (r"\begin{document} x \end{document}", "a document of its own"),
    (r"\begin{matrix} a \end{cases}", "another end"),
    (r"\left( x", "a bracket left open"),
    (r"\input{/etc/passwd}", "a file"),
    (r"\write18{ls}", "a program"),
    (r"\def\x{\x\x}\x", "a definition without end"),
    (r"\catcode`\%=12", "other rules"),
    (r"x\limits_1", "limits of no operator"),
    (r"\undefinedcommand", "nobody knows it"),
    (r"\sqrt[3{x}", "an optional argument left open"),
    ("x #1", "a parameter"),
    ("x \x00", "a null"),
    ("x é", "a letter that math mode lacks"),
    ("{" * 40 + "}" * 40, "too deep"),
]
HOSTILE = [
    r"\end{document}\input{/etc/passwd} $x_1_2$ 50% of #1 & {open",
    r"a $\def\a{\a}\a$ b $$\frac{1}$$ \(\left(x\) \[ \begin{array}{cc} 1 & 2 & 3 \end{array} \]",
    'naïve Čech ≤ ∑ 中文 😀 \u202e tabs\there ~ ^ _ \\ " | < > ‘q’ — … \x1b[2J',
    "[1] first\n\n\n[2] second\n\\\\[3cm] third $[4]$ \\item five",
    "`code` ``more`` <script>alert(1)</script> # head\n1. item\n- other\n![x](http://evil.invalid/y)",
    "$" * 50 + "{" * 50 + "\\" * 51 + "^" * 20,
    "",
]


@pytest.mark.parametrize(("body", "expected", "reason"), KEPT)
def test_a_formula_is_written_anew(body, expected, reason):
    assert tex.formula(body) == expected, reason


@pytest.mark.parametrize(("body", "reason"), REFUSED)
def test_a_formula_that_tex_would_stop_at_is_shown(body, reason):
    assert tex.formula(body) is None, reason


def corpus() -> list[str]:
    """Statements with LaTeX, real and faked, from the tests of the rewards."""
    folder = ROOT / "tests/rewards/gaming"
    rows = [row for name in ("genuine.jsonl", "fakes.jsonl") for row in files.read_rows(folder / name)]
    return [row["text"] for row in rows]


def test_the_formulas_of_real_problems_are_set_and_not_shown():
    texts = [row["text"] for row in files.read_rows(ROOT / "tests/rewards/gaming/genuine.jsonl")]
    assert any("$" in text for text in texts)
    assert [text for text in texts if r"\texttt" in tex.latex(text)] == []


def mangled(texts: list[str], count: int) -> list[str]:
    """Texts with pieces lost, doubled and moved, so that their LaTeX is broken in every way."""
    draw = random.Random(0)
    out = []
    for _ in range(count):
        pieces = re.findall(r"\\[a-zA-Z]+|.", draw.choice(texts), re.DOTALL)
        for _ in range(draw.randint(1, 8)):
            place = draw.randrange(len(pieces))
            pieces[place : place + draw.randint(0, 2)] = draw.choice([[], [pieces[place]] * 2, list("$^_{}\\&%")])
            pieces = pieces or ["x"]
        out.append("".join(pieces))
    return out


def problem(statement: str) -> dict:
    return {
        "statement": statement, "answer": statement[:40] or None, "hints": [statement[:200]], "model": "tiny",
        "seed": 1, "prompt": statement, "nearest": statement, "nearest_similarity": 0.5,
        "verdict": {"rewards": {"difficulty": 0.5, "diversity": None}, "total": 0.5},
    }  # fmt: skip


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex; `apt-get install texlive-latex-base`")
def test_whatever_a_model_writes_compiles(tmp_path: Path):
    texts = corpus()
    everything = [rf"${name if len(name) > 1 else name}$" for name in map("\\{}".format, sorted(tex.SYMBOLS))]
    everything += [rf"$\{name}{{x}}{{y}}$" for name in sorted(tex.ARGUMENTS) if name != "operatorname"]
    everything += [rf"$\left{mark} x \right{mark} \big{mark}$" for mark in sorted(tex.DELIMITERS)]
    everything += [rf"${name}\limits_a^b$" for name in sorted(tex.LIMITED)]
    everything += [f"${character}$ {character}" for character in tex.UNICODE]
    assert [text for text in everything if r"\texttt" in tex.latex(text)] == [], "all that is listed is set"
    rows = [problem(text) for text in (*HOSTILE, " ".join(everything), *texts[:60], *mangled(texts, 250))]
    assert make_pdf(latex(rows, "en"), tmp_path / "sheet.pdf", "pdflatex") is None
    first = (tmp_path / "sheet.pdf").read_bytes()
    assert first.startswith(b"%PDF")
    (tmp_path / "sheet.pdf").unlink()
    said = make_pdf(r"\documentclass{article}\begin{document}\undefined", tmp_path / "sheet.pdf", "pdflatex")
    assert "! Undefined control sequence" in said
    assert not (tmp_path / "sheet.pdf").exists()


CHINESE = [
    "求所有素数 $p$，使得 $p^2 + 2$ 也是素数（答案只有一个）。",
    "设 $\\begin{cases} x, & x>0 \\\\ -x, & \\text{其他} \\end{cases}$，求最小值。",
    "证明：𠀀 这样的字和 😀 没有字体。",
]


def test_a_chinese_sheet_is_chinese():
    rows = [problem(text) for text in CHINESE]
    source = latex(rows, "zh")
    assert "[U+6C42]" not in source
    for words in (
        "求所有素数 $p$，使得",
        r"\text{其他}",
        r"\section*{试题}",
        r"\subsection*{第 2 题}",
        "相似度 0.50：",
        "{ctex}",
    ):
        assert words in source
    assert "[U+20000]" in source, "beyond the basic plane the fonts have nothing"
    english = latex(rows, "en")
    assert english.isascii()
    assert "[U+6C42]" in english
    assert "## 第 1 题\n\n求所有素数 $p$，使得 $p^2 + 2$" in markdown(rows, "zh")


@pytest.mark.skipif(
    shutil.which("xelatex") is None, reason="no xelatex; `apt-get install texlive-xetex texlive-lang-chinese`"
)
def test_a_chinese_sheet_compiles(tmp_path: Path):
    rows = [problem(text) for text in (*CHINESE, *HOSTILE, *corpus()[:40])]
    assert make_pdf(latex(rows, "zh"), tmp_path / "sheet.pdf", "xelatex") is None
    assert (tmp_path / "sheet.pdf").read_bytes().startswith(b"%PDF")


def test_markdown_holds_no_markup_of_the_model():
    text = markdown([problem(HOSTILE[4]), problem(r"Find $x^2$ and $\input{y}$.")], "en")
    prose = re.sub(r"(`+) .*? \1", "", text)
    assert re.search(r"(?<!\\)<script|^# head|^1\. item|(?<!\\)!\[|^- other", prose, re.MULTILINE) is None
    assert "Find $x^2$ and ` $\\input{y}$ `." in text
