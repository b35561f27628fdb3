# ruff: noqa: E501 (a pattern or a word list is easier to check as it stands)
r"""Where the mathematics of a text stands, and whether its LaTeX is whole.

A dollar sign opens mathematics or names a price ("a pen costs $5 and a book $12"): a text is read as all
mathematics first, and where that fails, with the prices taken out. Everything here is linear in the text but
the parse, which only texts of MAX_PARSED characters and MAX_DEPTH nested groups reach.
"""

import re
from itertools import islice
from typing import NamedTuple

MAX_PARSED = 8_000
MAX_DEPTH = 30

MATH = "\u27e6M\u27e7"
"""Stands in the prose where a formula was."""

_DELIMITER = re.compile(r"\\\\|\\\$|\$\$|\$|\\\[|\\\]|\\\(|\\\)")
_CLOSING = {"$": "$", "$$": "$$", "\\[": "\\]", "\\(": "\\)"}
_PRICE = re.compile(
    r"(?<![\\$])\$(?=\s?\.?\d++(?:,\d{3})*+(?:\.\d++)?+(?!\s?[\\^_=+*<>{}$]|\s?/(?![a-z]{3})|[a-zA-Z](?![a-zA-Z])))"
)
_FREE_WORDS = re.compile(r"(?:(?<![\\A-Za-z{])[A-Za-z]{3,}[ ,.]+){3}")
_TEXT_COMMAND = re.compile(r"\\(?:text|mbox|textit|textbf|mathrm|operatorname|hbox)[a-z]*\s*\{[^{}]*\}")
_GROUP = re.compile(r"\\\\|\\(?:left|right)(?![a-zA-Z])|\\(?:begin|end)\s*\{[^{}]{0,40}\}|\\.|[{}]", re.DOTALL)
_ENVIRONMENT = re.compile(
    r"\\begin\{(align|equation|gather|cases|array|aligned|eqnarray|multline|matrix|pmatrix)\*?\}.*?\\end\{\1\*?\}",
    re.DOTALL,
)
_MARK = re.compile(MATH)
_PLACED = re.compile(f"{_ENVIRONMENT.pattern}|{MATH}", re.DOTALL)
_BARE_PERCENT = re.compile(r"(?<!\\)%")
_SPILT = re.compile(r"\A[^\n]*[=<>^\\][^\n]*(?<![\\{A-Za-z])(?:and|or|is|are|with|where|the|of)\s+\Z")
_STRAY = re.compile(
    r"\\(?:frac|sqrt|sum|int|prod|over(?:line|rightarrow)|mathbb|mathrm|leq?|geq?|neq|[lc]dots|cdot|times|in|angle|triangle|pi|theta|alpha|beta|left|right|binom|log|sin|cos|tan|infty|to|pmod)(?![a-zA-Z])"
)
_DOUBLE_SCRIPT = re.compile(r"(?:\^|_)\s*(?:\^|_)|(?:\^|_)\s*$")


class Reading(NamedTuple):
    prose: str
    """The text with MATH in the place of each formula."""
    formulas: tuple[str, ...]
    whole: bool
    """Whether every delimiter, group and environment is closed."""


def read(text: str) -> Reading:
    """Split a text into prose and formulas."""
    prose, formulas, whole, doubtful = _split(text)
    if not whole or doubtful:
        priced = _PRICE.sub("\\$", text)
        if priced != text:
            again = _split(priced)
            if again[2]:
                prose, formulas, whole, _ = again
    prose, formulas = _with_environments(prose, formulas)
    prose = prose.replace("\\$", "$").replace("\\%", "%")
    return Reading(prose, tuple(formulas), whole and _groups_closed(text))


def _with_environments(prose: str, formulas: list[str]) -> tuple[str, list[str]]:
    """Environments outside of all delimiters as formulas too, in their places."""
    old, ordered = iter(formulas), []

    def take(found: re.Match[str]) -> str:
        if found.group() == MATH:
            ordered.extend(islice(old, 1))  # none for a mark that the text itself has
            return MATH
        ordered.append(_MARK.sub(lambda _: next(old, ""), found.group()))  # formulas in a text of the environment
        return f" {MATH} "

    return _PLACED.sub(take, prose), ordered


def parses(reading: Reading) -> bool:
    """Whether pylatexenc's strict parser takes every formula. Formulas without commands pass unparsed: groups are checked already."""
    if not reading.whole:
        return False
    commanding = dict.fromkeys(formula for formula in reading.formulas if "\\" in formula)
    source = " ".join(f"${_BARE_PERCENT.sub('', formula)}$" for formula in commanding)
    if not source:
        return True
    if len(source) > MAX_PARSED:
        return False
    from pylatexenc.latexwalker import LatexWalker, LatexWalkerError

    try:
        LatexWalker(source, tolerant_parsing=False).get_latex_nodes()
    except LatexWalkerError:
        return False
    return True


def _split(text: str) -> tuple[str, list[str], bool, bool]:
    """(prose, formulas, all delimiters closed, some formula looks like prose)."""
    prose: list[str] = []
    formulas: list[str] = []
    opened, start, whole, doubtful = "", 0, True, False
    for match in _DELIMITER.finditer(text):
        token = match.group()
        if token in ("\\\\", "\\$"):
            continue
        if not opened and token in _CLOSING:
            prose.append(text[start : match.start()])
            opened, start = token, match.end()
        elif opened and (token == _CLOSING[opened] or (opened == "$" and token == "$$")):  # $a$$b$: two formulas
            formula = text[start : match.start()]
            doubtful |= len(formula) > 12 and (
                "\n\n" in formula or bool(_FREE_WORDS.search(_TEXT_COMMAND.sub(" ", formula)))
            )
            formulas.append(formula)
            prose.append(f" {MATH} ")
            opened, start = (opened if token == "$$" and opened == "$" else ""), match.end()
        else:
            whole = False
    prose.append(text[start:])
    return "".join(prose), formulas, whole and not opened, doubtful


def _groups_closed(text: str) -> bool:
    r"""Braces, \left … \right and \begin … \end close in order, at most MAX_DEPTH deep."""
    stack: list[str] = []
    for match in _GROUP.finditer(text):
        token = match.group()
        if token == "{" or token == "\\left" or token.startswith("\\begin"):
            stack.append("".join(token.split()).replace("\\begin", "\\end") if token.startswith("\\begin") else token)
            if len(stack) > MAX_DEPTH:
                return False
        elif token == "}" or token == "\\right" or token.startswith("\\end{") or token.startswith("\\end "):
            wanted = {"}": "{", "\\right": "\\left"}.get(token, "".join(token.split()))
            if not stack or stack.pop() != wanted:
                return False
    return not stack


def broken_scripts(reading: Reading) -> bool:
    """Whether a formula has a script on a script sign, ends in one, opens a set and doesn't close it, or holds prose."""
    return any(_DOUBLE_SCRIPT.search(f) or _SPILT.search(f) or _open_set(f) for f in reading.formulas)


def _open_set(formula: str) -> bool:
    one_sided = len(re.findall(r"\\(?:left|right|[bB]igg?[lr]?)\s*\\[{}]", formula))
    return not one_sided and formula.count("\\{") != formula.count("\\}")


def stray_commands(reading: Reading) -> bool:
    """Whether mathematical commands stand outside of every formula of a text that marks its formulas."""
    return bool(reading.formulas) and len(_STRAY.findall(reading.prose)) >= 1
