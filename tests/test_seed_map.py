"""docs/seed-map.md names files that there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/seed-map.md").read_text(encoding="utf-8")
MADE = ("data/", "logs/", "models/", "metrics/", "plots/", "report/index.html")
"""Outputs of the stages: not in a fresh checkout."""
NAMED = sorted({name for name in re.findall(r"`([\w./-]+)`", TEXT) if "/" in name or name.endswith((".py", ".yaml"))})


@pytest.mark.parametrize("name", [name for name in NAMED if not name.startswith(MADE)])
def test_a_named_file_is_there(name):
    assert (ROOT / name).exists() or (ROOT / "src/questions_gen" / name).exists()


def test_a_named_function_is_in_the_file_named_before_it():
    found = re.findall(r"`([\w./]+\.py)` \(((?:`[\w.]+`(?:, )?)+)\)", TEXT)
    assert found
    for path, names in found:
        file = next(p for p in (ROOT / path, ROOT / "src/questions_gen" / path) if p.exists())
        code = file.read_text(encoding="utf-8")
        for name in re.findall(r"(\w+)`", names):
            assert re.search(rf"^ *(class |(async )?def )?{name}\b", code, re.MULTILINE), (path, name)
