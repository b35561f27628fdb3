"""How far a problem stands from the rest of its group: 1 − the highest similarity to another member, in [0, 1].

The problem itself is left out (the seed's formula counted it, which made diversity a constant). None for a group
of one: there is nothing to compare.
"""

from collections.abc import Sequence

import numpy as np

from questions_gen.problem import Features, similarities


def diversity(group: Sequence[Features]) -> list[float | None]:
    """For each member of the group its distance to the nearest other one."""
    if len(group) < 2:
        return [None] * len(group)
    found = [similarities(member, group) for member in group]
    return [1.0 - float(max(np.delete(row, place))) for place, row in enumerate(found)]
