# ruff: noqa: E501 (a pattern or a word list is easier to check as it stands)
"""Rigor: are quantities introduced, their domains and conditions stated, and is what is asked determined?

rigor = mean of four parts, each in [0, 1]:
- defined: share of the one-letter symbols that are introduced ("let $n$", "integers $a, b$", "triangle $ABC$", an
  equation) or bound (a sum's index, a function's argument); without symbols 1 if domains or conditions are stated, else 0
- domains: 1 if the text says of what kind its quantities are (integers, reals, a triangle, units, things counted)
- conditions: 1 if it states a condition (an equation, an inequality, "such that", "if", numbers of a setting)
- asked: 1 for one question with a definite object ("find all …", "the number of …", "prove that"), 1/2 otherwise
The parts are yes-or-no or shares, so repeating a phrase earns nothing. The text is the core of the statement.
"""

import re

from questions_gen.rewards import chinese
from questions_gen.rewards.latex import MATH
from questions_gen.rewards.text import Text, formula_symbols

_KINDS = re.compile(
    r"\b(?:integers?|reals?|real numbers?|naturals?|natural numbers?|rationals?|complex|primes?|digits?|numbers?|functions?|polynomials?|sequences?|sets?|triangles?|circles?|points?|lines?|quadrilaterals?|polygons?|"
    r"squares?|rectangles?|cubes?|spheres?|planes?|matri(?:x|ces)|graphs?|vectors?|angles?|permutations?|strings?|balls?|cards?|dice|coins?|people|players?|dollars?|cents?|hours?|minutes?|days?|weeks?|years?|miles?|"
    r"kilometers?|meters?|feet|inches|pounds?|kg|ounces?|gallons?|liters?|percent|cups?|each)\b|\\mathbb|\\in\b|\\triangle|[$%€£]\s?\d|\d\s?%",
    re.IGNORECASE,
)
_CONDITIONS = re.compile(
    rf"[=<>≤≥]|\\(?:leq?|geq?|neq|equiv|mid|in|subset|perp|parallel|cong|sim|leqslant|geqslant)(?![a-z])|\b(?:such that|so that|where|with|if|given|satisf\w+|when|for (?:all|every|each|any)|there (?:exists?|are|is)|without|at (?:least|most)|exactly|only|has|have|is|are|"
    rf"modulo|divided|inscribed|perpendicular|parallel|tangent|{MATH} is)\b",
    re.IGNORECASE,
)
_DEFINITE = re.compile(
    r"\b(?:find all|determine all|the (?:exact |total |maximum |minimum |largest |smallest |greatest |least |average |maximal |minimal |possible |number|value|sum|product|area|volume|length|probability|measure|remainder|ratio|radius|perimeter|ordered|set|expected|units?)\b|"
    r"all (?:\w+ ){0,3}(?:integers|numbers|functions|pairs|triples|values|solutions|primes|polynomials|sequences)|how (?:many|much|far|long|old|tall|fast)|(?:prove|show) that|what (?:is|are|was|will|percent\w*|fraction|time)|is (?:it|there)|does there|in how many|evaluate|compute|calculate|simplify|factor|solve)",
    re.IGNORECASE,
)  # fmt: skip
_BOUND = re.compile(
    r"\\(?:sum|prod|int|lim|max|min|sup|inf|bigcup|bigcap|binom)\b[^A-Za-z\\]{0,8}([A-Za-z])|[a-zA-Z]\(\s*([a-z])\s*\)|\\?d([a-z])\b"
)
_CONSTANTS = frozenset("eipdm")


def rigor(text: Text) -> float:
    """In [0, 1]; see the module."""
    domains = _has(text.statement, _KINDS, chinese.KINDS) or (not text.symbols and text.quantities >= 2)
    conditions = _has(text.statement, _CONDITIONS, chinese.CONDITIONS) or text.quantities >= 2
    asked = [text.sentences[place] for place in text.asks]
    definite = (
        1.0
        if asked and any(_has(sentence, _DEFINITE, chinese.DEFINITE) for sentence in asked)
        else 0.5
        if asked
        else 0.0
    )
    defined = _defined(text) if text.symbols else float(domains or conditions)
    return (defined + domains + conditions + definite) / 4


def _has(text: str, *patterns: re.Pattern[str]) -> bool:
    return any(pattern.search(text) for pattern in patterns)


def _defined(text: Text) -> float:
    symbols = [symbol for formula in text.formulas for symbol in formula_symbols(formula)]
    different = set(symbols) - _CONSTANTS
    if not different:
        return 1.0
    bound = {letter for formula in text.formulas for found in _BOUND.findall(formula) for letter in found if letter}
    introduced = {
        symbol for symbol in different if symbol in bound or symbols.count(symbol) >= 2 or _introduced(text, symbol)
    }
    return len(introduced) / len(different)


def _introduced(text: Text, symbol: str) -> bool:
    """Whether a formula that holds the symbol follows a word of the prose that names what it is."""
    position = 0
    for formula in text.formulas:
        position = text.prose.find(MATH, position)
        before = text.prose[max(0, position - 40) : position]
        if symbol in formula_symbols(formula) and _has(before, _NAMED, chinese.INTRODUCES):
            return True
        position += len(MATH)
    return False


_NAMED = re.compile(
    r"\b(?:let|given|for|integers?|reals?|numbers?|primes?|points?|lines?|functions?|polynomials?|sequences?|sets?|triangles?|circles?|of|values?|radius|length|sides?|angles?|quadrilateral|square|vertex|vertices|chords?|denote|by|constants?|pairs?|triples?|all|and|every|each|any|variables?|terms?|segments?|planes?|matrix|graph|at|on)\W*\Z",
    re.IGNORECASE,
)
