"""The claims on real problems, on samples of the reference corpora, which stand beside a checkout or not."""

import random
from pathlib import Path

import numpy as np
import pytest

from benchmarks import rewards as benchmark
from benchmarks.padding import PADDINGS

DATA = Path("../shared/data")
pytestmark = pytest.mark.skipif(not DATA.exists(), reason=f"the reference corpora aren't at {DATA}")


@pytest.fixture(scope="module")
def reference():
    return benchmark.Reference(DATA)


@pytest.fixture(scope="module")
def model(reference):
    return benchmark.difficulty.fit(reference.champ)


def test_real_problems_pass_and_fakes_do_not(reference, model):
    reals = reference.reals(400, seed=5)
    judge = benchmark.new_judge(model)
    real = benchmark.verdicts(judge, [(real.statement, "stop") for real in reals])
    made = random.Random(0).sample(benchmark.fakes.make(reals[:150], seed=5), 800)
    fake = benchmark.verdicts(judge, [(text, finish) for _, text, finish in made])
    assert np.mean([verdict.passed for verdict in real]) >= 0.97
    assert np.mean([not verdict.passed for verdict in fake]) >= 0.98
    assert benchmark.area([v.total for v in real], [v.total for v in fake]) >= 0.985


def test_difficulty_ranks_within_champ_better_than_length(model):
    assert model.quality["rank_correlation"] >= 0.23
    assert model.quality["rank_correlation"] > model.quality["length_alone"]


def test_padding_300_real_problems_inflates_neither_difficulty_nor_total(reference, model):
    texts = [real.statement for real in reference.reals(400, seed=6)]
    judge = benchmark.new_judge(model, history=texts[300:], known=[p.statement for p in reference.champ], size=100)
    base = benchmark.verdicts(judge, [(text, "stop") for text in texts[:300]])
    for name, pad in PADDINGS.items():
        padded = benchmark.verdicts(judge, [(pad(text), "stop") for text in texts[:300]])
        pairs = [(before, after) for before, after in zip(base, padded, strict=True) if before.passed]
        harder = np.array([after.rewards["difficulty"] - before.rewards["difficulty"] for before, after in pairs])
        richer = np.array([after.total - before.total for before, after in pairs])
        assert np.quantile(harder, 0.99) <= 0.05, name
        assert np.quantile(richer, 0.99) <= 0.02, name
        assert richer.max() <= 0.08, name


def test_near_duplicates_stand_out(reference):
    texts = [real.statement for real in reference.reals(300, seed=7)]
    index = benchmark.Index()
    index.add(texts[:150])
    unrelated = index.nearest(texts[150:])[0]
    draw = random.Random(0)
    for kind in ("numbers", "variables", "sentences", "synonyms"):
        near = index.nearest([benchmark.changed(text, kind, draw) for text in texts[:150]])[0]
        assert benchmark.area(near, unrelated) >= 0.97, kind
