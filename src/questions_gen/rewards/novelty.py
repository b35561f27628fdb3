"""How new a problem is, and whether it is a copy.

novelty = min(1, 2 · (1 − s)), s being the highest similarity to the history and to the known problems (training and
evaluation); in [0, 1].
Similarity is the cosine of problem.py; it is taken of the core of the statement (core.py), whichever of core and
whole text is nearer, so that padding an old problem doesn't make a new one. All completions of a call are
compared with the index at once; nothing is fitted.

A copy is a statement that is near to another one and has its numbers, or most of its runs of eight words (Brown et
al. 2020, appendix C, https://arxiv.org/abs/2005.14165, uses 13 for long documents).
"""

import re
from collections import Counter
from collections.abc import Sequence

from questions_gen.problem import features, ngrams, similarity, words

UNRELATED = 0.5
"""Similarity below which two problems have no more in common than any two: being still less alike earns nothing."""
COPY_SIMILARITY = 0.85
COPY_CONTAINMENT = 0.7
"""Share of the statement's runs of eight words that stand in the other one too."""
RUN = 8

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def novelty(similarities: Sequence[float]) -> float:
    """2 · (1 − the highest of the similarities), at most 1; 1 without any."""
    return min(1.0, (1.0 - min(1.0, max(similarities, default=0.0))) / (1.0 - UNRELATED))


def is_copy(statement: str, other: str) -> bool:
    """Whether `statement` repeats `other`: the same words and numbers, however symbols are named and sentences ordered.

    >>> is_copy("Find all primes $q$ with $q^2 < 50$.", "Find all primes $p$ with $p^2 < 50$.")
    True
    """
    near = similarity(features(statement), features(other))
    if near >= COPY_SIMILARITY and _same_numbers(statement, other):
        return True
    return near >= 0.5 and containment(statement, other) >= COPY_CONTAINMENT and _same_numbers(statement, other)


def containment(statement: str, other: str) -> float:
    """Share of the statement's runs of eight words that the other one has; 0 for a statement without such a run."""
    runs = ngrams(words(statement), RUN)
    return len(runs & ngrams(words(other), RUN)) / len(runs) if runs else 0.0


def _same_numbers(statement: str, other: str) -> bool:
    """Whether at most one in ten numbers differs."""
    left, right = Counter(_NUMBER.findall(statement)), Counter(_NUMBER.findall(other))
    different = sum(((left - right) + (right - left)).values())
    return different <= 0.1 * (left.total() + right.total())
