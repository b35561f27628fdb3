"""A JSON lines file of any size as a sequence of rows: only where each line starts is held."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from questions_gen import files
from questions_gen.errors import UserError


class Lines(Sequence[dict[str, Any]]):
    """Rows that are read and parsed when they are asked for; 16 bytes of memory a row. Pickles as a path and places.

    Raises UserError, from the row on, for a line that isn't a JSON object. Empty lines are no rows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with open(path, "rb") as handle:
                sizes = np.fromiter((len(line) if line.strip() else -len(line) for line in handle), dtype=np.int64)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        starts = np.concatenate([[0], np.cumsum(np.abs(sizes))[:-1]]) if len(sizes) else sizes
        self._starts, self.sizes = starts[sizes > 0], sizes[sizes > 0]

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, place: int) -> dict[str, Any]:
        with open(self.path, "rb") as handle:
            handle.seek(self._starts[place])
            line = handle.read(self.sizes[place])
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{self.path}, row {place + 1}: not valid JSON ({error})") from None
        if not isinstance(row, dict):
            raise UserError(f"{self.path}, row {place + 1}: expected an object, found {type(row).__name__}")
        return row

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return files.iterate_rows(self.path)
