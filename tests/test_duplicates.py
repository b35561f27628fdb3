"""Near duplicates by MinHash against the exact search, on CHAMP's statements and changed copies of them."""

import random

import numpy as np
import pytest

from benchmarks.real_schemas import Writer, champ_texts
from questions_gen.duplicates import bands_and_rows, near_duplicates_by_signature, repeats, signatures
from questions_gen.problem import features, similarity

LIMIT = 0.9


@pytest.fixture(scope="module")
def statements() -> list[str]:
    writer = Writer(1, champ_texts())
    return [writer.statement() for _ in range(500)]


def varied(statement: str, generator: random.Random, pool: list[str]) -> str:
    """A copy with up to a sixth of its words taken from other statements."""
    words = statement.split()
    for _ in range(generator.randint(1, len(words) // 6 + 1)):
        words[generator.randrange(len(words))] = generator.choice(generator.choice(pool).split())
    return " ".join(words)


def agree(left: list[str], right: list[str]) -> np.ndarray:
    return (signatures(left, LIMIT) == signatures(right, LIMIT)).any(axis=1)


def test_of_the_pairs_at_the_limit_99_in_100_are_candidates(statements):
    generator = random.Random(0)
    pairs = [(text, varied(text, generator, statements)) for text in statements for _ in range(6)]
    near = [similarity(features(left), features(right)) for left, right in pairs]
    at_limit = [pair for pair, value in zip(pairs, near, strict=True) if LIMIT <= value < LIMIT + 0.02]
    assert len(at_limit) > 300
    assert agree(*map(list, zip(*at_limit, strict=True))).mean() >= 0.99


def test_unrelated_statements_are_hardly_ever_candidates(statements):
    keys = signatures(statements, LIMIT)
    pairs = sum(int((keys[:, band, None] == keys[None, :, band]).sum()) - len(keys) for band in range(keys.shape[1]))
    assert pairs / 2 <= len(keys) * (len(keys) - 1) / 2 / 2_000


@pytest.mark.parametrize("limit", [0.8, LIMIT])
def test_what_is_found_is_what_the_exact_search_finds(statements, limit):
    generator = random.Random(1)
    texts = statements[:200] + [varied(generator.choice(statements[:200]), generator, statements) for _ in range(200)]
    found = near_duplicates_by_signature(texts, signatures(texts, limit), limit)
    exact = repeats(texts, None, limit)
    assert sum(place is not None for place in exact) > 100
    assert sum(a != b for a, b in zip(found, exact, strict=True)) <= 2
    for text, place in zip(texts, found, strict=True):
        assert place is None or similarity(features(text), features(texts[place])) >= limit, "a pair was made up"


def test_many_copies_are_compared_with_the_first_alone(statements):
    texts = statements[:1] * 3_000 + statements[1:3]
    found = repeats(
        texts, np.concatenate([signatures(texts[:1], LIMIT)] * 3_000 + [signatures(texts[-2:], LIMIT)]), 0.9
    )
    assert found == [None] + [0] * 2_999 + [None, None]


@pytest.mark.parametrize("limit", [0.3, 0.85, LIMIT, 1.0])
def test_every_limit_has_bands(limit):
    bands, rows = bands_and_rows(limit)
    assert bands >= 1
    assert 1 <= rows * bands <= 252


def test_a_statement_without_words_has_a_signature():
    assert signatures(["", "?"], LIMIT).shape == (2, bands_and_rows(LIMIT)[0])
