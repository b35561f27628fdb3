"""A contest on paper: the problems, then hints, answers and where each comes from. Markdown, LaTeX and PDF."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from questions_gen import files
from questions_gen.commands import tex
from questions_gen.commands.output import harmless
from questions_gen.report.latex import FORMULA
from questions_gen.schema import Language

Problem = Mapping[str, Any]
"""A sample's row with its `hints`."""


@dataclass(frozen=True)
class Words:
    """What the sheet says beside what the model wrote."""

    title: str
    note: str
    problem: str
    hints: str
    no_hint: str
    answers: str
    proof: str
    sources: str
    asked: str
    verdict: str
    nearest: str


WORDS: dict[Language, Words] = {
    "en": Words(
        title="Problems",
        note="Written by a model. The rewards have looked at the form of these problems, and nobody has solved them: "
        "answers and hints are the model's own.",
        problem="Problem {}",
        hints="Hints",
        no_hint="The model gave none that helps.",
        answers="Answers",
        proof="None: it asks for a proof.",
        sources="Where they come from",
        asked="Model {}, seed {}, asked:",
        verdict="Verdict: gate passed, total {} ({}).",
        nearest="Nearest known problem, similarity {}:",
    ),
    "zh": Words(
        title="试题",
        note="由模型编写。奖励只看了题目的形式，没有人解过这些题：答案和提示都是模型自己给出的。",
        problem="第 {} 题",
        hints="提示",
        no_hint="模型没有给出有用的提示。",
        answers="答案",
        proof="无：这是一道证明题。",
        sources="题目来源",
        asked="模型 {}，种子 {}，提问：",
        verdict="判定：通过门控，总分 {}（{}）。",
        nearest="最接近的已知题目，相似度 {}：",
    ),
}
ENGINES: dict[Language, tuple[str, ...]] = {"en": ("pdflatex", "tectonic"), "zh": ("xelatex", "tectonic")}
"""Programs that set a sheet, the first that is installed is taken. pdflatex has no Chinese fonts."""
_TEXLIVE = ("-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error")
OPTIONS = {"pdflatex": _TEXLIVE, "xelatex": _TEXLIVE, "tectonic": ("--untrusted", "--chatter", "minimal")}
SECONDS = 60
CHINESE = "\\usepackage[UTF8,scheme=plain]{ctex}\n"
PREAMBLE = r"""\documentclass[11pt]{article}
\usepackage{amsmath,amssymb}
\usepackage[margin=25mm]{geometry}
\setlength{\parindent}{0pt}
\setlength{\parskip}{6pt}
\emergencystretch=3em
"""
_MARKS = re.compile(r"([\\`*_{}\[\]<>#|!~$&])")
_LINE_START = re.compile(r"^(\s*)([-+=]|\d+[.)])", re.MULTILINE)


def markdown(problems: Sequence[Problem], language: Language) -> str:
    return _sheet(problems, WORDS[language], _markdown_text, _markdown_answer, _markdown_heading, _code) + "\n"


def latex(problems: Sequence[Problem], language: Language) -> str:
    """A document for ENGINES[language]. Chinese needs the package ctex, and is shown as numbers in an English sheet."""
    body = _sheet(problems, WORDS[language], tex.latex, tex.answer, _latex_heading, tex.verbatim)
    package = ""
    if language == "zh":
        package, body = CHINESE, tex.with_chinese(body)
    return f"{PREAMBLE}{package}\\begin{{document}}\n{body}\n\\end{{document}}\n"


def _sheet(
    problems: Sequence[Problem],
    words: Words,
    text: Callable[[str], str],
    answer: Callable[[str], str],
    heading: Callable[[int, str], str],
    quiet: Callable[[str], str],
) -> str:
    """The sheet in a markup that writes headings, texts, answers and sources so."""
    numbered = [(heading(2, words.problem.format(number)), problem) for number, problem in enumerate(problems, 1)]
    parts = [heading(1, words.title), text(words.note)]
    parts += [f"{name}\n\n{text(harmless(problem['statement']))}" for name, problem in numbered]
    parts.append(heading(1, words.hints))
    for name, problem in numbered:
        parts += [name, *([text(harmless(hint)) for hint in problem["hints"]] or [text(words.no_hint)])]
    parts.append(heading(1, words.answers))
    for name, problem in numbered:
        given = problem["answer"]
        parts += [name, text(words.proof) if given is None else answer(harmless(given))]
    parts.append(heading(1, words.sources))
    for name, problem in numbered:
        verdict = problem["verdict"]
        rewards = ", ".join(f"{part} {value:.2f}" for part, value in verdict["rewards"].items() if value is not None)
        parts += [
            name,
            text(words.asked.format(problem["model"], problem["seed"])),
            quiet(harmless(problem["prompt"])),
            text(words.verdict.format(f"{verdict['total']:.2f}", rewards)),
        ]
        if problem["nearest"] is not None:
            near = words.nearest.format(f"{problem['nearest_similarity']:.2f}")
            parts += [text(near), text(harmless(problem["nearest"]))]
    return "\n\n".join(parts)


def _markdown_text(text: str) -> str:
    """Formulas that compile as they are, others as code, and marks of Markdown as the characters they are."""
    parts, end = [], 0
    for match in FORMULA.finditer(text):
        parts.append(_markdown_prose(text[end : match.start()]))
        whole = tex.formula(match[match.lastgroup]) is not None
        parts.append(match[0] if whole and "<" not in match[0] else _code(match[0]))
        end = match.end()
    return "".join([*parts, _markdown_prose(text[end:])])


def _markdown_prose(text: str) -> str:
    return _LINE_START.sub(r"\1\\\2", _MARKS.sub(r"\\\1", text)).replace("\n", "  \n")


def _markdown_answer(answer: str) -> str:
    return f"${answer}$" if tex.formula(answer) is not None and "<" not in answer else _code(answer)


def _code(text: str) -> str:
    """A code span: its fence is longer than any row of backticks in it."""
    fence = "`" * (1 + max((len(row) for row in re.findall("`+", text)), default=0))
    return f"{fence} {' '.join(text.split())} {fence}"


def _markdown_heading(level: int, title: str) -> str:
    return f"{'#' * level} {title}"


def _latex_heading(level: int, title: str) -> str:
    kind = "section" if level == 1 else "subsection"
    first = title in {words.title for words in WORDS.values()}
    page = "" if first or level > 1 else "\\newpage\n"
    return rf"{page}\{kind}*{{{title}}}"


def engine(language: Language) -> str | None:
    """A LaTeX that is installed here and can set the language."""
    return next((name for name in ENGINES[language] if shutil.which(name)), None)


def make_pdf(source: str, target: Path, program: str) -> str | None:
    """Write the PDF of a LaTeX source; what `program` said instead if it failed. It runs no other program."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sheet.tex").write_text(source, encoding="utf-8")
        # paranoid: it reads and writes below its folder alone; the dates: equal sources give equal files
        quiet = {"openin_any": "p", "openout_any": "p", "SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1"}
        command = [program, *OPTIONS[program], "sheet.tex"]
        try:
            done = subprocess.run(
                command, cwd=folder, env={**os.environ, **quiet}, stdin=subprocess.DEVNULL, capture_output=True,
                timeout=SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"it ran for more than {SECONDS} s"
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace")
            errors = [line for line in said.splitlines() if line.startswith("!") or "error" in line.lower()]
            return harmless(" | ".join(errors[:2])) or f"exit code {done.returncode}"
        with files.replacing(target) as handle:
            handle.write((Path(folder) / "sheet.pdf").read_bytes())
    return None
