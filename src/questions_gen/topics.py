# ruff: noqa: E501 (a pattern or a word list is easier to check as it stands)
"""A small classifier of topics, for sources that name none: weighted words, the highest sum wins."""

import re

from questions_gen.problem import normalise

TOPICS = ("algebra", "geometry", "number theory", "combinatorics", "calculus", "probability", "inequalities", "other")

OTHER_NAMES = {"polynomial": "algebra", "sequence": "algebra", "inequality": "inequalities"}
"""A source's own name of a topic → the one of TOPICS that holds it: those of CHAMP."""

_PATTERNS: dict[str, tuple[tuple[float, str], ...]] = {
    "geometry": (
        (2, r"triangles?|circum(?:circle|center|centre|scribed|radius)|in(?:circle|center|centre|scribed|radius)|quadrilaterals?|parallelograms?|trapezoids?|polygons?|hexagons?|pentagons?|tetrahedr\w+|orthocent\w+|centroid|ellipses?|hyperbolas?|parabolas?|tangent to|perpendicular|bisectors?|midpoints?|collinear|concyclic|rhombus|pyramids?|prisms?|chord"),  # fmt: skip
        (1, r"\\?angles?|circles?|radius|sides?|rectangles?|cubes?|spheres?|plane|area|volume|lengths?|diameter|parallel|\\triangle|\\overline|vertices|points?|square of side"),
    ),
    "number theory": (
        (2, r"primes?|divisors?|divisible|divides?|modulo|\\?gcd|\\?lcm|coprime|congruent to|mod|integers? solutions?|\\pmod|\\bmod|remainders?|perfect (?:square|cube|power)s?|multiples? of|relatively prime|diophantine|\\mid|factorisation|factorization|composite"),
        (1, r"integers?|natural numbers?|digits?|odd|even|whole numbers?|decimal|rational"),
    ),
    "combinatorics": (
        (2, r"how many (?:ways|sequences|subsets|strings|different|distinct|permutations|such|words|numbers)|number of (?:ways|subsets|permutations|sequences|pairs|arrangements|strings|paths)|permutations?|combinations?|subsets?|tournaments?|colou?r(?:ed|ing|s)|graphs?|chessboards?|arrange(?:d|ments?)|tilings?|tiled?|players?|board|strategy|\\binom|cards?"),
        (1, r"ways|sets?|grid|choose|chosen|people|each pair|boxes|balls|distinct|strings?"),
    ),
    "calculus": (
        (3, r"derivatives?|integrals?|\\int|limits?|\\lim|differentiable|continuous|converges?|maclaurin|taylor"),
        (1, r"series|tangent line|rate of change|\\infty"),
    ),
    "probability": ((4, r"probabilit\w+|expected (?:value|number)|expectation|random(?:ly)?|dice|coin|variance"),),
    "inequalities": (
        (3, r"inequalit\w+|(?:prove|show) that [^.]*(?:\\geq?|\\leq?|≥|≤|>=|<=|<|>)"),
        (2, r"(?:maximum|minimum|largest|smallest|greatest|least|maximal|minimal|max|min)(?: possible)? (?:real )?(?:value|constant|number)"),
        (1, r"\\geq?|\\leq?|≥|≤|>=|<=|positive reals?|positive real numbers?|non-?negative"),
    ),
    "algebra": (
        (2, r"polynomials?|equations?|roots?|functions?|functional|sequences?|coefficients?|\\log|\\sqrt|logarithm|solve|quadratic|cubic|matrix|matrices|complex numbers?|arithmetic progression|geometric progression|\\sin|\\cos|factor"),
        (1, r"real numbers?|\\mathbb ?r|sum|product|terms?|variables?|value of|satisf\w+|percent|cost|price|per (?:hour|day|week|month|year)|total|times as|how much|each|average|ratio"),
    ),
}  # fmt: skip
_COMPILED = {
    topic: tuple((weight, re.compile(rf"(?<![a-z\\])(?:{pattern})(?![a-z])")) for weight, pattern in patterns)
    for topic, patterns in _PATTERNS.items()
}
_LOOKED_AT = 4_000
"""Characters: a longer statement has said what it is about by then."""


def classify_topic(statement: str) -> str:
    """One of TOPICS; `other` when nothing mathematical is recognised.

    >>> classify_topic("Find all primes $p$ such that $p^2 + 2$ is prime.")
    'number theory'
    """
    text = normalise(statement[:_LOOKED_AT])
    scores = {
        topic: sum(weight * len(set(pattern.findall(text))) for weight, pattern in patterns)
        for topic, patterns in _COMPILED.items()
    }
    best = max(scores, key=lambda topic: scores[topic])
    return best if scores[best] > 0 else "other"


def keeps_topic(statement: str, topic: str | None) -> bool | None:
    """Whether the statement is of the topic that was asked for; None where none was, or one that isn't of TOPICS.

    >>> keeps_topic("Find all roots of the polynomial $x^2 - 1$.", "polynomial"), keeps_topic("Find it.", "knots")
    (True, None)
    """
    asked = OTHER_NAMES.get(topic or "", topic)
    return classify_topic(statement) == asked if asked in TOPICS and asked != "other" else None
