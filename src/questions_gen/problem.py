"""What a statement is made of, and how near two statements are.

Similarity is the cosine of hashed features (words and pairs of words inside a sentence) in which every number
counts as a number and every one-letter symbol as a symbol, so that renamed variables, changed numbers and
reordered sentences stay near. The features are fixed: nothing is fitted, so an index only ever grows.
"""

import hashlib
import re
import unicodedata
import zlib
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

MAX_LENGTH = 20_000
"""Characters of a statement that are looked at: hostile text costs bounded time."""

DIMENSIONS = 384
BLOCK_ROWS = 16_384
CANDIDATES = 16
"""Rows that the sketch proposes for each query; their similarity is then computed exactly."""
SKETCH_MARGIN = 0.2
"""Four standard deviations of the sketch's error (1/√384) and a little."""

_LAYOUT = re.compile(
    r"\\(?:left|right|displaystyle|text|textit|textbf|mathrm|mathbf|quad|qquad|[bB]igg?)(?![a-zA-Z])|[${}]|\\[,;:! ]"
)
HAN = "\u3400-\u4dbf\u4e00-\u9fff"
"""Chinese characters, as a range of a regular expression: each is a word of its own, as no blank parts them."""

_WORD = re.compile(rf"[{HAN}]|[^\W\d_{HAN}]+|\d+(?:[.,]\d+)*")
_TOKEN = re.compile(
    rf"\\[a-zA-Z]+|[{HAN}]|[^\W\d_{HAN}]+(?:'[a-z]+)?|\^ ?\d{{1,2}}(?!\d)|\d+(?:[.,]\d+)*|[=<>≤≥≠+*/^|!-]"
)
_HAN = re.compile(f"[{HAN}]")
_SENTENCE = re.compile(r"(?<=[.!?;:])\s+|(?<=。)|\n\s*\n")
_COMMON_WORDS = frozenset(
    "a an the of to in on at by is are be was were been it its this that these those and or as for from with then than "
    "if let given find determine compute calculate prove show what which how many much value all each every such where "
    "there have has had do does can could will would i he she they we you his her their our your not no so any".split()
)
_COMMON_CHARACTERS = frozenset("的了是在有为与和及或且若则设求使对于任所以个其中之这那么已知如果试证明计算确定一等")
_COMMON_WEIGHT, _NUMBER_WEIGHT, _PAIR_WEIGHT, _POWER_WEIGHT = 0.2, 0.15, 0.6, 0.5


class Features(NamedTuple):
    """Sparse features of one statement: sorted hashes (uint32) and their weights (float32, Euclidean norm 1)."""

    hashes: np.ndarray
    weights: np.ndarray


def is_chinese(text: str) -> bool:
    """Whether there is a Chinese character in it."""
    return bool(_HAN.search(text))


def normalise(text: str) -> str:
    """One spelling of a statement: NFKC, lower case, no LaTeX layout, single spaces."""
    text = unicodedata.normalize("NFKC", text[:MAX_LENGTH]).lower()
    return " ".join(_LAYOUT.sub(" ", text).split())


def problem_id(source: str, statement: str) -> str:
    """`source-` and 12 hexadecimal digits that depend on the source and the normalised statement only."""
    digest = hashlib.sha256(f"{source}\0{normalise(statement)}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"{source}-{digest[:12]}"


def words(text: str) -> list[str]:
    """Words and numbers of the normalised text, in order, without punctuation."""
    return _WORD.findall(normalise(text))


def ngrams(words: Sequence[str], n: int) -> set[tuple[str, ...]]:
    """All runs of `n` words; a shorter text has none."""
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def features(statement: str) -> Features:
    """The hashed features that similarity compares."""
    weights: dict[int, float] = {}
    for sentence in _SENTENCE.split(normalise(statement)):
        previous, previous_common = 0, True
        for token in _TOKEN.findall(sentence):
            kind, weight, common, number = _abstract(token)
            if number:
                weights[number] = weights.get(number, 0.0) + _NUMBER_WEIGHT
            weights[kind] = weights.get(kind, 0.0) + weight
            if previous:
                pair = (previous * 1_000_003 + kind) & 0xFFFFFFFF
                value = _PAIR_WEIGHT * _COMMON_WEIGHT if common and previous_common else _PAIR_WEIGHT
                weights[pair] = weights.get(pair, 0.0) + value
            previous, previous_common = kind, common
    order = sorted(weights)
    hashes = np.array(order, dtype=np.uint32)
    values = np.sqrt(np.array([weights[value] for value in order], dtype=np.float32))
    return Features(hashes, values / max(float(np.linalg.norm(values)), 1e-12))


def similarity(left: Features, right: Features) -> float:
    """Cosine, in [0, 1]; 0 where one has no features."""
    return float(similarities(left, [right])[0])


class Index:
    """Statements that others are compared with. Adding costs the same however many there are."""

    def __init__(self) -> None:
        self._blocks: list[np.ndarray] = []
        self._rows: list[Features] = []
        self._statements: list[str | None] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, statements: Iterable[str]) -> None:
        self.add_features((features(statement), statement) for statement in statements)

    def add_features(self, rows: Iterable[tuple[Features, str | None]]) -> None:
        """Add statements whose features are known already; a statement may be left out to save memory."""
        for row, statement in rows:
            block, place = divmod(len(self._rows), BLOCK_ROWS)
            if block == len(self._blocks):
                self._blocks.append(np.zeros((BLOCK_ROWS, DIMENSIONS), dtype=np.float32))
            self._blocks[block][place] = _sketch(row)
            self._rows.append(row)
            self._statements.append(statement)

    def statement(self, position: int) -> str | None:
        return self._statements[position]

    def nearest(self, statements: Sequence[str], *, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """For each statement the highest similarity (float64, [0, 1]) and its position (int64; −1 without any).

        Only positions from `start` on are looked at.
        """
        return self.nearest_features([features(statement) for statement in statements], start=start)

    def nearest_features(self, queries: Sequence[Features], *, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
        best = np.zeros(len(queries))
        positions = np.full(len(queries), -1, dtype=np.int64)
        if not queries or start >= len(self):
            return best, positions
        for number, candidates in enumerate(self._candidates(queries, start)):
            values = similarities(queries[number], [self._rows[position] for position in candidates])
            top = int(np.argmax(values))
            best[number], positions[number] = values[top], candidates[top]
        return best, positions

    def tail(self, count: int) -> "Index":
        """An index of the last `count` statements."""
        index = Index()
        if count:
            index.add_features(zip(self._rows[-count:], self._statements[-count:], strict=True))
        return index

    def _candidates(self, queries: Sequence[Features], start: int) -> list[np.ndarray]:
        """For each query the positions, in order, of the rows that the sketches hold for nearest."""
        with _one_thread():
            return self._best(np.stack([_sketch(query) for query in queries]), start)

    def _best(self, sketches: np.ndarray, start: int) -> list[np.ndarray]:
        scores, places = [], []
        for number in range(start // BLOCK_ROWS, len(self._blocks)):
            first = number * BLOCK_ROWS
            low, high = max(0, start - first), min(BLOCK_ROWS, len(self) - first)
            values = sketches @ self._blocks[number][low:high].T
            keep = min(CANDIDATES, high - low)
            top = np.argpartition(values, -keep, axis=1)[:, -keep:]
            scores.append(np.take_along_axis(values, top, axis=1))
            places.append(top + first + low)
        all_scores, all_places = np.concatenate(scores, axis=1), np.concatenate(places, axis=1)
        keep = min(CANDIDATES, all_scores.shape[1])
        top = np.argpartition(all_scores, -keep, axis=1)[:, -keep:]
        return [np.sort(row) for row in np.take_along_axis(all_places, top, axis=1)]


def near_duplicates(statements: Sequence[str], limit: float) -> list[int | None]:
    """For each statement the nearest earlier one that is at least `limit` similar and no duplicate itself."""
    rows = [features(statement) for statement in statements]
    if not rows:
        return []
    sketches = np.stack([_sketch(row) for row in rows])
    kept = np.zeros(len(rows), dtype=bool)
    found: list[int | None] = []
    for first in range(0, len(rows), 512):
        with _one_thread():
            scores = sketches[first : first + 512] @ sketches[: first + 512].T
        for offset in range(len(scores)):
            number = first + offset
            likely = np.flatnonzero(kept[:number] & (scores[offset, :number] >= limit - SKETCH_MARGIN))
            exact = similarities(rows[number], [rows[other] for other in likely]) if len(likely) else np.zeros(1)
            top = int(np.argmax(exact))
            kept[number] = not len(likely) or exact[top] < limit
            found.append(None if kept[number] else int(likely[top]))
    return found


def _one_thread() -> AbstractContextManager:
    """Keep BLAS to one thread: on busy cores its threads wait for one another far longer than they compute."""
    return _blas().limit(limits=1, user_api="blas")


@lru_cache(maxsize=1)
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@lru_cache(maxsize=50_000)
def _abstract(token: str) -> tuple[int, float, bool, int]:
    """(hash of what a token counts as, weight, whether it is a common word, hash of a literal number or 0).

    Numbers are one kind, one-letter symbols another.
    """
    if is_chinese(token):  # one character says little, a pair of them is a word
        return _hash(token), _COMMON_WEIGHT, token in _COMMON_CHARACTERS, 0
    common = token in _COMMON_WORDS
    if token[0].isdigit():
        return _hash("#"), _COMMON_WEIGHT, False, _hash(token)
    if len(token) == 1 and token.isalpha() and token != "a":
        return _hash("@"), _COMMON_WEIGHT, False, 0
    if token[0] == "^":
        return _hash(token.replace(" ", "")), _POWER_WEIGHT, False, 0
    if common or not token[-1].isalpha():
        return _hash(token), _COMMON_WEIGHT, common, 0
    return _hash(token), 1.0, False, 0


def similarities(query: Features, rows: Sequence[Features]) -> np.ndarray:
    """Cosines of one statement with several, in one look-up (float64, [0, 1])."""
    if not len(query.hashes):
        return np.zeros(len(rows))
    hashes = np.concatenate([row.hashes for row in rows])
    weights = np.concatenate([row.weights for row in rows]).astype(np.float64)
    places = np.minimum(np.searchsorted(query.hashes, hashes), len(query.hashes) - 1)
    products = np.where(query.hashes[places] == hashes, weights * query.weights[places], 0.0)
    owners = np.repeat(np.arange(len(rows)), [len(row.hashes) for row in rows])
    return np.minimum(np.bincount(owners, weights=products, minlength=len(rows)), 1.0)


def _hash(token: str) -> int:
    return zlib.crc32(token.encode("utf-8", "surrogatepass"))


def _sketch(row: Features) -> np.ndarray:
    """Signed hashing of the features into DIMENSIONS columns: keeps cosines up to about 1/√DIMENSIONS."""
    mixed = row.hashes * np.uint32(2_654_435_761)
    signs = np.where(mixed >> np.uint32(31), 1.0, -1.0) * row.weights
    return np.bincount((mixed >> np.uint32(8)) % np.uint32(DIMENSIONS), weights=signs, minlength=DIMENSIONS).astype(
        np.float32
    )
