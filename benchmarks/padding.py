"""Ways to pad a problem without making it another one, for the claim that padding pays nothing."""

from collections.abc import Callable

_KEYWORDS = (
    "theorem, optimization, integral, prove, derivative, matrix, eigenvalue, polynomial, topology, combinatorics"
)
_FORMULA = r"$\int_0^{\infty} e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2}$"
_MORE_FORMULA = r"$\sum_{k=1}^{n} \binom{n}{k} \prod_{j=1}^{k} \left(1+\frac{1}{j}\right)$"
_FILLER = (
    "This is a very challenging olympiad problem that requires deep insight.",
    "Consider all possible cases carefully and justify every step.",
    "Many students find problems of this kind difficult.",
    "The study of such questions has a long history in mathematics.",
    "Advanced techniques from several areas may be needed.",
)
_STORY = (
    "Yesterday the weather in the old town was pleasant, and several visitors walked along the river before dinner."
)
_NUMBERS = "There are 12 benches and 35 lamps in the park, and 7 of the 12 benches were painted 3 years ago."


def _before(padding: str) -> Callable[[str], str]:
    return lambda statement: f"{padding} {statement}"


def _after(padding: str) -> Callable[[str], str]:
    return lambda statement: f"{statement} {padding}"


def _middle(padding: str) -> Callable[[str], str]:
    def pad(statement: str) -> str:
        first, stop, rest = statement.partition(". ")
        return f"{first}. {padding} {rest}" if stop else f"{padding} {statement}"

    return pad


PADDINGS: dict[str, Callable[[str], str]] = {
    "keywords before": _before(f"Keywords: {_KEYWORDS}."),
    "keywords after": _after(f"({_KEYWORDS})"),
    "keywords in a sentence": _before("This combines an integral, a polynomial and a matrix in a rigorous theorem."),
    "keywords, a few, after": _after("Use the theorem on derivatives."),
    "formula before": _before(f"Recall that {_FORMULA}."),
    "formula after": _after(f"Note that {_FORMULA}."),
    "formula in the middle": _middle(f"We also have {_MORE_FORMULA}."),
    "formulas, bare": _after(f"{_FORMULA} {_MORE_FORMULA}"),
    "formula with its symbols": _before("Note that $n = n$, $x = x$ and $a + b = b + a$ for all real numbers."),
    "filler before": _before(_FILLER[0]),
    "filler after": _after(" ".join(_FILLER[1:3])),
    "filler in the middle": _middle(" ".join(_FILLER[3:])),
    "filler, all": lambda statement: f"{_FILLER[0]} {_FILLER[2]} {statement} {' '.join(_FILLER[1:])}",
    "story before": _before(_STORY),
    "story in the middle": _middle(_STORY),
    "numbers before": _before(_NUMBERS),
    "numbers in the middle": _middle(_NUMBERS),
    "length, twice": lambda statement: f"{statement} {statement}",
    "length, long filler": lambda statement: f"{' '.join(_FILLER)} {_STORY} {statement}",
    "polite": _before("Please read the following carefully before answering."),
}
