# ruff: noqa: E501 (a pattern or a word list is easier to check as it stands)
"""Does the problem make sense: is it mathematics, and is what it asks for open and determined?

Nothing here evaluates a text: numbers are matched by patterns and compared.
"""

import re

from questions_gen.rewards.core import core
from questions_gen.rewards.latex import MATH
from questions_gen.rewards.text import Text, formula_symbols

_QUANTITY_ASK = re.compile(
    r"\b(?:how (?:many|much|far|long|old|tall|fast|big|large|often|wide|deep|heavy|high|late|early|soon)|what(?: \w+){0,4} (?:number|total|cost|price|amount|value|average|percent\w*|ratio|fraction|time|age|speed|distance|length|"
    r"weight|height|profit|sum|difference|rate|probability|area|volume|score|balance|change|share|salary|income)|find|calculate|compute|determine|by (?:what|how)|(?:in|for|at|on|of|to) (?:what|which|how many)|what(?:'s| is| was| will| would| are| were| must| should| can| does| do| did| has| have)|which)\b",
    re.IGNORECASE,
)
_HOW_MANY = re.compile(
    r"\b(?:how (?:many|much)|(?:find|calculate|compute|determine|what is) the (?:total|number|least|value))\b",
    re.IGNORECASE,
)
_DEFINITION = re.compile(
    r"\A\W*(?:what (?:is|are|does)|how (?:do|does|can|to|would)|why|explain|describe|define|who|when|where|tell|discuss|can you)\b",
    re.IGNORECASE,
)
_PROVES = re.compile(
    r"\b(?:prove|show|determine|decide|solve|evaluate|simplify|compute|calculate|could|is it (?:true|possible)|does (?:there|an?|the)|is there|are there|can|find)\b",
    re.IGNORECASE,
)
_EXPOSITORY = re.compile(
    r"\b(?:explain (?:what|the (?:concept|difference|meaning|importance))|describe (?:the|a|how)|discuss|summari[sz]e|translate|rewrite|paraphrase|classify the (?:following )?(?:sentence|text|email|tweet|review)|in your own words|pros and cons|what do you think|your opinion|give (?:me )?(?:an )?(?:example|advice|tips)|history of|importance of|applications? of)\b",
    re.IGNORECASE,
)
_SIMPLE_SYMBOLS = re.compile(
    r"^\s*[A-Za-z](?:\s*[+\-*,]?\s*(?:\d{0,3}\s*)[A-Za-z]|\s*\^\s*\{?\d\}?|\s*[+\-]\s*\d+)*\s*[.?!]?\s*$"
)
_ASKED = re.compile(
    rf"\b(?:find|determine|compute|calculate|evaluate|solve for|what (?:is|are)|what's)\s+(?:the\s+)?(?:(?:exact |numerical |possible |smallest |largest |maximum |minimum )?values?\s+(?:of|for)\s+|sum\s+(?:of\s+)?|all\s+)?({MATH}|[a-zA-Z](?![\w']))\s*(?:[.?!]|$)",
    re.IGNORECASE,
)
_NUMBER = r"(-?\d{1,9}(?:\.\d{1,6})?)"
_START = r"(?:^|\b(?:let|where|with|that|if|and|for|given|when|suppose)\s)\s*"
_ASSIGNED = re.compile(rf"{_START}([A-Za-z])\s*=\s*{_NUMBER}(?![\d.]*\s*(?:[a-zA-Z({{\\^*/+\-]|\.\d))")
_BOUND = re.compile(
    rf"{_START}([A-Za-z])\s*(<=|>=|<|>|≤|≥|\\leq?(?:slant)?(?![a-z])|\\geq?(?:slant)?(?![a-z])|\\lt|\\gt|=)\s*{_NUMBER}(?![\d.]*\s*(?:[a-zA-Z({{\\^*/]))"
)
_LISTED = re.compile(r"=\s*-?\d+\s*,\s*(?:-?\d|\\[lc]?dots|\.\.)")
_SIGNED = re.compile(
    rf"\b(positive|negative|non-?negative)\s+(?:real\s+|odd\s+|even\s+|prime\s+)?(?:integers?|numbers?|reals?)\s+(?:called\s+|number\s+)?({MATH})|({MATH})\s+(?:be|is) an? (positive|negative|non-?negative) (?:real |odd |even )?(?:integer|number|real)",
    re.IGNORECASE,
)
_TRIANGLE_SIDES = re.compile(
    r"\btriangle[^.?!]{0,60}?\b(?:sides?|lengths?)[^.?!\d]{0,40}?(\d+(?:\.\d+)?)[^\d.?!a-z]{1,6}(\d+(?:\.\d+)?)[^\d.?!a-z]{0,6}(?:and)?[^\d.?!a-z]{1,6}(\d+(?:\.\d+)?)",
    re.IGNORECASE,
)
_TRIANGLE_ANGLES = re.compile(
    r"\btriangle[^.?!]{0,60}?\bangles?[^.?!\d]{0,40}?(\d+)[^\d.?!]{1,20}?(\d+)[^\d.?!]{1,20}?(\d+)\s*(?:degrees|°|\^|\\circ|\$)",
    re.IGNORECASE,
)
_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|,)(?=\d{3}(?!\d))")
"""`10{,}000` and `10,000`: a list of numbers has blanks."""
_PROBABILITY = re.compile(
    r"\bprobability (?:of [^.,?]{0,50} )?(?:is|equals|=)\s*(?:equal to )?\$?\s*(\d+(?:\.\d+)?)(?![\d./]*\s*(?:/|\\|\^|%|percent|times\b|more\b))",
    re.IGNORECASE,
)
_BOTH = re.compile(
    r"\bboth (?:an? )?(?:even and (?:an? )?odd|odd and (?:an? )?even|positive and negative|negative and positive|prime and composite|rational and irrational|acute and obtuse|finite and infinite)\b|\bsquare circle|\bfour-sided triangle|\btriangle with (?:four|five|4|5) sides|\bround square|"
    r"\beven prime (?:number )?(?:greater|larger|bigger) than (?:2|two)|\bnegative (?:length|area|distance|perimeter|radius)|\blargest (?:prime number|prime|integer|natural number)\s*[.?]|\bodd (?:number|integer)s? divisible by (?:2|4|6|8|10)\b|\binteger(?:s)? (?:strictly )?between (\d+) and \1\b",
    re.IGNORECASE,
)
_ARITHMETIC = re.compile(
    r"(?:\d+(?:\.\d+)?|[-+*/x×÷=?^() $.,]|\\times|\\cdot|\\div|plus|minus|times|divided by|squared|cubed|the sum of|and|added to)+",
    re.IGNORECASE,
)
_PLAIN_WORDS = frozenset(
    "what is the value of find compute calculate evaluate solve basic simple easy problem question number result answer math maths expression please equals sum product difference two to a for when add multiply subtract".split()
)
_ONE_STEP = re.compile(
    r"^\s*\$?\s*(?:\d{0,3}\s*[a-z]\s*(?:[+\-]\s*\d{1,3})?|\d{1,3}\s*[+\-]\s*[a-z])\s*=\s*-?\d{1,4}\s*\$?\s*$",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(
    rf"(?:=|\bis|\bare|\bwas|\bwere|equals|gives|get|obtain|have)\s*(?:\$?-?\d|{MATH})|\d\s*[.!]?\s*\Z|{MATH}\s*[.!]?\s*\Z"
)


def is_mathematical(text: Text) -> bool:
    """A formula, or a mathematical word in a question that is no request for an essay, or quantities and a question for one."""
    if _EXPOSITORY.search(text.prose) and not text.formulas:
        return False
    own = Text(core(text.statement))
    asked = " ".join(text.sentences[place] for place in text.asks)
    keywords = {word for word in own.keywords if word not in _WEAK_KEYWORDS}
    quantified = bool(_QUANTITY_ASK.search(asked))
    rich = len(text.formulas) >= 2 or len({word for word in text.keywords if word not in _WEAK_KEYWORDS}) >= 3
    if rich and (quantified or _PROVES.search(asked)):
        return True
    if own.formal and (keywords or quantified or len("".join(own.formulas)) >= 5):
        return True
    if quantified and (own.quantities >= 2 or own.quantities and own.keywords):
        return True
    if text.quantities >= 2 and len(text.words) <= 150 and _HOW_MANY.search(asked):
        return True
    if _DEFINITION.search(asked) and not own.quantities and not _PROVES.search(asked):
        return False
    return len(keywords) >= 2 or bool(keywords) and bool(_PROVES.search(asked) or "how many" in asked.lower())


_WEAK_KEYWORDS = frozenset("even odd positive negative number numbers set sets series function functions mean means real complex random expected perfect product products solution solutions limit limits graph graphs "
                           "mod die dice degree degrees parallel linear continuous factor factors average least greatest largest smallest order square squares".split())  # fmt: skip


def concludes(after: str) -> bool:
    """Whether what stands after the asking states a value."""
    return bool(_CONCLUSION.search(after))


def states_what_it_asks(text: Text) -> bool:
    """`Let x = 5. Find x.`: the symbol asked for has its number in the statement."""
    asked = {symbol for symbol in _asked_symbols(text) if len(symbol) == 1}
    if not asked:
        return False
    given = {match[0] for source in (*text.formulas, text.prose) for match in _ASSIGNED.findall(source)}
    return bool(asked & given) and len(text.words) < 40


def _asked_symbols(text: Text) -> set[str]:
    """Symbols of the formulas that are asked for as such: `find x`, `what is the value of a + b`."""
    asked: set[str] = set()
    offset = 0
    for place, sentence in enumerate(text.sentences):
        if place in text.asks:
            for match in _ASKED.finditer(sentence):
                source = match.group(1)
                if source == MATH:
                    number = offset + sentence[: match.start(1)].count(MATH)
                    source = text.formulas[number] if number < len(text.formulas) else ""
                if _SIMPLE_SYMBOLS.match(source):
                    asked |= set(formula_symbols(source))
        offset += sentence.count(MATH)
    return asked


def asks_for_nothing_known(text: Text) -> bool:
    """Whether a symbol is asked for that stands nowhere else in the text."""
    asked = _asked_symbols(text)
    if not asked:
        return False
    everything = [s for formula in text.formulas for s in formula_symbols(formula)]
    everything += re.findall(r"(?<![A-Za-z\\'])[A-Za-z](?![A-Za-z'])", text.prose.replace(MATH, " "))
    everything += [c for name in re.findall(r"(?<![A-Za-z\\])[A-Z]{2,5}(?![a-z])", text.statement) for c in name]
    return any(everything.count(symbol) < 2 for symbol in asked)


def contradicts_itself(text: Text) -> bool:
    """Bounds that leave nothing, impossible triangles and probabilities, opposites at once. Only what can be told for sure."""
    prose = _THOUSANDS.sub("", text.statement.replace("$", ""))
    if _BOTH.search(prose):
        return True
    for match in _TRIANGLE_SIDES.finditer(prose):
        a, b, c = sorted(map(float, match.groups()))
        if a + b <= c:
            return True
    if any(sum(map(int, match.groups())) != 180 for match in _TRIANGLE_ANGLES.finditer(prose)):
        return True
    if any(float(value) > 1 for value in _PROBABILITY.findall(prose)):
        return True
    return _empty_range(text)


def _empty_range(text: Text) -> bool:
    """Bounds on one symbol within one sentence that no number meets."""
    signs = {}
    formulas = iter(text.formulas)
    for sentence in text.sentences:
        own = [next(formulas, "") for _ in range(sentence.count(MATH))]
        if any(_LISTED.search(source) for source in (*own, sentence)) or re.search(
            r"\b(?:or|if|when|either|otherwise|case|cases)\b", sentence, re.IGNORECASE
        ):
            continue
        signs |= _signs(sentence, own)
        bounds: dict[str, list[tuple[str, float]]] = {}
        loose = re.split(rf"{MATH}|\band\b", sentence)
        for source in (*own, *loose):
            if "cases" in source or "\\to" in source or "|" in source:
                continue
            for piece in re.split(r",|\\quad|\\text|\\land|\\wedge|;", source):
                for symbol, relation, value in _BOUND.findall(piece):
                    bounds.setdefault(symbol, []).append((_relation(relation), float(value)))
        for symbol, found in bounds.items():
            if _impossible(found + signs.get(symbol, [])):
                return True
    return False


def _signs(sentence: str, formulas: list[str]) -> dict[str, list[tuple[str, float]]]:
    """What `a positive integer n` says of n, as a bound."""
    found: dict[str, list[tuple[str, float]]] = {}
    for match in _SIGNED.finditer(sentence):
        place = match.start(2) if match.group(2) else match.start(3)
        number = sentence[:place].count(MATH)
        symbols = formula_symbols(formulas[number]) if number < len(formulas) else []
        if len(symbols) == 1 and formulas[number].strip() == symbols[0]:
            kind = (match.group(1) or match.group(4)).lower()
            found[symbols[0]] = [("<" if kind == "negative" else ">=" if kind.startswith("non") else ">", 0.0)]
    return found


def _relation(sign: str) -> str:
    if sign.startswith(("<=", "≤", "\\le")):
        return "<="
    if sign.startswith((">=", "≥", "\\ge")):
        return ">="
    return {"\\lt": "<", "\\gt": ">"}.get(sign, sign)


def _impossible(bounds: list[tuple[str, float]]) -> bool:
    low = max((value for sign, value in bounds if sign in (">", ">=", "=")), default=float("-inf"))
    high = min((value for sign, value in bounds if sign in ("<", "<=", "=")), default=float("inf"))
    strict = any((sign, value) in ((">", low), ("<", high)) for sign, value in bounds)
    return low > high or low == high and strict


def is_trivial(text: Text) -> bool:
    """Bare arithmetic of at most three numbers, or a linear equation of one step, with no words of a setting."""
    text = Text(core(text.statement))
    if (
        set(text.words)
        - _PLAIN_WORDS
        - {
            "plus",
            "minus",
            "times",
            "divided",
            "by",
            "squared",
            "cubed",
            "and",
            "from",
            "added",
            "equation",
            "linear",
            "such",
            "that",
        }
    ):
        return False
    numbers = re.findall(r"\d+(?:\.\d+)?", text.statement)
    if any(_ONE_STEP.match(formula) for formula in text.formulas):
        return True
    symbols = [s for formula in text.formulas for s in formula_symbols(formula)]
    if symbols or re.search(
        r"\\(?:sum|int|prod|binom|sqrt|log|frac|lim|sin|cos|tan|ln|pmod|bmod|lfloor|lceil)|!|\^|mod\b|√", text.statement
    ):
        return bool(re.search(r"\b\d?[a-z] ?[+-] ?\d+ ?= ?\d+", text.statement)) and len(numbers) <= 3
    return len(numbers) <= 3
