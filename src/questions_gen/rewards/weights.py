"""Dynamic weights: a reward that no longer tells the completions of a group apart gives weight to the others.

    factorᵢ = clamp(spreadᵢ / enough, low, 1)        1 for a reward whose spread isn't known
    weightᵢ = clamp(baseᵢ · factorᵢ · Σ base / Σ (base · factor), low · baseᵢ, high · baseᵢ)

`spread` is the mean standard deviation inside groups, over the completions that pass the gate: a group-relative
advantage is made of nothing else. The rule and its bounds are ours; the seed only asks for dynamic rewards.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean, pstdev
from typing import Annotated

from pydantic import Field

from questions_gen.params import Count, Positive, Section
from questions_gen.schema import Verdict


class DynamicWeights(Section):
    window: Count
    """Steps looked back on."""
    enough: Positive
    """Spread inside a group from which on a reward keeps its full weight."""
    low: Annotated[float, Field(gt=0, le=1)]
    high: Annotated[float, Field(ge=1)]
    """A weight stays between low and high times its value in `rewards.weights`; with 1 and 1 it never moves."""


def spreads(groups: Sequence[Sequence[Verdict]], names: Sequence[str]) -> dict[str, float | None]:
    """Each reward's mean standard deviation inside `groups`; None where no group has two that pass and are judged."""
    found: dict[str, float | None] = {}
    for name in names:
        values = [[v.rewards[name] for v in group if v.passed and v.rewards.get(name) is not None] for group in groups]
        deviations = [pstdev(group) for group in values if len(group) >= 2]
        found[name] = fmean(deviations) if deviations else None
    return found


def adapted(base: Mapping[str, float], spread: Mapping[str, float | None], params: DynamicWeights) -> dict[str, float]:
    """The weights to use after rewards have spread like this.

    >>> params = DynamicWeights(window=4, enough=0.05, low=0.5, high=2.0)
    >>> adapted({"novelty": 0.5, "rigor": 0.5}, {"novelty": 0.2, "rigor": 0.0}, params)
    {'novelty': 0.6666666666666666, 'rigor': 0.3333333333333333}
    """
    factors = {
        name: 1.0 if spread.get(name) is None else max(params.low, min(1.0, spread[name] / params.enough))
        for name in base
    }
    shrunk = {name: base[name] * factors[name] for name in base}
    total = sum(shrunk.values())
    scale = sum(base.values()) / total if total else 1.0
    return {name: max(params.low * base[name], min(params.high * base[name], shrunk[name] * scale)) for name in base}
