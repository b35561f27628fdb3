# ruff: noqa: E501 (a pattern or a word list is easier to check as it stands)
"""Whether a variation is what it says it is.

- parameter_change keeps the structure (same words and formulas but for numbers) and changes numbers
- context_change keeps the mathematics (numbers or formulas) and changes the setting (its words)
- practical_application adds a real setting (people, things, money, measures) to the mathematics
- an innovation (no kind) has another key idea: it isn't near to its original
None of them is a copy. What can't be told from the text is let pass: the teacher judges it later.
"""

import re
from collections.abc import Sequence

from questions_gen.problem import features, similarity, words
from questions_gen.rewards import chinese
from questions_gen.rewards.novelty import is_copy
from questions_gen.rewards.text import Text, formula_symbols, is_keyword
from questions_gen.schema import VariationKind

SAME_STRUCTURE = 0.75
"""Similarity from which on two statements are built alike, numbers and names of symbols aside."""
NEAR = 0.85
OTHER_SETTING = 0.6
"""Share of common content words up to which two settings differ."""
SAME_MATHEMATICS = 0.3
"""Share of the original's numbers, commands and mathematical words that must come back."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_LAYOUT = frozenset(
    (
        "\\left",
        "\\right",
        "\\text",
        "\\quad",
        "\\mathrm",
        "\\displaystyle",
        "\\ldots",
        "\\cdots",
        "\\dots",
        "\\cdot",
        "\\times",
    )
)
_SETTING = re.compile(
    r"\b(?:he|she|they|his|her|their|people|person|man|woman|boy|girl|child(?:ren)?|student|teacher|farmer|engineer|architect|baker|worker|friend|customer|player|team|class|school|company|factory|store|shop|market|bank|city|town|village|"
    r"house|home|room|garden|park|farm|field|road|bridge|train|car|bus|truck|boat|ship|plane|drone|bicycle|dollars?|cents?|euros?|price|cost|costs|pays?|buys?|sells?|sold|earns?|profit|budget|salary|invest\w*|loan|interest|tax|"
    r"hours?|minutes?|seconds?|days?|weeks?|months?|years?|miles?|kilomet(?:er|re)s?|met(?:er|re)s?|centimet(?:er|re)s?|feet|inch(?:es)?|km|cm|kg|grams?|pounds?|lit(?:er|re)s?|gallons?|tank|water|fuel|speed|temperature|machine|robot|computer|server|"
    r"network|phone|packages?|boxes|tickets?|seats?|books?|apples?|cookies?|cakes?|flowers?|trees?|fence|tower|ladder|wall|tiles?|paint|recipe|patients?|doctor|hospital|population|election|votes?|delivery|warehouse|restaurant|event|game|tournament|race|athlete|scientist|designer|builder|carpenter|manager|passengers?|airline|library|museum)\b|[$€£]\s?\d",
    re.IGNORECASE,
)
_STOP = frozenset(
    "the and for with that this such are was were what how many much find determine compute let given value all each every there have has from which where when their its can will prove show solve calculate if then "
    "does is of in to a an be it on at by or as not so we you".split()
)


def reasons_against(kind: VariationKind | None, statement: str, original: str) -> Sequence[str]:
    """`copy` or `not_the_declared_variation`, or nothing."""
    if is_copy(statement, original):
        return ("copy",)
    near = similarity(features(statement), features(original))
    if kind is None:
        return ("copy",) if near > NEAR else ()
    holds = {"parameter_change": _parameter, "context_change": _context, "practical_application": _application}[kind]
    return () if holds(statement, original, near) else ("not_the_declared_variation",)


def _parameter(statement: str, original: str, near: float) -> bool:
    return near >= SAME_STRUCTURE and sorted(_NUMBER.findall(statement)) != sorted(_NUMBER.findall(original))


def _context(statement: str, original: str, near: float) -> bool:
    return (
        _shared_setting(statement, original) <= OTHER_SETTING
        and _shared_mathematics(statement, original) >= SAME_MATHEMATICS
    )


def _application(statement: str, original: str, near: float) -> bool:
    return (
        len(_settings(statement) - _settings(original)) >= 2
        and _shared_mathematics(statement, original) >= SAME_MATHEMATICS / 2
    )


def _settings(statement: str) -> set[str]:
    return {word.lower() for pattern in (_SETTING, chinese.SETTING) for word in pattern.findall(statement)}


def _shared_setting(statement: str, original: str) -> float:
    """Share of the original's plain words that the variation keeps."""
    mine, theirs = _plain_words(statement), _plain_words(original)
    return len(mine & theirs) / len(theirs) if theirs else 0.0


def _plain_words(statement: str) -> set[str]:
    prose = Text(statement).prose
    plain = {w for w in words(prose) if len(w) > 2 and w.isalpha() and w not in _STOP and not is_keyword(w)}
    return plain | chinese.pairs(chinese.KEYWORDS.sub("，", prose))


def _shared_mathematics(statement: str, original: str) -> float:
    """Share of the original's numbers, LaTeX commands, symbols and mathematical words that the variation keeps."""
    mine, theirs = _mathematics(statement), _mathematics(original)
    return len(mine & theirs) / len(theirs) if theirs else 1.0


def _mathematics(statement: str) -> set[str]:
    text = Text(statement)
    commands = {c for f in text.formulas for c in _COMMAND.findall(f)} - _LAYOUT
    symbols = {"symbol"} if any(formula_symbols(f) for f in text.formulas) else set()
    stems = {k.removesuffix("s") for k in text.keywords}
    return set(_NUMBER.findall(statement)) | commands | symbols | stems
