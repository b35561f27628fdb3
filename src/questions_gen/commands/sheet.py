"""A contest on paper: the problems, then hints, answers and where each comes from. Markdown, LaTeX and PDF."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from questions_gen import files
from questions_gen.commands import tex
from questions_gen.commands.output import harmless
from questions_gen.report.latex import FORMULA

Problem = Mapping[str, Any]
"""A sample's row with its `hints`."""

TITLE = "Problems"
NOTE = (
    "Written by a model. The rewards have looked at the form of these problems, and nobody has solved them: answers "
    "and hints are the model's own."
)
ENGINES: dict[str, tuple[str, ...]] = {
    "pdflatex": ("-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error"),
    "tectonic": ("--untrusted", "--chatter", "minimal"),
}
SECONDS = 60
PREAMBLE = r"""\documentclass[11pt]{article}
\usepackage{amsmath,amssymb}
\usepackage[margin=25mm]{geometry}
\setlength{\parindent}{0pt}
\setlength{\parskip}{6pt}
\emergencystretch=3em
\begin{document}
"""
_MARKS = re.compile(r"([\\`*_{}\[\]<>#|!~$&])")
_LINE_START = re.compile(r"^(\s*)([-+=]|\d+[.)])", re.MULTILINE)


def markdown(problems: Sequence[Problem]) -> str:
    return _sheet(problems, _markdown_text, _markdown_answer, _markdown_heading, _code) + "\n"


def latex(problems: Sequence[Problem]) -> str:
    body = _sheet(problems, tex.latex, tex.answer, _latex_heading, tex.verbatim)
    return f"{PREAMBLE}{body}\n\\end{{document}}\n"


def _sheet(
    problems: Sequence[Problem],
    text: Callable[[str], str],
    answer: Callable[[str], str],
    heading: Callable[[int, str], str],
    quiet: Callable[[str], str],
) -> str:
    """The sheet in a language that writes headings, texts, answers and sources so."""
    numbered = list(enumerate(problems, 1))
    parts = [heading(1, TITLE), text(NOTE)]
    parts += [f"{heading(2, f'Problem {n}')}\n\n{text(harmless(p['statement']))}" for n, p in numbered]
    parts.append(heading(1, "Hints"))
    for number, problem in numbered:
        hints = [text(harmless(hint)) for hint in problem["hints"]] or [text("The model gave none that helps.")]
        parts += [heading(2, f"Problem {number}"), *hints]
    parts.append(heading(1, "Answers"))
    for number, problem in numbered:
        given = problem["answer"]
        parts += [
            heading(2, f"Problem {number}"),
            text("None: it asks for a proof.") if given is None else answer(harmless(given)),
        ]
    parts.append(heading(1, "Where they come from"))
    for number, problem in numbered:
        verdict = problem["verdict"]
        rewards = ", ".join(f"{name} {value:.2f}" for name, value in verdict["rewards"].items() if value is not None)
        parts += [
            heading(2, f"Problem {number}"),
            text(f"Model {problem['model']}, seed {problem['seed']}, asked:"),
            quiet(harmless(problem["prompt"])),
            text(f"Verdict: gate passed, total {verdict['total']:.2f} ({rewards})."),
        ]
        if problem["nearest"] is not None:
            near = f"{problem['nearest_similarity']:.2f}"
            parts += [text(f"Nearest known problem, similarity {near}:"), text(harmless(problem["nearest"]))]
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
    page = "" if title == TITLE or level > 1 else "\\newpage\n"
    return rf"{page}\{kind}*{{{title}}}"


def engine() -> str | None:
    """A LaTeX that is installed here."""
    return next((name for name in ENGINES if shutil.which(name)), None)


def make_pdf(source: str, target: Path, program: str) -> str | None:
    """Write the PDF of a LaTeX source; what `program` said instead if it failed. It runs no other program."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sheet.tex").write_text(source, encoding="utf-8")
        # paranoid: it reads and writes below its folder alone; the dates: equal sources give equal files
        quiet = {"openin_any": "p", "openout_any": "p", "SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1"}
        command = [program, *ENGINES[program], "sheet.tex"]
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
