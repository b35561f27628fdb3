"""The reward that this project starts from, written anew from its description, for comparison only.

Keywords and length for difficulty, a TF-IDF fitted again on every call for novelty and diversity (the problem itself
counted among its group, as there), keywords for rigor; weights 0.4, 0.3, 0.2, 0.1, no gate.
"""

from collections.abc import Sequence

HARD = ("prove", "theorem", "integral", "derivative", "optimization", "polynomial", "matrix", "complex", "inequality",
        "sequence",
        "convergence", "differential", "eigenvalue", "combinatorics", "prime")  # fmt: skip
STRICT = (
    "prove",
    "show",
    "let",
    "given",
    "suppose",
    "if",
    "then",
    "for all",
    "exists",
    "such that",
    "determine",
    "find",
)
SIGNS = "+-*/=^<>∫∑√"


def difficulty(statement: str) -> float:
    text = statement.lower()
    keywords = min(1.0, sum(word in text for word in HARD) / 5)
    complexity = (
        min(1.0, len(statement.split()) / 100) / 2 + min(1.0, sum(statement.count(sign) for sign in SIGNS) / 10) / 2
    )
    return 0.6 * keywords + 0.4 * complexity


def novelty(statement: str, history: Sequence[str]) -> float:
    """1 − highest cosine to the history, with a vectoriser that is fitted for this one call."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.metrics.pairwise import cosine_similarity

    if not history:
        return 1.0
    table = TfidfVectorizer().fit_transform([*history, statement])
    return 1.0 - float(cosine_similarity(table[-1], table[:-1]).max())


def rigor(statement: str) -> float:
    text = statement.lower()
    return min(1.0, sum(word in text for word in STRICT) / 4)


def diversity(statement: str, group: Sequence[str]) -> float:
    """Mean distance to the group, the problem itself included."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.metrics.pairwise import cosine_similarity

    table = TfidfVectorizer().fit_transform([*group, statement])
    return 1.0 - float(cosine_similarity(table[-1], table[:-1]).mean())


def total(statement: str, history: Sequence[str], group: Sequence[str]) -> float:
    return (
        0.4 * difficulty(statement)
        + 0.3 * novelty(statement, history)
        + 0.2 * rigor(statement)
        + 0.1 * diversity(statement, group)
    )
