# ruff: noqa: E501 (a pattern or a word list is easier to check as it stands)
"""A small classifier of topics, for sources that name none: weighted words, the highest sum wins."""

import re

from questions_gen.problem import normalise

TOPICS = ("algebra", "geometry", "number theory", "combinatorics", "calculus", "probability", "inequalities", "other")

OTHER_NAMES = {
    "polynomial": "algebra", "sequence": "algebra", "inequality": "inequalities",
    "代数": "algebra", "多项式": "algebra", "数列": "algebra", "函数": "algebra", "几何": "geometry", "数论": "number theory",
    "组合": "combinatorics", "微积分": "calculus", "概率": "probability", "不等式": "inequalities",
}  # fmt: skip
"""A source's own name of a topic → the one of TOPICS that holds it: those of CHAMP, and Chinese ones."""

_PATTERNS: dict[str, tuple[tuple[float, str], ...]] = {
    "geometry": (
        (2, r"triangles?|circum(?:circle|center|centre|scribed|radius)|in(?:circle|center|centre|scribed|radius)|quadrilaterals?|parallelograms?|trapezoids?|polygons?|hexagons?|pentagons?|tetrahedr\w+|orthocent\w+|centroid|ellipses?|hyperbolas?|parabolas?|tangent to|perpendicular|bisectors?|midpoints?|collinear|concyclic|rhombus|pyramids?|prisms?|chord"),  # fmt: skip
        (1, r"\\?angles?|circles?|radius|sides?|rectangles?|cubes?|spheres?|plane|area|volume|lengths?|diameter|parallel|\\triangle|\\overline|vertices|points?|square of side"),
        (2, r"三角形|外接圆|内切圆|四边形|平行四边形|梯形|菱形|正方形|多边形|六边形|四面体|棱锥|棱柱|垂心|重心|外心|内心|椭圆|双曲线|抛物线|切线|垂直|角平分线|中点|弦|圆心|半径|面积|体积"),
        (1, r"圆|角|直线|线段|平面|平行|边长|长方体|正方体|顶点"),
    ),
    "number theory": (
        (2, r"primes?|divisors?|divisible|divides?|modulo|\\?gcd|\\?lcm|coprime|congruent to|mod|integers? solutions?|\\pmod|\\bmod|remainders?|perfect (?:square|cube|power)s?|multiples? of|relatively prime|diophantine|\\mid|factorisation|factorization|composite"),
        (1, r"integers?|natural numbers?|digits?|odd|even|whole numbers?|decimal|rational"),
        (2, r"质数|素数|因数|约数|整除|余数|同余|互质|互素|完全平方数|公约数|公倍数|倍数|整数解|合数"),
        (1, r"整数|自然数|奇数|偶数|数字|位数"),
    ),
    "combinatorics": (
        (2, r"how many (?:ways|sequences|subsets|strings|different|distinct|permutations|such|words|numbers)|number of (?:ways|subsets|permutations|sequences|pairs|arrangements|strings|paths)|permutations?|combinations?|subsets?|tournaments?|colou?r(?:ed|ing|s)|graphs?|chessboards?|arrange(?:d|ments?)|tilings?|tiled?|players?|board|strategy|\\binom|cards?"),
        (1, r"ways|sets?|grid|choose|chosen|people|each pair|boxes|balls|distinct|strings?"),
        (2, r"多少种|几种|方法数|种数|排列|组合|子集|染色|染成|棋盘|方格表|排成|策略|比赛|图论|选法|排法|铺满"),
        (1, r"集合|不同的|人|选出|盒子|小球"),
    ),
    "calculus": (
        (3, r"derivatives?|integrals?|\\int|limits?|\\lim|differentiable|continuous|converges?|maclaurin|taylor"),
        (1, r"series|tangent line|rate of change|\\infty"),
        (3, r"导数|积分|极限|可导|连续函数|收敛|泰勒|切线方程"),
    ),
    "probability": ((4, r"概率|期望|方差|随机|骰子|probabilit\w+|expected (?:value|number)|expectation|random(?:ly)?|dice|coin|variance"),),
    "inequalities": (
        (3, r"inequalit\w+|(?:prove|show) that [^.]*(?:\\geq?|\\leq?|≥|≤|>=|<=|<|>)|不等式|证明[^。]*(?:\\geq?|\\leq?|≥|≤|<|>)"),
        (2, r"最大值|最小值|取值范围|恒成立"),
        (2, r"(?:maximum|minimum|largest|smallest|greatest|least|maximal|minimal|max|min)(?: possible)? (?:real )?(?:value|constant|number)"),
        (1, r"\\geq?|\\leq?|≥|≤|>=|<=|正实数|正数|positive reals?|positive real numbers?|non-?negative"),
    ),
    "algebra": (
        (2, r"polynomials?|equations?|roots?|functions?|functional|sequences?|coefficients?|\\log|\\sqrt|logarithm|solve|quadratic|cubic|matrix|matrices|complex numbers?|arithmetic progression|geometric progression|\\sin|\\cos|factor"),
        (2, r"多项式|方程|根|函数|数列|系数|复数|矩阵|等差|等比|因式分解|分解因式|对数|解集"),
        (1, r"real numbers?|\\mathbb ?r|sum|product|terms?|variables?|value of|satisf\w+|percent|cost|price|per (?:hour|day|week|month|year)|total|times as|how much|each|average|ratio"),
        (1, r"实数|之和|通项|前\S{1,4}项和|平均|价格|元|速度"),
    ),
}  # fmt: skip
_COMPILED = {
    # a word of letters stands alone; a command may touch what is before it, and Chinese anything
    topic: tuple(
        (weight, re.compile(rf"(?:(?<![a-z\\])|(?![a-z]))(?:{pattern})(?:(?![a-z])|(?<![a-z]))"))
        for weight, pattern in patterns
    )
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
