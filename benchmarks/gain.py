"""What a stage gained: the judged completions of two models on the same held-out prompts, paired by prompt.

    python -m benchmarks.gain data/evaluation/sft data/evaluation/grpo

For several seeds, name the folders of each after one another: before after before after … The interval is a
percentile bootstrap over prompts (Efron and Tibshirani 1993, chapter 13): completions of one prompt aren't
independent. With several seeds, a prompt of each seed counts as one.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from questions_gen import files
from questions_gen.rewards.combine import NAMES
from questions_gen.schema import Completion, Verdict

RESAMPLES = 10_000
MEASURES = ("total", "gate", *NAMES, "tokens")


def main(arguments: Sequence[str] | None = None) -> None:
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="BEFORE AFTER")
    folders = parser.parse_args(arguments).folders
    if len(folders) % 2:
        parser.error("name the folders in pairs: before after")
    pairs = list(zip(folders[::2], folders[1::2], strict=True))
    read = [(by_prompt(before), by_prompt(after)) for before, after in pairs]
    count = sum(len(values["gate"]) for _, after in read for values in after.values())
    table = Table(title=f"{count} completions, {len(pairs)} pair(s) of models", title_justify="left")
    for column in ("", "before", "after", "gain", "95 % interval"):
        table.add_column(column, justify="right" if column else "left")
    for name in MEASURES:
        before, after = paired_means(read, name)
        if len(before):
            gain, low, high = bootstrap(after - before)
            cells = (fmean(before), fmean(after), gain)
            table.add_row(name, *(f"{value:.3f}" for value in cells), f"[{low:+.3f}, {high:+.3f}]")
    Console(highlight=False, markup=False).print(table)


Measured = dict[str, dict[str, list[float]]]
"""Prompt id → measure → its values for the prompt's completions, where they were judged."""


def by_prompt(folder: Path) -> Measured:
    """Raises UserError where there is no evaluation."""
    completions = files.read_records(folder / "completions.jsonl", Completion)
    verdicts = files.read_records(folder / "verdicts.jsonl", Verdict)
    found: Measured = defaultdict(lambda: defaultdict(list))
    for completion, verdict in zip(completions, verdicts, strict=True):
        values = {"total": verdict.total, "gate": float(verdict.passed), "tokens": completion.tokens, **verdict.rewards}
        for name, value in values.items():
            if value is not None:
                found[completion.prompt_id][name].append(float(value))
    return found


def paired_means(read: Iterable[tuple[Measured, Measured]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """The mean of a measure for each prompt that both models were judged on: (before, after)."""
    pairs = [
        (fmean(before[prompt][name]), fmean(after[prompt][name]))
        for before, after in read
        for prompt in sorted(before.keys() & after.keys())
        if before[prompt].get(name) and after[prompt].get(name)
    ]
    both = np.array(pairs).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def bootstrap(differences: np.ndarray) -> tuple[float, float, float]:
    """Mean of the differences, and the ends of its 95 % interval."""
    draw = np.random.default_rng(0)
    means = draw.choice(differences, (RESAMPLES, len(differences))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(differences.mean()), float(low), float(high)


if __name__ == "__main__":
    main()
