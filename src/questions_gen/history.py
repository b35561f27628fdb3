"""The last problems that were seen, and how near a new one is to them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from questions_gen.problem import Features, Index, features


class Neighbour(NamedTuple):
    similarity: float
    """Cosine in [0, 1]; 0 when the history is empty."""
    statement: str | None


class History:
    """Keeps the last `size` statements. Adding costs the same however many there have been."""

    def __init__(self, size: int):
        if size < 1:
            raise ValueError(f"size: a history keeps at least one problem, not {size}")
        self.size = size
        self._index = Index()

    def __len__(self) -> int:
        return min(self.size, len(self._index))

    @property
    def statements(self) -> list[str]:
        """Oldest first."""
        return [str(self._index.statement(place)) for place in range(self._start, len(self._index))]

    @property
    def _start(self) -> int:
        return max(0, len(self._index) - self.size)

    def add(self, statements: Iterable[str]) -> None:
        self._index.add(list(statements)[-self.size :])
        if len(self._index) > 2 * self.size:  # forget in batches: each statement is moved once at most
            self._index = self._index.tail(self.size)

    def nearest(self, statements: Sequence[str]) -> list[Neighbour]:
        """The nearest of the kept statements for each given one."""
        return self.nearest_features([features(statement) for statement in statements])

    def nearest_features(self, queries: Sequence[Features]) -> list[Neighbour]:
        similarities, positions = self._index.nearest_features(queries, start=self._start)
        pairs = zip(similarities.tolist(), positions.tolist(), strict=True)
        return [Neighbour(value, self._index.statement(place) if place >= 0 else None) for value, place in pairs]

    def rows(self) -> list[dict]:
        """What `from_rows` reads back, for a JSON lines file."""
        return [{"statement": statement} for statement in self.statements]

    @classmethod
    def from_rows(cls, size: int, rows: Iterable[dict]) -> "History":
        """Raises KeyError for a row without a statement."""
        history = cls(size)
        history.add(row["statement"] for row in rows)
        return history
