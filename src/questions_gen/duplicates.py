"""Near duplicates among many statements: MinHash and locality-sensitive hashing propose, the similarity decides.

The similarity of problem.py is a cosine of square roots of weights: Bhattacharyya's coefficient of the two
distributions of weight. Two statements that share the part c of their weight have the coefficient c and the weighted
Jaccard similarity c / (2 − c), which MinHash estimates once every feature stands as often as its weight says
(A. Broder, "On the resemblance and containment of documents", 1997; S. Ioffe, "Improved Consistent Sampling, Weighted
Minhash and L1 Sketching", 2010). Statements that agree in a whole band of the signature are candidates, and their
similarity is then computed exactly: a pair can be missed, never made up.

The signatures and the numbers of bands and rows are datasketch's. Its tables aren't used: a Python set a statement and
band are some 10 kB a statement, where a sorted column of bands is 8 bytes each.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np

from questions_gen.problem import Features, features, near_duplicates, similarities

EXACT_UP_TO = 10_000
"""Statements that are compared each with all before it: that costs the square of their number."""
PERMUTATIONS = 252
COPIES = 256
"""Elements that a statement's weight is spread over."""
MARGIN = 0.2
"""How far the bands' threshold is below the limit's Jaccard similarity: recall at the limit above 0.99 (measured in
tests/test_duplicates.py), and unrelated problems share a band once in 40,000 pairs."""


@lru_cache(maxsize=8)
def bands_and_rows(limit: float) -> tuple[int, int]:
    """How many bands of how many values the signature is cut into."""
    from datasketch import MinHashLSH

    threshold = max(limit / (2 - limit) - MARGIN, 0.05)
    table = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, weights=(0.1, 0.9))
    return table.b, table.r


def signatures(statements: Sequence[str], limit: float) -> np.ndarray:
    """uint64 of shape (statements, bands): two that are `limit` similar agree in a column, nearly always."""
    from datasketch import MinHash

    bands, rows = bands_and_rows(limit)
    elements = [_elements(features(statement)) for statement in statements]
    sketches = MinHash.generator(elements, num_perm=PERMUTATIONS, hashfunc=int)
    values = np.array([sketch.hashvalues[: bands * rows] for sketch in sketches], dtype=np.uint64)
    values = values.reshape(len(statements), bands, rows)
    mixed = np.zeros((len(statements), bands), dtype=np.uint64)
    for row in range(rows):
        mixed = (mixed ^ values[:, :, row]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(32)
    return mixed


def near_duplicates_by_signature(statements: Sequence[str], keys: np.ndarray, limit: float) -> list[int | None]:
    """What `near_duplicates` finds, of the pairs that agree in a column of `keys`, the statements' signatures.

    Only a statement that is no duplicate itself is ever compared with, so that a thousand copies cost a thousand
    comparisons.
    """
    groups = np.stack([_shared(keys[:, band]) for band in range(keys.shape[1])], axis=1)
    seen: list[dict[int, list[int]]] = [defaultdict(list) for _ in range(keys.shape[1])]
    parts = cache(lambda place: features(statements[place]))
    found: list[int | None] = []
    for place, row in enumerate(groups):
        own = [(band, int(row[band])) for band in np.flatnonzero(row >= 0)]
        likely = sorted({other for band, group in own for other in seen[band].get(group, ())})
        exact = similarities(parts(place), [parts(other) for other in likely]) if likely else np.zeros(1)
        top = int(np.argmax(exact))
        if likely and exact[top] >= limit:
            found.append(likely[top])
            continue
        found.append(None)
        for band, group in own:
            seen[band][group].append(place)
    return found


def repeats(statements: Sequence[str], keys: np.ndarray | None, limit: float) -> list[int | None]:
    """For each statement the nearest earlier one that is at least `limit` similar and no duplicate itself.

    `keys` are the statements' signatures; without them each is compared with all before it.
    """
    if keys is None:
        return near_duplicates(statements, limit)
    return near_duplicates_by_signature(statements, keys, limit)


def _elements(row: Features) -> np.ndarray:
    """uint32: every feature as often as its part of the weight says, at least once."""
    counts = np.maximum(1, np.rint(row.weights.astype(np.float64) ** 2 * COPIES)).astype(np.int64)
    copies = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    mixed = np.repeat(row.hashes.astype(np.uint64), counts) * np.uint64(2_654_435_761)
    return ((mixed + copies.astype(np.uint64) * np.uint64(0x9E3779B9)) & np.uint64(0xFFFFFFFF)).astype(np.uint32)


def _shared(column: np.ndarray) -> np.ndarray:
    """int32: the number of the group of equal values, −1 for a value that stands once."""
    _, inverse, counts = np.unique(column, return_inverse=True, return_counts=True)
    return np.where(counts[inverse] > 1, inverse, -1).astype(np.int32)
