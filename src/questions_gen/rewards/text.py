# ruff: noqa: E501 (a pattern or a word list is easier to check as it stands)
"""One reading of a statement, shared by the rewards: prose, formulas, sentences, words, what it asks."""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from questions_gen.problem import HAN, is_chinese
from questions_gen.rewards import chinese, latex
from questions_gen.rewards.latex import MATH

KEYWORDS = re.compile(
    r"(?<![a-z])(?:integers?|primes?|divisors?|divisible|divides?|divided|remainders?|modulo|mod|gcd|lcm|coprime|digits?|factors?|multiples?|"
    r"polynomials?|equations?|inequalit(?:y|ies)|functions?|functional|roots?|coefficients?|sequences?|series|progressions?|"
    r"logarithms?|exponents?|exponential|matri(?:x|ces)|determinants?|eigenvalues?|vectors?|complex|quadratic|cubic|linear|"
    r"triangles?|circles?|angles?|polygons?|quadrilaterals?|rectangles?|squares?|cubes?|spheres?|cones?|cylinders?|prisms?|pyramids?|tetrahedr(?:on|a)|polyhedr(?:on|a|ons)|faces?|edges?|colou?rings?|ways|sequences?|subsequences?|"
    r"radi(?:us|i)|diameters?|perimeters?|areas?|volumes?|perpendicular|parallel|tangents?|bisectors?|midpoints?|medians?|altitudes?|"
    r"circum(?:circle|center|centre|radius)|in(?:circle|center|centre|radius)|orthocent(?:er|re)|centroids?|hexagons?|pentagons?|parallelograms?|"
    r"trapezoids?|rhombus|ellipses?|parabolas?|hyperbolas?|vertices|vertex|diagonals?|hypotenuse|"
    r"derivatives?|integrals?|limits?|continuous|differentiable|converges?|convergence|"
    r"probabilit(?:y|ies)|expected|random(?:ly)?|dice|die|permutations?|combinations?|subsets?|sets?|graphs?|combinatorics|"
    r"sums?|products?|ratios?|percent(?:age)?|averages?|means?|maximum|minimum|maximal|minimal|largest|smallest|greatest|least|"
    r"real numbers?|rational|irrational|natural numbers?|even|odd|positive|negative|solutions?|algebra|geometry|geometric|arithmetic|"
    r"theorems?|lemmas?|proofs?|corollar(?:y|ies)|conjectures?|calculus|optimi[sz]ation|topolog(?:y|ical)|manifolds?|"
    r"numbers?|squares|cubed?|squared|perfect|sine|cosine|trigonometric|bijection|bijective|injective|surjective)(?![a-z])",
    re.IGNORECASE,
)
NUMBER_WORDS = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|"
    r"sixty|seventy|eighty|ninety|hundred|thousand|million|dozen|twice|thrice|half|third|quarter|double|triple|one)\b",
    re.IGNORECASE,
)
VERBS = (
    "find|determine|compute|calculate|evaluate|prove|show|solve|simplify|factor|factori[sz]e|express|decide|identify|verify|maximi[sz]e|minimi[sz]e|"
    "derive|expand|characteri[sz]e|construct|demonstrate|deduce|work out|figure out|obtain|estimate|give|list|name|state|write|describe|exhibit|justify|establish|"
    "differentiate|integrate|count|classify|disprove|approximate|convert|sketch"
)
IMPERATIVE = re.compile(
    rf"(?:^|[.,;:!?)]\s*|\n\s*|\b(?:then|and|please|also|now|hence|first|to|must|should|let us)\s+|\({{0,1}}[a-z0-9]\)\s*|{MATH}\s+)(?:{VERBS})\b(?!ed\b|s\b|ing\b)",
    re.IGNORECASE,
)
_TO_VERB = re.compile(rf"\bto\s+(?:{VERBS})\b", re.IGNORECASE)
_WANTED = re.compile(
    rf"\b(?:asked|task is|goal is|want|wants|wish|wishes|need|needs|required|you are|problem is|try|order|likes?)\s+(?:you\s+|us\s+)?to\s+(?:{VERBS})\b",
    re.IGNORECASE,
)
WH = re.compile(r"\b(?:what|how|which|who|whom|whose|when|where|why)\b", re.IGNORECASE)
_WH_ASK = re.compile(
    r"\b(?:how (?:many|much|far|long|old|tall|fast|big|large|often|wide|deep|heavy|high|late|early|soon)|what(?: \w+){0,3} (?:is|are|was|were|will|would|must|should|can|does|do|did|has|have|of)|what's|"
    r"in (?:what|how many)|for (?:what|how many)|at what|by what|with what)\b|(?:^|[.,;:]\s+)(?:in |for |at |on )?which (?:\w+ ){0,3}(?:is|are|has|have|can|does|do|of)\b(?=[^.]*\?)|^(?:in |for |at |on )?which\b",
    re.IGNORECASE,
)
_INVERSION = re.compile(
    r"(?:^|[.,;:!?)]\s*|\n\s*|\b(?:then|and|or|but|so)\s+)(?:is|are|does|do|did|can|could|will|would|must|has|have|was|were|may|should)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(
    r"(?<!\b[A-Z]\.)(?<!e\.g\.)(?<!i\.e\.)(?<!\bMr\.)(?<!\bMs\.)(?<!\bMrs\.)(?<!\bDr\.)(?<!\bSt\.)(?<!\bvs\.)(?<!\bNo\.)(?<=[.!?])[\"')\]]{0,2}\s+|\n\s*\n\s*(?=[A-Z(\d\"*•-])"
    rf"|(?<=[。．？！；])|\n\s*(?=[{HAN}（①②③④])"
)
_PROSE_WORD = re.compile(rf"{MATH}|[{HAN}]|[^\W\d_{HAN}]+(?:['’-][^\W\d_{HAN}]+)*|\d+(?:[.,]\d+)*")
_ALPHABETIC = re.compile(r"[^\W\d_]{2,}")
_LETTERS = re.compile(r"[A-Za-z]+")
_FUNCTION_NAMES = frozenset(
    "max min sin cos tan cot sec csc log ln lcm gcd lim mod exp deg det sup inf and for the all sgn".split()
)
_COMMAND = re.compile(r"\\[A-Za-z]+")
_FORMULA_TEXT = re.compile(r"\\(?:text|mbox|textit|textbf|mathrm|operatorname|hbox|begin|end)[a-z]*\s*\{[^{}]*\}")
_LOOSE_FORMULA = re.compile(r"[A-Za-z0-9)]\s*(?:\^|=|<|>|≤|≥|\+|\*)\s*[-A-Za-z0-9(\\]")


@dataclass(frozen=True)
class Text:
    statement: str

    @cached_property
    def reading(self) -> latex.Reading:
        return latex.read(self.statement)

    @cached_property
    def prose(self) -> str:
        """The text with a mark where each formula stands, typographic quotes made plain."""
        return self.reading.prose.replace("’", "'").replace("“", '"').replace("”", '"')

    @property
    def formulas(self) -> tuple[str, ...]:
        return self.reading.formulas

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        return tuple(part.strip() for part in _SENTENCE.split(self.prose) if part and part.strip())

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """Words, numbers and formula marks of the prose, in order."""
        return tuple(_PROSE_WORD.findall(self.prose))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Lower-case words of the prose of two letters or more, and its Chinese characters."""
        return tuple(word.lower() for word in self.tokens if _ALPHABETIC.match(word) or is_chinese(word))

    @cached_property
    def asks(self) -> tuple[int, ...]:
        """The sentences that ask for something, by position."""
        return tuple(place for place, sentence in enumerate(self.sentences) if asks(sentence))

    @cached_property
    def keywords(self) -> tuple[str, ...]:
        """Mathematical words of the prose, in order, lower case."""
        return tuple(word for _, _, word in self.keyword_places)

    @cached_property
    def keyword_places(self) -> tuple[tuple[int, int, str], ...]:
        """(start, end, lower-case word) of each mathematical word in the prose."""
        found = ((match.start(), match.end(), match.group().lower()) for match in _LETTERS.finditer(self.prose))
        english = [place for place in found if is_keyword(place[2])]
        own = [(match.start(), match.end(), match.group()) for match in chinese.KEYWORDS.finditer(self.prose)]
        return tuple(sorted(english + own))

    @cached_property
    def quantities(self) -> int:
        """Numbers of the prose, in digits or words."""
        named = len(NUMBER_WORDS.findall(self.prose)) + len(chinese.NUMBER_WORDS.findall(self.prose))
        return sum(token[0].isdigit() for token in self.tokens) + named

    @cached_property
    def symbols(self) -> frozenset[str]:
        """One-letter symbols of the formulas."""
        return frozenset(symbol for formula in self.formulas for symbol in formula_symbols(formula))

    @property
    def formal(self) -> bool:
        """Whether there is a formula, marked as one or not."""
        return bool(self.formulas) or bool(_LOOSE_FORMULA.search(self.prose))


@lru_cache(maxsize=50_000)
def is_keyword(word: str) -> bool:
    return bool(KEYWORDS.fullmatch(word))


def formula_symbols(formula: str) -> list[str]:
    """One-letter symbols of a formula, in order, without commands and text; `ab` is a product of two."""
    runs = _LETTERS.findall(_COMMAND.sub(" ", _FORMULA_TEXT.sub(" ", formula)))
    return [letter for run in runs if len(run) <= 3 and run not in _FUNCTION_NAMES for letter in run]


def asks(sentence: str) -> bool:
    """Whether a sentence asks: an imperative of mathematics, or a question.

    >>> asks("Find all primes."), asks("How many are left?"), asks("The formula is used to find roots.")
    (True, True, False)
    """
    for match in IMPERATIVE.finditer(sentence):
        if not _TO_VERB.search(match.group()):
            return True
    if _WANTED.search(sentence) or _WH_ASK.search(sentence):
        return True
    if is_chinese(sentence) and chinese.ASKS.search(sentence):
        return True
    return "?" in sentence and bool(WH.search(sentence) or _INVERSION.search(sentence))
