# ruff: noqa: E501 (a pattern or a word list is easier to check as it stands)
"""What of a statement bears on its question: padding is taken out before a reward looks at it.

Kept are the asking sentences and those joined to one: by a symbol, by a word that isn't common to all of
mathematics, or by a pronoun and a name. Remarks ("note that …", "recall …") state no condition and go; a sentence
twice counts once. So praise, keywords, formulas and filler around a problem hardly change its difficulty or novelty.
"""

import re
from functools import lru_cache

from questions_gen.problem import is_chinese
from questions_gen.rewards import chinese
from questions_gen.rewards.latex import MATH
from questions_gen.rewards.text import KEYWORDS, NUMBER_WORDS, Text, asks, formula_symbols, is_keyword

_COMMON = frozenset(
    "a about above after again all also an and any are as at be because been before being below between both but by can could did do does doing down during each every few for from further given had has have having "
    "her here hers him his how if in into is it its itself let me more most must my no nor not note now of off on once only or other our out over own problem question same she should show shows shown so some such suppose "
    "than that the their them then there these they this those through to too under until up very was we were what when where which while who whom whose why will with would you your find determine compute calculate "
    "evaluate prove solve consider assume denote define let's one two three true following holds hold satisfy satisfies satisfying exists exist possible value values careful carefully case cases call called answer "
    "requires require required thinking analysis reasoning mathematics mathematical math competition competitions advanced challenging difficult hard deep insight techniques technique methods method recall remember "
    "known well general using use used many much year years month months week weeks day days second seconds time times ago people total number numbers cost costs "
    "another different amount half left per more less than make makes made get gets got take takes buy buys bought".split()
)
_NO_NAMES = frozenset(
    "Each Every All Some Many Several Most This That These Those There Yesterday Today Tomorrow Monday Tuesday Wednesday Thursday Friday Saturday Sunday Consider Advanced Please Keywords".split()
)
_WORD = re.compile(r"[^\W\d_]{3,}")
_PRONOUN = re.compile(r"\b(?:he|she|him|her|his|hers|they|them|their|i|my|we|our)\b", re.IGNORECASE)
_BACK = re.compile(r"\b(?:its|their|them|they|these|those|it)\b", re.IGNORECASE)
_HOW_MANY = re.compile(r"\b(?:how (?:many|much|far|long|old)|number of)\b", re.IGNORECASE)
_NAMED = re.compile(
    r"(?<=[a-z,;] )[A-Z][a-z]{2,}|^[A-Z][a-z]{2,}(?='s |,? and [A-Z]| (?:\w+(?:s|ed)|had|can|went|got|bought|sold|spent|made|paid|ate|gave|will|did|saw|took|read|ran|drove|found|kept|won|lost) )"
)
_REMARK = re.compile(
    r"\W*(?:note|notice|recall|observe|remember|remark|hint|we (?:also )?have|it is (?:well[- ])?known|clearly|obviously|for (?:example|instance)|this (?:is|problem|question))\b",
    re.IGNORECASE,
)
_ROW = re.compile(rf"(?:{KEYWORDS.pattern}[\s,;/&]+(?:and\s)?){{2,}}{KEYWORDS.pattern}(?=\s*[,;)])", re.IGNORECASE)
_MONEY = re.compile(
    r"\$\s?\.?\d|\b(?:dollars?|cents?|cost|costs|price|prices|pay|pays|paid|spend|spent|earn|earns|profit|change|save|saved)\b",
    re.IGNORECASE,
)
_UNSTOPPED = re.compile(rf"(?<={re.escape(MATH)})\s+(?=[A-Z][a-z]+ [a-z]|{re.escape(MATH)}(?:\s|\Z))")
"""Where a sentence ends with a displayed formula and no stop, and another begins."""
_DIGIT = re.compile(r"\d")
_NAME = re.compile(r"(?<![A-Za-z\\])[A-Z]{2,6}(?![a-z])")


@lru_cache(maxsize=1024)
def core(statement: str) -> str:
    """The statement without what doesn't bear on what it asks; the whole statement if it asks for nothing.

    >>> core("This needs great insight. Let $n$ be odd. Find $n^2$ modulo 8. Topology is deep.")
    'Let $n$ be odd. Find $n^2$ modulo 8.'
    """
    once = undoubled(statement)
    if len(once) < len(statement):
        return core(once)
    text = Text(statement)
    formulas = iter(text.formulas)
    sentences = [part for sentence in text.sentences for part in _UNSTOPPED.split(sentence)]
    parts = [(sentence, [next(formulas, "") for _ in range(sentence.count(MATH))]) for sentence in sentences]
    asking = [place for place, sentence in enumerate(sentences) if asks(sentence)]
    if not asking:
        return statement
    roots = [place for place in asking if _substantial(*parts[place])] or asking
    kept = _joined(parts, roots)
    unique: dict[str, None] = {}
    for place in kept:
        sentence, own = parts[place]
        unique.setdefault(_restore(_ROW.sub(" ", sentence), own))
    return " ".join(unique)


def undoubled(statement: str) -> str:
    """The first half of a statement that stands there twice."""
    flat = " ".join(statement.split())
    half = len(flat) // 2
    doubled = len(flat) % 2 and flat[half] == " " and flat[:half] == flat[half + 1 :]
    return statement[: (len(statement) + 1) // 2].strip() if doubled else statement


def _substantial(sentence: str, formulas: list[str]) -> bool:
    """Whether an asking sentence has something of its own: a formula, a number, a quantity asked for."""
    return bool(formulas or _given(sentence) or _HOW_MANY.search(sentence) or chinese.HOW_MANY.search(sentence))


def _joined(parts: list[tuple[str, list[str]]], roots: list[int]) -> list[int]:
    """The places of the sentences that are joined to the roots, through others too, in order."""
    links = [links_of(sentence, own) for sentence, own in parts]
    free = {
        place
        for place, (sentence, _) in enumerate(parts)
        if not (_REMARK.match(sentence) or chinese.REMARK.match(sentence)) and _WORD.search(sentence.replace(MATH, ""))
    }
    kept = _grown(set(roots), free, links)
    if kept == set(roots) and _points_back(parts[roots[0]][0]):  # "Find its area.": a sentence before is meant
        kept = _grown(kept | _meant(parts, free, roots[0]), free, links)
    return sorted(kept)


def _points_back(sentence: str) -> bool:
    return bool(_BACK.search(sentence) or is_chinese(sentence) and chinese.BACK.search(sentence))


def _meant(parts: list[tuple[str, list[str]]], free: set[int], root: int) -> set[int]:
    """The sentence that a backward pointing one means: with formulas if it has some, then with most of its words."""
    asked, formulas = parts[root]
    words = set(_WORD.findall(asked.lower()))

    def likeness(place: int) -> tuple[bool, int, int]:
        sentence, own = parts[place]
        return bool(own) >= bool(formulas), len(words & set(_WORD.findall(sentence.lower()))), place

    before = [place for place in free if place < root]
    return {max(before, key=likeness)} if before else set()


def _grown(kept: set[int], free: set[int], links: list[set[str]]) -> set[int]:
    """With all of `free` that share a link with what is kept."""
    kept = set(kept)
    joined: set[str] = set().union(*(links[place] for place in kept))
    grew = True
    while grew:
        grew = False
        for place in sorted(free - kept):
            if links[place] & joined:
                kept.add(place)
                joined |= links[place]
                grew = True
    return kept


def _given(sentence: str) -> bool:
    return bool(_DIGIT.search(sentence) or NUMBER_WORDS.search(sentence) or chinese.NUMBER_WORDS.search(sentence))


def links_of(sentence: str, formulas: list[str]) -> set[str]:
    """Symbols, and words that aren't common to all of mathematics, with plural endings off."""
    words = {word.lower() for word in _WORD.findall(sentence)} - _COMMON
    if is_chinese(sentence):
        words = {word for word in words if not is_chinese(word)} | chinese.pairs(sentence)
    plain = {word.removesuffix("s") for word in words if not is_keyword(word)}
    symbols = {f"${symbol}" for formula in formulas for symbol in formula_symbols(formula)}
    names = {f"${letter}" for name in _NAME.findall(sentence) for letter in name}
    person = {"*"} if not formulas and (_PRONOUN.search(sentence) or names_of(sentence)) else set()
    money = {"$"} if not formulas and _MONEY.search(sentence) else set()
    return plain | symbols | names | person | money


def names_of(sentence: str) -> set[str]:
    """Words that look like names of persons or places."""
    return set(_NAMED.findall(sentence)) - _NO_NAMES


def _restore(sentence: str, formulas: list[str]) -> str:
    """The sentence with its formulas back in their places."""
    pieces = sentence.split(MATH)
    filled = [
        piece + (f"${formula}$" if place < len(formulas) else "")
        for place, (piece, formula) in enumerate(zip(pieces, [*formulas, ""], strict=False))
    ]
    return " ".join("".join(filled).removesuffix("$$").split())
