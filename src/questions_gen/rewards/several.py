# ruff: noqa: E501 (a pattern or a word list is easier to check as it stands)
"""Is it one problem? A second question must have something to do with the first."""

import re

from questions_gen.rewards.core import links_of, names_of
from questions_gen.rewards.latex import MATH
from questions_gen.rewards.text import VERBS, Text, formula_symbols

_REFERS_BACK = re.compile(
    r"\b(?:this|these|those|such (?!that)|same|their|its|it|they|them|also|furthermore|moreover|part|above|then|now|what if|respectively|express|give|write|if so|each|altogether|in all|another|both|hence|following|new|remaining|resulting|other)\b",
    re.IGNORECASE,
)
_PERSON = re.compile(r"\b(?:he|she|his|her|him)\b", re.IGNORECASE)
_COMMANDS = re.compile(
    rf"(?:^|[,;:.)]\s|\n)\W*(?:then |please )?(?:{VERBS}|(?:in )?how (?:many|much)|what|which)\b", re.IGNORECASE
)
_PART = re.compile(r"\W*(?:\(?[a-z]\)|\(?[ivx]{1,4}\)|[a-z]\.|\(\d\))\s", re.IGNORECASE)
_INTRODUCED = re.compile(
    rf"\b(?:let|all|any|every|each|some|positive|negative|real|integers?|numbers?|functions?|polynomials?|for|roots?|sequences?|primes?|given|if|that|circles?|triangles?|equation|define|denote|suppose|values? of|points?|sets?|triples|pairs|quadruples|integer|by|of)\W+(?:the )?{MATH}",
    re.IGNORECASE,
)
_LEADING_WORDS = 7


def has_several_problems(text: Text, numbered: re.Pattern[str], bullet: re.Pattern[str]) -> bool:
    """Items that each ask with nothing before them, or a second asking that has nothing to do with the first."""
    for mark in (numbered, bullet):
        parts = mark.split(text.prose)
        asking = [part for part in parts[1:] if len(part.split()) >= 4 and Text(part).asks]
        if len(asking) >= 2 and len(parts[0].split()) < 6:
            return True
    asks = [place for place in text.asks if _asks_directly(text.sentences[place])]
    return any(_starts_anew(text, asks[0], place) for place in asks[1:])


def _asks_directly(sentence: str) -> bool:
    """A question mark or an imperative, not `she wants to know how much …`."""
    return "?" in sentence or bool(_COMMANDS.search(sentence))


def _starts_anew(text: Text, first: int, second: int) -> bool:
    """Whether what stands between two askings, with the second, is a problem of its own."""
    before = " ".join(text.sentences[: first + 1])
    after = " ".join(text.sentences[first + 1 : second + 1])
    if len(after.split()) < 5:
        return False
    used = before.count(MATH)
    own = list(text.formulas[used : used + after.count(MATH)])
    left, right = links_of(before, list(text.formulas[:used])), links_of(after, own)
    names_before, names_after = names_of(before), names_of(after)
    if names_before and names_after and not names_before & {word.strip(".,;:?!'s") for word in after.split()}:
        return True
    opening = " ".join(after.split()[:_LEADING_WORDS])
    if (
        _PART.match(after)
        and left & right
        or _REFERS_BACK.search(opening)
        or _PERSON.search(opening)
        and not names_after
    ):
        return False
    shared = (left & right) - {"*", "$"}
    plain = {link for link in shared if not link.startswith("$")}
    own_words = [link for link in right if not link.startswith("$")]
    if plain and (len(after.split()) < 14 or len(plain) > 0.25 * len(own_words)):
        return False
    return not shared - plain or _introduces(after, own, {link[1:] for link in shared - plain})


def _introduces(after: str, formulas: list[str], symbols: set[str]) -> bool:
    """Whether the text says anew what each of the symbols is."""
    introduced: set[str] = set()
    for match in _INTRODUCED.finditer(after):
        number = after[: match.end()].count(MATH) - 1
        introduced |= set(formula_symbols(formulas[number])) if number < len(formulas) else set()
    return symbols <= introduced
