# ruff: noqa: E501 (a row of the table is one line)
"""What we claim of the rewards, measured: `python -m benchmarks.rewards` prints the table (about two minutes).

Reads the reference corpora of ../shared/data, which are no part of the project; --data names another folder.
"""

import argparse
import gzip
import json
import random
import re
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks import seed_formula
from benchmarks.padding import PADDINGS
from questions_gen import fakes
from questions_gen.answers import parse_completion
from questions_gen.fakes import Real
from questions_gen.history import History
from questions_gen.params import load_params
from questions_gen.problem import Features, Index, features
from questions_gen.rewards import difficulty
from questions_gen.rewards.combine import Judge, RewardParams
from questions_gen.rewards.difficulty import DifficultyModel, rank_correlation
from questions_gen.schema import Completion, Message, Problem, Prompt, Verdict

SYNONYMS = {"find": "determine", "determine": "find", "compute": "calculate", "calculate": "compute", "all": "every one of the", "largest": "greatest",
            "smallest": "least", "such that": "so that", "how many": "what number of", "buys": "purchases", "gives": "hands", "total": "overall amount",
            "positive": "greater-than-zero", "prove": "show", "each": "every", "has": "owns"}  # fmt: skip


def rows(path: Path) -> Iterator[dict]:
    with gzip.open(path, "rt") as handle:
        yield from map(json.loads, handle)


class Reference:
    """The corpora: CHAMP's labels are the steps of its solutions."""

    def __init__(self, data: Path):
        competition = list(rows(data / "reference_competition.jsonl.gz"))
        self.gsm8k = [row for row in rows(data / "math_reasoning.jsonl.gz") if row["source"].startswith("GSM8K")]
        self.chat = [turn["value"] for row in rows(data / "chat.jsonl.gz") for turn in row["conversations"]]
        self.sources = defaultdict(list)
        for row in [*competition, *self.gsm8k]:
            self.sources[row["source"]].append(row)
        self.champ = list(champ())
        self.steps = [_problem(row, row["n_steps"], "GSM8K") for row in self.gsm8k]

    def reals(self, count: int, seed: int = 0) -> list[Real]:
        draw = random.Random(seed)
        rows_ = draw.sample([row for source in self.sources.values() for row in source], count)
        return [
            Real(row["problem"], row.get("solution"), str(row["answer"]) if row.get("answer") else None)
            for row in rows_
        ]


def champ() -> Iterator[Problem]:
    from importlib.util import find_spec

    spec = find_spec("champ_dataset")
    path = Path(spec.submodule_search_locations[0]) / "dataset_files" / "v0.json"
    for name, row in json.loads(path.read_text())["problems"].items():
        steps = len(row["solution"]["steps"])
        yield Problem(id=name, statement=row["_text"], difficulty=steps, source="CHAMP", licence="MIT")


def _problem(row: dict, label: float, source: str) -> Problem:
    return Problem(id=row["id"], statement=row["problem"], difficulty=label, source=source, licence=row["licence"])


def completion(number: int, text: str, finish: str = "stop", group: int | None = None) -> Completion:
    place = str(number if group is None else group)
    return parse_completion(id=str(number), prompt_id=place, text=text, finish_reason=finish, tokens=1, seed=0)


def verdicts(judge: Judge, texts: Sequence[tuple[str, str]]) -> list[Verdict]:
    asked = [
        Prompt(id=str(i), task="problem", messages=(Message(role="user", content="?"),)) for i in range(len(texts))
    ]
    return judge.judge([completion(i, text, finish) for i, (text, finish) in enumerate(texts)], asked)


def new_judge(
    model: DifficultyModel, history: Sequence[str] = (), known: Sequence[str] = (), size: int = 1000
) -> Judge:
    seen, index = History(size), Index()
    seen.add(history)
    index.add(known)
    return Judge(load_params({"rewards": RewardParams})["rewards"], model, seen, index)


def area(real: Sequence[float], fake: Sequence[float]) -> float:
    """Area under the curve: how often a real one is above a fake one, ties half."""
    values = np.concatenate([real, fake])
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[: len(real)].sum() - len(real) * (len(real) + 1) / 2) / (len(real) * len(fake)))


def interval(statistic: Callable[[np.ndarray], float], size: int, times: int = 500) -> tuple[float, float]:
    """Bootstrap, 95 %."""
    draw = np.random.default_rng(0)
    values = [statistic(draw.integers(0, size, size)) for _ in range(times)]
    return float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))


def separation(reference: Reference, model: DifficultyModel) -> None:
    print("\n## Real and fake")
    judge = new_judge(model, history=[row["problem"] for row in reference.gsm8k[:100]], size=100)
    real_totals, real_seed = [], []
    history = [row["problem"] for row in reference.gsm8k[:100]]
    for source, own in reference.sources.items():
        told = verdicts(judge, [(row["problem"], "stop") for row in own if row["problem"] not in history])
        real_totals += [verdict.total for verdict in told]
        reasons = Counter(reason for verdict in told for reason in verdict.reasons)
        print(
            f"  real  {source:32s} {len(told):5d}  pass {np.mean([v.passed for v in told]):.4f}  {dict(reasons.most_common(4))}"
        )
    print(
        f"  real  all                              {len(real_totals):5d}  pass {np.mean(np.array(real_totals) > 0):.4f}"
    )
    made = fakes.make(reference.reals(150))
    told = verdicts(judge, [(text, finish) for _, text, finish in made])
    families = defaultdict(list)
    for (family, _, _), verdict in zip(made, told, strict=True):
        families[family].append(verdict)
    for family, own in families.items():
        print(f"  fake  {family:32s} {len(own):5d}  refused {np.mean([not v.passed for v in own]):.4f}")
    chat = verdicts(judge, [(text, "stop") for text in reference.chat])
    print(
        f"  chat  OASST1 and self-instruct         {len(chat):5d}  refused {np.mean([not v.passed for v in chat]):.4f}"
    )
    fake_totals = [verdict.total for verdict in told]
    print(
        f"  fake  all made                         {len(told):5d}  refused {np.mean([not v.passed for v in told]):.4f}"
    )
    sample = random.Random(0).sample(range(len(made)), 300)
    reals = [real.statement for real in reference.reals(300, seed=1)]
    real_seed = [seed_formula.total(text, history[:30], reals[:7]) for text in reals]
    fake_seed = [seed_formula.total(made[i][1] or " x", history[:30], reals[:7]) for i in sample]
    print(
        f"  area under the curve of the total: ours {area(real_totals, fake_totals):.4f}, the seed's {area(real_seed, fake_seed):.4f}"
    )


def within_sources(reference: Reference) -> None:
    print("\n## Difficulty within a source: rank correlation, cross-validated, 95 % interval")
    for name, problems, target in (("GSM8K steps", reference.steps, 0.43), ("CHAMP steps", reference.champ, 0.23)):
        quality = difficulty.fit(problems).quality
        labels = np.array([problem.difficulty for problem in problems])
        seed = np.array([seed_formula.difficulty(problem.statement) for problem in problems])
        low, high = interval(lambda rows_, s=seed, y=labels: rank_correlation(s[rows_], y[rows_]), len(labels))
        print(
            f"  {name}: ours {quality['rank_correlation']:.3f} [{quality['low']:.3f}, {quality['high']:.3f}] (target {target}), "
            f"length {quality['length_alone']:.3f}, the seed's {rank_correlation(seed, labels):.3f} [{low:.3f}, {high:.3f}]"
        )
    olym = reference.sources["OlymMATH-EN"]
    hard = [row["problem"] for row in olym if row["level"] == "hard"]
    easy = [row["problem"] for row in olym if row["level"] == "easy"]
    for name, problems in (("GSM8K", reference.steps), ("CHAMP", reference.champ)):
        model = difficulty.fit(problems)
        value = area([model.score(text) for text in hard], [model.score(text) for text in easy])
        print(
            f"  OlymMATH hard above easy (area), model of {name}: {value:.3f}; length {area(list(map(len, hard)), list(map(len, easy))):.3f}"
        )


def padding(reference: Reference, model: DifficultyModel) -> None:
    print("\n## Padding: 300 real problems, change of difficulty (targets 0.05) and total (0.02)")
    draw = random.Random(0)
    pool = [row["problem"] for source, own in reference.sources.items() if source != "CHAMP" for row in own]
    draw.shuffle(pool)
    judge = new_judge(model, history=pool[300:400], known=[p.statement for p in reference.champ], size=100)
    base = verdicts(judge, [(text, "stop") for text in pool[:300]])
    worst_difficulty, worst_total, count = [], [], 0
    for name, pad in PADDINGS.items():
        told = verdicts(judge, [(pad(text), "stop") for text in pool[:300]])
        pairs = [(a, b) for a, b in zip(base, told, strict=True) if a.passed]
        harder = np.array([b.rewards["difficulty"] - a.rewards["difficulty"] for a, b in pairs])
        richer = np.array([b.total - a.total for a, b in pairs])
        worst_difficulty += harder.tolist()
        worst_total += richer.tolist()
        count += len(pairs)
        print(
            f"  {name:26s} passes {np.mean([b.passed for _, b in pairs]):.2f}  difficulty 99% {np.quantile(harder, 0.99):+.3f} max {harder.max():+.3f}"
            f"  total 99% {np.quantile(richer, 0.99):+.3f} max {richer.max():+.3f}"
        )
    print(
        f"  all {count}: difficulty above 0.05 in {np.mean(np.array(worst_difficulty) > 0.05):.4f}, total above 0.02 in {np.mean(np.array(worst_total) > 0.02):.4f}"
    )


def changed(statement: str, kind: str, draw: random.Random) -> str:
    """A near duplicate of the statement."""
    if kind == "numbers":
        return re.sub(
            r"(?<![\^_\d.])\d+",
            lambda m: str(int(m.group()) + draw.randint(1, 9)) if len(m.group()) < 9 else m.group(),
            statement,
        )
    if kind == "variables":
        names = dict(zip("abcmnpqrstuvwxyz", draw.sample("abcmnpqrstuvwxyz", 16), strict=True))
        names["a"] = "a"
        return re.sub(r"(?<![\\A-Za-z'])[b-z](?![A-Za-z'])", lambda m: names.get(m.group(), m.group()), statement)
    if kind == "sentences":
        parts = re.split(r"(?<=[.?!])\s+", statement)
        draw.shuffle(parts)
        return " ".join(parts)
    for word, other in SYNONYMS.items():
        statement = re.sub(rf"\b{word}\b", other, statement, flags=re.IGNORECASE)
    return statement


def near_duplicates(reference: Reference) -> None:
    print("\n## Near duplicates against unrelated problems: area under the curve (target 0.97)")
    texts = [real.statement for real in reference.reals(600, seed=2)]
    index = Index()
    index.add(texts[:300])
    unrelated = index.nearest(texts[300:])[0]
    draw, everything = random.Random(0), []
    for kind in ("numbers", "variables", "sentences", "synonyms"):
        found = index.nearest([changed(text, kind, draw) for text in texts[:300]])[0]
        everything += found.tolist()
        print(
            f"  {kind:10s} {area(found, unrelated):.4f}  (above 0.85: {np.mean(found > 0.85):.3f}; unrelated {np.mean(unrelated > 0.85):.3f})"
        )
    print(f"  all        {area(everything, unrelated):.4f}")


def peak() -> float:
    """GiB of this process at its largest."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def speed(reference: Reference, model: DifficultyModel) -> None:
    print("\n## Speed: 64 problems against 1,000, one run")
    pool = [real.statement for real in reference.reals(1064, seed=3)]
    queries, history = pool[:64], pool[64:]
    start = time.perf_counter()
    for text in queries:
        seed_formula.novelty(text, history)
    seed = time.perf_counter() - start
    judge = new_judge(model, history=history)
    asked = [Prompt(id=str(i), task="problem", messages=(Message(role="user", content="?"),)) for i in range(8)]
    made = [completion(i, text, group=i // 8) for i, text in enumerate(queries)]
    judge.judge([completion(0, "Find $x$ if $x^2=\\frac{1}{4}$.", group=0)], asked)  # loads the parser
    novelty = _timed(lambda: judge.history.nearest(queries))
    whole = _timed(lambda: judge.judge(made, asked))
    print(
        f"  the seed's novelty {seed:.3f} s; ours {novelty:.4f} s (1/{seed / novelty:.0f}, target 1/50); whole verdict {whole:.3f} s (1/{seed / whole:.1f}, target 1/10)"
    )
    before = peak()
    index = Index()
    kinds = [features(text) for text in pool]
    draw = np.random.default_rng(0)
    times = [_timed(lambda: index.add_features(_varied(kinds, draw, 50_000))) for _ in range(20)]
    took = _timed(lambda: index.nearest(queries))
    print(
        f"  64 against 1,000,000: {took:.2f} s (target 2), peak {peak():.2f} GiB (before {before:.2f}, target 4); adding 50,000: first {times[0]:.2f} s, last {times[-1]:.2f} s"
    )


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _varied(kinds: Sequence[Features], draw: np.random.Generator, count: int) -> Iterator[tuple[Features, None]]:
    """Features of as many different made-up statements: those of a real one, with a few exchanged."""
    for number in range(count):
        row = kinds[number % len(kinds)]
        hashes = row.hashes.copy()
        hashes[draw.integers(0, len(hashes), max(1, len(hashes) // 3))] = draw.integers(
            0, 2**32, max(1, len(hashes) // 3)
        )
        hashes.sort()
        yield Features(hashes, row.weights.copy()), None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", choices=["separation", "difficulty", "padding", "duplicates", "speed"])
    options = parser.parse_args()
    if not options.data.exists():
        parser.error(f"{options.data}: no such folder; --data names the reference corpora")
    reference = Reference(options.data)
    model = difficulty.fit(reference.champ)
    parts = {
        "separation": lambda: separation(reference, model),
        "difficulty": lambda: within_sources(reference),
        "padding": lambda: padding(reference, model),
        "duplicates": lambda: near_duplicates(reference),
        "speed": lambda: speed(reference, model),
    }
    for name, part in parts.items():
        if options.only in (None, name):
            part()


if __name__ == "__main__":
    main()
