"""Difficulty from the text alone: a small linear model of the corpus's own labels, told no louder than it knows.

    difficulty = 1/2 + 0.45 · reliability · (0.9 · percentile + 0.1 · structure − 1/2), in [0, 1]

`percentile` is the place of the model's prediction among the problems it was fitted on. `structure` is the
seed's count of keywords and complexity, each saturating at what an ordinary problem has. `reliability` is the
cross-validated rank correlation of the model (0 where it is negative): Kelley's shrinkage of a score towards
the mean (T. L. Kelley, "Statistical Method", 1923), since text says little about difficulty. Both parts see only
the core of a statement (core.py), so that padding pays next to nothing; 0.45 is what keeps the padding that does get
through below 0.05, and below 0.02 in the total (benchmarks/rewards.py). A solver's pass rate may speak louder.

The model is ridge regression on tf-idf of words and pairs of words and a few counts, fitted on the logarithm of the
labels, ranked within each source, because labels of two sources aren't comparable.
"""

import hashlib
import heapq
import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.problem import near_duplicates, normalise
from questions_gen.rewards.core import core
from questions_gen.rewards.text import NUMBER_WORDS, Text
from questions_gen.schema import Problem

VERSION = 1
FOLDS = 5
MIN_LABELLED = 30
"""Labelled problems below which nothing is fitted: the difficulty is then 1/2 for all."""
MAX_LABELLED = 10_000
"""Labelled problems above which a sample is enough: the rank correlation is then known to 0.02."""
MAX_TERMS = 4_000
RIDGE = 3.0
STRUCTURE_SCALE = 0.3
"""Weight of the standardised counts against the tf-idf, which has norm 1."""
STRUCTURE_SHARE = 0.1
DAMPING = 0.45
SAME = 0.85
"""Similarity from which on two problems stay in one fold."""

_TOKEN = re.compile(r"\\[a-z]+|[a-z]+|#")
_DIGITS = re.compile(r"\d+(?:[.,]\d+)*")
_COMMAND = re.compile(r"\\[A-Za-z]+")


@dataclass(frozen=True)
class DifficultyModel:
    terms: dict[str, tuple[float, float]]
    """Term → (inverse document frequency, weight)."""
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    """Of the counts: mean and scale in the corpus, weight."""
    intercept: float
    predictions: tuple[float, ...]
    """Quantiles (0 to 100 %) of the predictions for the problems it was fitted on."""
    quality: dict[str, float | int | None]
    """labelled (problems), rank_correlation (cross-validated), low and high (its 95 % interval), length_alone."""

    @property
    def reliability(self) -> float:
        return max(0.0, self.quality["rank_correlation"] or 0.0)

    def predict(self, statement: str) -> float:
        """Predicted rank of the label within its source, about −1 to 1; on the core of the statement."""
        return self._predict(Text(core(statement)))

    def score(self, statement: str) -> float:
        """The difficulty, in [0, 1]."""
        return self.score_core(Text(core(statement)))

    def score_core(self, text: Text) -> float:
        """The difficulty of a text that is its own core already."""
        if not self.predictions:
            return 0.5
        place = bisect_left(self.predictions, self._predict(text)) / len(self.predictions)
        mixed = (1 - STRUCTURE_SHARE) * place + STRUCTURE_SHARE * structure(text)
        return min(1.0, max(0.0, 0.5 + DAMPING * self.reliability * (mixed - 0.5)))

    def _predict(self, text: Text) -> float:
        return self._predict_from(_terms(text.statement), _counts(text))

    def _predict_from(self, document: Sequence[str], counts: Sequence[float]) -> float:
        counted = Counter(term for term in document if term in self.terms)
        values = {term: (1 + math.log(count)) * self.terms[term][0] for term, count in counted.items()}
        norm = math.sqrt(sum(value * value for value in values.values())) or 1.0
        words = sum(value * self.terms[term][1] for term, value in values.items()) / norm
        rows = zip(counts, self.means, self.scales, self.weights, strict=True)
        return self.intercept + words + sum((value - mean) / scale * weight for value, mean, scale, weight in rows)

    def save(self, path: Path) -> None:
        """JSON; the numbers keep seven digits, so that the last bits of a sum don't show."""
        value = {
            "version": VERSION,
            "terms": {term: [_rounded(idf), _rounded(weight)] for term, (idf, weight) in self.terms.items()},
            "means": [_rounded(v) for v in self.means],
            "scales": [_rounded(v) for v in self.scales],
            "weights": [_rounded(v) for v in self.weights],
            "intercept": _rounded(self.intercept),
            "predictions": [_rounded(v) for v in self.predictions],
            "quality": self.quality,
        }
        files.write_json(path, value)


def load(path: Path) -> DifficultyModel:
    """Raises UserError for a file that isn't a difficulty model of this version."""
    value = files.read_json(path)
    try:
        if value["version"] != VERSION:
            raise ValueError(f"version {value['version']}, not {VERSION}")
        model = DifficultyModel(
            terms={term: (float(idf), float(weight)) for term, (idf, weight) in value["terms"].items()},
            means=tuple(map(float, value["means"])),
            scales=tuple(map(float, value["scales"])),
            weights=tuple(map(float, value["weights"])),
            intercept=float(value["intercept"]),
            predictions=tuple(map(float, value["predictions"])),
            quality=value["quality"],
        )
        if not len(model.means) == len(model.scales) == len(model.weights):
            raise ValueError("its counts don't match")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: no difficulty model ({error}); `dvc repro mix` makes it again") from None
    return model


def sample(ids: Iterable[str]) -> set[str]:
    """Which of the labelled problems to fit on: all, or MAX_LABELLED of them, by a hash of their ids."""
    return set(heapq.nsmallest(MAX_LABELLED, ids, key=lambda name: hashlib.sha256(name.encode()).digest()))


def fit(problems: Sequence[Problem]) -> DifficultyModel:
    """Fit on the problems that have a difficulty label, and cross-validate. Depends on nothing but the problems."""
    labelled = [problem for problem in problems if problem.difficulty is not None]
    targets = _targets(labelled)
    if len(labelled) < MIN_LABELLED or not np.ptp(targets):
        quality = {"labelled": len(labelled), "rank_correlation": None, "low": None, "high": None, "length_alone": None}
        return DifficultyModel({}, (), (), (), 0.0, (), quality)
    cores = [core(problem.statement) for problem in labelled]
    documents = [_terms(text) for text in cores]
    counts = np.array([_counts(Text(text)) for text in cores])
    out_of_fold = np.zeros(len(labelled))
    groups = _folds([problem.statement for problem in labelled])
    for fold in range(FOLDS):
        inside, outside = np.flatnonzero(groups != fold), np.flatnonzero(groups == fold)
        if not len(outside) or not len(inside):
            continue
        part = _fit_part([documents[i] for i in inside], counts[inside], targets[inside])
        out_of_fold[outside] = [part._predict_from(documents[i], counts[i]) for i in outside]
    lengths = np.array([len(problem.statement) for problem in labelled], dtype=float)
    sources = [problem.source for problem in labelled]
    quality = _quality(out_of_fold, lengths, targets, sources)
    whole = _fit_part(documents, counts, targets)
    fitted = [whole._predict_from(documents[i], counts[i]) for i in range(len(cores))]
    quantiles = tuple(map(float, np.quantile(fitted, np.linspace(0, 1, 101))))
    return DifficultyModel(whole.terms, whole.means, whole.scales, whole.weights, whole.intercept, quantiles, quality)


def structure(text: Text) -> float:
    """The seed's keywords and complexity, saturating: 1 from 4 keywords, 3 symbols, 2 commands and 3 numbers on."""
    keywords = min(1.0, len(set(text.keywords)) / 4)
    symbols = min(1.0, len(text.symbols) / 3)
    commands = min(1.0, len({c for formula in text.formulas for c in _COMMAND.findall(formula)}) / 2)
    quantities = min(1.0, text.quantities / 3)
    return (keywords + symbols + commands + quantities) / 4


def rank_correlation(left: np.ndarray, right: np.ndarray) -> float:
    """Spearman's, with ties at their mean rank; 0 where one side doesn't vary."""
    a, b = _ranks(left), _ranks(right)
    if not np.ptp(a) or not np.ptp(b):
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _terms(statement: str) -> list[str]:
    """Words, LaTeX commands and `#` for a number, and pairs of neighbours."""
    tokens = _TOKEN.findall(_DIGITS.sub("#", normalise(statement)))
    return tokens + [f"{left} {right}" for left, right in zip(tokens, tokens[1:], strict=False)]


def _counts(text: Text) -> list[float]:
    """Logarithms of the counts that the model sees beside the words."""
    numbers = set(_DIGITS.findall(text.statement))
    formulas = sum(map(len, text.formulas))
    values = (
        len(text.statement),
        len(set(text.words)),
        len(numbers),
        text.quantities,
        len(text.sentences),
        len(text.formulas),
        len(text.symbols),
        formulas,
        len(set(text.keywords)),
        len(NUMBER_WORDS.findall(text.prose)),
        text.statement.count("%"),
    )
    return [math.log1p(value) for value in values]


def _targets(problems: Sequence[Problem]) -> np.ndarray:
    """Ranks of the labels within each source, scaled to −1 … 1."""
    labels = np.array([problem.difficulty for problem in problems], dtype=float)
    targets = np.zeros(len(problems))
    for source in sorted({problem.source for problem in problems}):
        own = np.array([problem.source == source for problem in problems])
        ranks = _ranks(labels[own])
        targets[own] = 2 * ranks / max(1, len(ranks) - 1) - 1 if len(ranks) > 1 else 0.0
    return targets


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0, equal values at their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[inverse]


def _folds(statements: Sequence[str]) -> np.ndarray:
    """A fold for each statement; near duplicates share one, so that the quality isn't flattered."""
    repeats = near_duplicates(statements, SAME)
    order = np.random.default_rng(0).permutation(len(statements))
    folds = np.empty(len(statements), dtype=int)
    folds[order] = np.arange(len(statements)) % FOLDS
    for place, earlier in enumerate(repeats):
        if earlier is not None:
            folds[place] = folds[earlier]
    return folds


def _fit_part(documents: Sequence[list[str]], counts: np.ndarray, targets: np.ndarray) -> DifficultyModel:
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import Ridge

    frequency = Counter(term for document in documents for term in set(document))
    common = sorted((term for term, count in frequency.items() if count >= 2), key=lambda t: (-frequency[t], t))
    vocabulary = {term: column for column, term in enumerate(sorted(common[:MAX_TERMS]))}
    idf = {term: math.log((1 + len(documents)) / (1 + frequency[term])) + 1 for term in vocabulary}
    rows, columns, values = [], [], []
    for row, document in enumerate(documents):
        counted = Counter(term for term in document if term in vocabulary)
        weighed = {term: (1 + math.log(count)) * idf[term] for term, count in counted.items()}
        norm = math.sqrt(sum(value * value for value in weighed.values())) or 1.0
        for term in sorted(weighed):
            rows.append(row)
            columns.append(vocabulary[term])
            values.append(weighed[term] / norm)
    words = csr_matrix((values, (rows, columns)), shape=(len(documents), len(vocabulary)))
    means = counts.mean(axis=0)
    scales = np.where(counts.std(axis=0) > 1e-9, counts.std(axis=0), 1.0) / STRUCTURE_SCALE
    table = hstack([words, csr_matrix((counts - means) / scales)]).tocsr()
    ridge = Ridge(alpha=RIDGE, solver="sparse_cg", tol=1e-8).fit(table, targets)
    weights = ridge.coef_.tolist()
    terms = {term: (idf[term], weights[column]) for term, column in vocabulary.items()}
    rest = tuple(weights[len(vocabulary) :])
    return DifficultyModel(terms, tuple(means.tolist()), tuple(scales.tolist()), rest, float(ridge.intercept_), (), {})


def _quality(predicted: np.ndarray, lengths: np.ndarray, targets: np.ndarray, sources: Sequence[str]) -> dict:
    """Correlations within each source, weighted by its size, with Fisher's interval."""
    value, alone = 0.0, 0.0
    for source in sorted(set(sources)):
        own = np.array([s == source for s in sources])
        value += own.mean() * rank_correlation(predicted[own], targets[own])
        alone += own.mean() * rank_correlation(lengths[own], targets[own])
    spread = 1.96 * 1.03 / math.sqrt(max(1, len(targets) - 3))
    centre = math.atanh(max(-0.999999, min(0.999999, value)))
    return {
        "labelled": len(targets),
        "rank_correlation": round(float(value), 4),
        "low": round(math.tanh(centre - spread), 4),
        "high": round(math.tanh(centre + spread), 4),
        "length_alone": round(float(alone), 4),
    }


def _rounded(value: float) -> float:
    return float(f"{value:.7g}")
