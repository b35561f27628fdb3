"""The README in Chinese has what the English one has."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENGLISH, CHINESE = ((ROOT / name).read_text() for name in ("README.md", "README.zh-CN.md"))


def blocks(text: str) -> list[str]:
    return re.findall(r"(?ms)^```\w*\n(.*?)^```$", text)


def commands(text: str) -> list[str]:
    """The lines of the blocks that are typed, without their comments."""
    return [re.sub(r"\s+#.*", "", line) for block in blocks(text) for line in block.splitlines() if line[:2] == "$ "]


def numbers(text: str) -> list[str]:
    return sorted(re.findall(r"(?<![\w.-])\d+\.\d{3}(?![\w.])", text))


def test_both_have_the_same_parts() -> None:
    for pattern in (r"(?m)^#{1,4} ", r"(?m)^\|"):
        assert len(re.findall(pattern, ENGLISH)) == len(re.findall(pattern, CHINESE)) > 0
    assert len(blocks(ENGLISH)) == len(blocks(CHINESE)) > 0


def test_both_have_the_same_commands_numbers_and_links() -> None:
    assert commands(ENGLISH) == commands(CHINESE)
    assert numbers(ENGLISH) == numbers(CHINESE)
    linked = [sorted(re.findall(r"\]\((docs/[^)]+)\)", text)) for text in (ENGLISH, CHINESE)]
    assert linked[0] == linked[1]
    assert all((ROOT / path).exists() for path in linked[0])


def test_each_links_to_the_other_in_its_first_line() -> None:
    assert "(README.zh-CN.md)" in ENGLISH.splitlines()[0]
    assert "(README.md)" in CHINESE.splitlines()[0]


def test_the_table_of_results_is_the_committed_summary() -> None:
    models = json.loads((ROOT / "metrics/summary.json").read_text())["models"]
    rows = re.findall(r"(?m)^\|(?: [^|]+ \|)(?: \d+\.\d+ \|){4}$", ENGLISH)
    keys = {"validation_loss": 3, "gate_pass_rate": 3, "total": 3, "teacher_overall": 1}
    order = ("base", "sft", "grpo", "distill")
    found = [row.split("|")[2:-1] for row in rows]
    wanted = [[f" {models[name][key]:.{digits}f} " for name in order] for key, digits in keys.items()]
    assert found == wanted
