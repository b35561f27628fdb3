# ruff: noqa: E501, SIM103 (a pattern or a word list is easier to check as it stands)
"""Cheap grammar: what English function words can't stand beside, where a text stops, which language it is in."""

import re

from questions_gen.rewards.latex import MATH
from questions_gen.rewards.text import Text

_ARTICLES = frozenset(("the", "a", "an", "every", "its", "their"))
_PREPOSITIONS = frozenset("of in at from with into onto among during between through by for to".split())
_BE = frozenset("is are was were be has have had does do did can could will would must may should".split())
_IS = frozenset(("is", "are", "was", "were"))
_CONJUNCTIONS = frozenset(("and", "or", "but", "if", "because", "than"))
_WH = frozenset(("how", "what", "which", "whose", "who"))
_PRONOUNS = frozenset("he she it they we them him this that these those".split())
_OTHER_FUNCTION = frozenset(
    "his her my our your per first second third one two not no so then there more most only also".split()
)
_PAIRS_ALLOWED = frozenset(
    ("out of", "from among", "from between", "by at", "in between", "for in", "of from", "from at", "of at", "with at", "at for", "in by", "to at", "for at", "from in",
     "a to", "a in", "a and", "a or", "a is", "a of", "a from", "a for", "a with", "a by", "a at", "a are", "a has", "a can", "a must", "a if", "a but", "a into", "a than", "by to", "to by", "from of",
     "if and", "and if", "or if", "than or", "than and", "than if", "but if", "than if", "or and", "and or", "if or", "in to", "by for", "into by", "at by", "with in", "to in", "to from", "in at", "between at",
     "in of", "do have", "does have", "did have", "could be", "would be", "have had", "had had", "can be", "will be", "must be", "may be", "should be", "will have", "would have", "could have", "must have", "may have",
     "should have", "can have", "do be", "has had", "can do", "will do", "would do", "could do", "must do", "may do", "should do", "because of", "its a")
)  # fmt: skip
_LOWER_STARTERS = frozenset(
    "find determine compute calculate evaluate prove show let if suppose given how what the consider assume".split()
)
_SENTENCE_END = re.compile(r"[.?!:)\]}\"'$°%…>|\\]\s*$")
_OPERATOR_END = re.compile(r"[,;(\[{=+*/<\-–—&^_]\s*$")
_OTHER_LANGUAGES = frozenset(
    "el la los las del que para por una con como sea si cuántos hallar determinar encuentra sean les des est une dans pour sur soit trouver déterminer combien que qui der die das und ist für ein eine "
    "von mit den dem des sei bestimme wie viele il lo gli di che per sono trovare quanti o os uma dos das são seja quantos determine-se een het van voor zijn hoeveel och att är för med på det ett find nie jest dla liczb ile".split()
) - {"die", "o", "per", "a", "find", "lo"}
_ENGLISH = frozenset(
    "the of and is a in that for to with are find be all let such which how many what by on each from has it at as if prove determine there real positive this".split()
)
_LINKING = _ENGLISH - frozenset("find let how many prove determine real positive".split())
_VOWELS = re.compile(r"[aeiouyàáâäèéêëìíîïòóôöùúûü]", re.IGNORECASE)
_NO_WORD = re.compile(
    r"[bcdfghjklmnpqrstvwxz]{6,}|[aeiou]{4,}|([a-z])\1\1|q[^u]|[jq][bcdfghjklmnpqrstvwxz]{2}|^[bcdfghjklmnpqrstvwxz]{4,}",
    re.IGNORECASE,
)
_GRAND = re.compile(
    r"\b(?:challenging|difficult|olympiad|olympiads|advanced|complex analysis|rigorous|rigorously|elegant|profound|deep|innovative|novel|sophisticated|intricate|extremely|highly|nontrivial|non-trivial|"
    r"theorem|lemma|corollary|conjecture|proof|proofs|optimi[sz]ation|topolog\w+|manifolds?|eigenvalues?|hard|ultimate|expert|cutting-edge|multi-step|creative|creativity|insight|abstract)\b",
    re.IGNORECASE,
)
_LINK_WORDS = frozenset(("and", "of", "the", "a", "in", "for", "with", "or", "to", "by", "using"))


def violations(text: Text) -> tuple[int, int]:
    """(impossible neighbours, function words) of the prose; formulas and numbers count as nouns."""
    bad = total = 0
    previous = ""
    end = 0
    for match in _TOKENS.finditer(text.prose):
        token = match.group()
        between = text.prose[end : match.start()]
        end = match.end()
        word = token if token == "I" else token.lower()
        stop = bool(re.search(r"[.?!;:,)\]\"\n]", between))
        if _function(word):
            total += 1
        if previous:
            bad += _impossible(previous, word, stop)
            if (
                not between.strip()
                and "\n" not in between
                and token[0].isupper()
                and (word in _LOWER_STARTERS or _function(word))
                and token != "A"
                and previous.islower()
                and previous != MATH.lower()
                and previous not in ("problem", "question")
            ):
                bad += 1
        previous = word
    return bad + len(_LOWER_AFTER_STOP.findall(text.prose)), total


_LOWER_AFTER_STOP = re.compile(r"[a-z]{3,}[.?] (?!e\.g|i\.e)[a-z]{2,}")
_TOKENS = re.compile(rf"{MATH}|[^\W\d_]+(?:['-][^\W\d_]+)*|\d+(?:[.,]\d+)*")


def _function(word: str) -> bool:
    return word in _ARTICLES or word in _PREPOSITIONS or word in _BE or word in _CONJUNCTIONS or word in _WH


def _impossible(left: str, right: str, stop: bool) -> bool:
    """Whether no English sentence has `left` before `right` (with punctuation between, if `stop`)."""
    pair = f"{left} {right}"
    if left in _ARTICLES and left != "its":
        if stop:
            return left != "a"
        if left == "a" and pair in _PAIRS_ALLOWED:
            return False
        return (
            right in _ARTICLES
            or right in _PREPOSITIONS - {"in", "with"}
            and left != "every"
            or right in _BE - {"will", "may", "can", "must", "do"}
            or right in _CONJUNCTIONS
            or right in _WH
            or right in _PRONOUNS
        )
    if pair in _PAIRS_ALLOWED or stop:
        return False
    if left in _PREPOSITIONS:
        return (
            right in _PREPOSITIONS
            or right in _BE - {"be", "have", "do", "will", "may", "can", "must"}
            or right in _CONJUNCTIONS - {"if"}
            and left != "by"
        )
    if left in _BE:
        return left in _IS and right in _IS or left == right
    return left in _CONJUNCTIONS and right in _CONJUNCTIONS


def is_salad(text: Text) -> bool:
    """Function words in impossible places, hardly any function words in much prose, or words that are none."""
    words = text.words
    bad, total = violations(text)
    if bad >= 2 and bad > 0.07 * total or bad and bad > 0.2 * total:
        return True
    if len(words) >= 8:
        function = sum(
            _function(word) or word in _LINKING or word in _PRONOUNS or word in _OTHER_FUNCTION for word in words
        )
        if function < 0.17 * len(words) and len(words) > 2 * len(text.formulas):
            return True
    strange = sum(_is_no_word(word) for word in text.tokens if word.islower())
    return strange >= 2 and strange > 0.08 * len(words) or strange and len(words) < 8


def _is_no_word(word: str) -> bool:
    return len(word) >= 4 and (not _VOWELS.search(word) or bool(_NO_WORD.search(word))) or len(word) > 25


def is_stuffed(text: Text) -> bool:
    """A row of mathematical words that nothing joins, grand words in number, or more keywords than sentences carry."""
    if _longest_row(text) >= 5:
        return True
    words = max(1, len(text.words))
    grand = len({match.lower() for match in _GRAND.findall(text.prose)})
    if grand >= 3 and grand > 0.06 * words or grand >= 5:
        return True
    different = len(set(text.keywords))
    return different >= 9 and different > 0.4 * words


def _longest_row(text: Text) -> int:
    """The most keywords in a row with nothing but commas, blanks and the like between them."""
    best = row = 0
    seen: set[str] = set()
    end = 0
    for start, stop, word in text.keyword_places:
        between = text.prose[end:start].lower().replace(MATH.lower(), "")
        end = stop
        joined = not re.sub(r"\b(?:and|or|prove|find|determine|solve|compute)\b|[\s,;/&.-]", "", between)
        if not joined:
            seen = set()
        seen.add(word)
        row = len(seen)
        best = max(best, row)
    return best


def ends_in_the_middle(text: Text) -> bool:
    """Whether the text stops on a word or sign that something must follow."""
    prose = text.prose.rstrip()
    if not prose or prose.endswith(MATH):
        return False
    if _OPERATOR_END.search(prose):
        return True
    if _SENTENCE_END.search(prose):
        return False
    return True  # not one of 3,315 reference problems ends on a bare word


def brackets_close(prose: str) -> bool:
    """Whether the round and square brackets of the prose close; `a)` and half-open intervals are let be."""
    if abs(_depth(prose)) <= 1:
        return True
    cleaned = re.sub(r"(?:(?<=\s)|^)\(?[A-Za-z0-9]{1,3}\)", " ", prose, flags=re.MULTILINE)
    return abs(_depth(cleaned)) <= 1


def _depth(prose: str) -> int:
    return prose.count("(") + prose.count("[") - prose.count(")") - prose.count("]")


def other_language(words: tuple[str, ...]) -> bool:
    """Function words of other European languages where English ones are rarer."""
    if len(words) < 5:
        return False
    other = sum(word in _OTHER_LANGUAGES for word in words)
    english = sum(word in _ENGLISH for word in words)
    return other >= 2 and other > english
