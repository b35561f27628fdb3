"""What a policy samples while it trains: judged for TRL, kept with every verdict, and counted step by step.

All that a run must remember besides its adapter follows from the rollouts kept here: the history of problems and
the dynamic weights. An error in a reward stops the run, with the completions saved; it never becomes a score.
"""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from questions_gen import files
from questions_gen.answers import parse_completion
from questions_gen.history import History
from questions_gen.rewards.combine import NAMES, Judge
from questions_gen.rewards.weights import DynamicWeights, adapted, spreads
from questions_gen.schema import Completion, Prompt, Verdict
from questions_gen.training.generate import finish_reason
from questions_gen.training.processes import gathered, rank

BINS = 10
"""Of a histogram of [0, 1]; 1 itself falls into the last."""
NO_SPREAD = 1e-9
SAMPLES = 2
"""Completions of each group that the table of samples shows."""

Phase = Literal["policy", "coordinated"]
Row = dict[str, Any]
"""A rollout: {"step", "phase", "task", "kind", "completion", "verdict"}."""


class GroupReward:
    """The judge as TRL's reward function; it keeps every rollout with its verdict, and fills the history.

    Each of several processes judges the completions of all of them, since a group and the history span them.

    `base` are the weights of rewards.weights, `failed` is where the completions go that a reward broke on.
    """

    __name__ = "total"

    def __init__(
        self,
        judge: Judge,
        history: History,
        prompts: Sequence[Prompt],
        seed: int,
        *,
        base: Mapping[str, float],
        dynamic: DynamicWeights,
        failed: Path,
    ):
        self.judge, self.history, self.seed = judge, history, seed
        self.prompts = {prompt.id: prompt for prompt in prompts}
        self.base, self.dynamic, self.failed = dict(base), dynamic, failed
        self.first_step = 0
        """Policy steps of the rounds before this one."""
        self.ends: set[int] = set()
        """Ids of the tokens that end a completion of the model at work."""
        self.rollouts: list[Row] = []

    def __call__(
        self,
        completions: list[list[dict[str, str]]],
        completion_ids: list[list[int]],
        prompt_id: list[str],
        trainer_state: Any,
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float]:
        step = self.first_step + trainer_state.global_step + 1
        written = [
            (name, completion[0]["content"], finish_reason(tokens, self.ends), len(tokens))
            for name, completion, tokens in zip(prompt_id, completions, completion_ids, strict=True)
        ]
        parsed = [
            parse_completion(
                id=f"{name}/{i}", prompt_id=name, text=text, finish_reason=reason, tokens=tokens, seed=self.seed
            )
            for i, (name, text, reason, tokens) in enumerate(gathered(written))
        ]
        asked = [self.prompts[completion.prompt_id] for completion in parsed]
        weights = self.weights(step)
        rows = self.judged(step, parsed, asked, weights)
        self.keep(rows)
        for name, value in _flat(step_numbers(rows, weights)).items():
            log_metric(name, value)
        first = rank() * len(completions)
        return [row["verdict"]["total"] for row in rows[first : first + len(completions)]]

    def judged(
        self,
        step: int,
        completions: Sequence[Completion],
        prompts: Sequence[Prompt],
        weights: Mapping[str, float],
        phase: Phase = "policy",
    ) -> list[Row]:
        """The completions with their verdicts, as rows; those that a reward breaks on are saved first."""
        try:
            verdicts = self.judge.judge(completions, prompts, weights)
        except Exception as error:
            files.write_rows(self.failed, completions)
            error.add_note(f"a reward broke at step {step}; the completions it was given are in {self.failed}")
            raise
        return [
            {
                "step": step,
                "phase": phase,
                "task": prompt.task,
                "kind": prompt.kind,
                "completion": completion.model_dump(mode="json"),
                "verdict": verdict.model_dump(mode="json"),
            }
            for completion, prompt, verdict in zip(completions, prompts, verdicts, strict=True)
        ]

    def weights(self, step: int) -> dict[str, float]:
        """The weights of `step`: those of the params, moved by the spreads in the steps before it."""
        window = [row for row in self.policy_rows() if step - self.dynamic.window <= row["step"] < step]
        return adapted(self.base, spreads(_groups(window), list(self.base)), self.dynamic)

    def policy_rows(self) -> list[Row]:
        return [row for row in self.rollouts if row["phase"] == "policy"]

    def keep(self, rows: Sequence[Row]) -> None:
        """Remember rollouts; the problems among them become history."""
        self.history.add(row["completion"]["statement"] for row in rows if row["verdict"]["passed"])
        self.rollouts += rows

    def save(self, folder: Path) -> None:
        files.write_rows(folder / "rollouts.jsonl", self.rollouts)

    def load(self, folder: Path) -> None:
        """Take up the rollouts of a checkpoint, which begin with this one's; the history follows from them."""
        self.keep(files.read_rows(folder / "rollouts.jsonl")[len(self.rollouts) :])


def step_numbers(rows: Sequence[Row], weights: Mapping[str, float]) -> dict[str, Any]:
    """What happened in one step: means, spreads and histograms of the rewards, gate reasons, tasks, weights.

    A mean or spread of a reward that nothing was judged by is left out.
    """
    verdicts = [Verdict.model_validate(row["verdict"]) for row in rows]
    judged = {name: [v.rewards[name] for v in verdicts if v.rewards.get(name) is not None] for name in NAMES}
    groups = _groups(rows)
    spread = spreads(groups, NAMES)
    flat = sum(is_flat(group) for group in groups)
    return {
        "gate": fmean(v.passed for v in verdicts),
        **{name: fmean(values) for name, values in judged.items() if values},
        "spread": {name: value for name, value in spread.items() if value is not None},
        "histogram": {name: histogram(values) for name, values in judged.items()},
        "reasons": dict(sorted(Counter(reason for v in verdicts for reason in v.reasons).items())),
        "tasks": dict(sorted(Counter(row["task"] for row in rows).items())),
        "groups": len(groups),
        "groups_without_spread": flat,
        "weights": dict(weights),
    }


def is_flat(group: Sequence[Verdict]) -> bool:
    """Whether all totals of a group are equal: every advantage is then 0, and the group teaches nothing."""
    totals = [verdict.total for verdict in group]
    return max(totals) - min(totals) < NO_SPREAD


def histogram(values: Iterable[float]) -> list[int]:
    """Counts in ten equal bins of [0, 1].

    >>> histogram([0.0, 0.05, 0.5, 1.0])
    [2, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    """
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, int(value * BINS))] += 1
    return counts


def samples(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The first two completions of each group with their verdicts, as rows of a table."""
    shown: Counter[tuple[int, str]] = Counter()
    table = []
    for row in rows:
        completion, verdict = row["completion"], row["verdict"]
        group = (row["step"], completion["prompt_id"])
        shown[group] += 1
        if shown[group] > SAMPLES:
            continue
        table.append(
            {
                "step": row["step"],
                "task": row["task"],
                "kind": row["kind"] or "",
                "total": round(verdict["total"], 4),
                "reasons": " ".join(verdict["reasons"]),
                **{name: _short(verdict["rewards"].get(name)) for name in NAMES},
                "statement": completion["statement"],
                "answer": completion["answer"] or "",
            }
        )
    return table


def to_csv(table: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]) if table else [], quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def _short(value: float | None) -> float | str:
    return "" if value is None else round(value, 4)


def _groups(rows: Sequence[Row]) -> list[list[Verdict]]:
    """The verdicts of the rows, by the prompt that they share."""
    groups: dict[tuple[int, str], list[Verdict]] = {}
    for row in rows:
        key = (row["step"], row["completion"]["prompt_id"])
        groups.setdefault(key, []).append(Verdict.model_validate(row["verdict"]))
    return list(groups.values())


def _flat(numbers: Mapping[str, Any]) -> dict[str, float]:
    """The numbers that a curve can show: {"spread": {"rigor": 0.1}} → {"spread/rigor": 0.1}; no histograms."""
    shown: dict[str, float] = {}
    for name, value in numbers.items():
        if name == "histogram":
            continue
        shown |= {f"{name}/{key}": part for key, part in value.items()} if isinstance(value, Mapping) else {name: value}
    return shown
