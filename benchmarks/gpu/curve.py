"""The reward curve and the evaluation of a run of sft and grpo: one JSON file, and a page's tables and chart.

python -m benchmarks.gpu.curve run.json          # in the folder of the checkout that ran, writes the file
python -m benchmarks.gpu.curve run.json --show   # the tables of the file, anywhere; the chart goes to run.svg
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import gain
from benchmarks.gpu.table import markdown
from questions_gen import files
from questions_gen.params import load_yaml
from questions_gen.report.comparison import Row, to_markdown
from questions_gen.report.drawing import lines

STRETCHES = 10
"""Rows of the curve's table."""
POINT = 5
"""Steps whose mean is a point of the chart."""
PAIRS = (("base", "sft"), ("sft", "grpo"))
STEP_KEYS = ("step", "reward", "gate", "difficulty", "novelty", "rigor", "diversity", "length", "cut_off", "grad_norm")
PARAMS = ("seed", "model", "lora", "sft", "grpo", "evaluate")
EDGE = 8
"""Of the chart, as a picture by itself: labels stand out of the drawing a little."""
STYLE = Path("src/questions_gen/report/page.css")


def collect(machine: Mapping[str, Any]) -> dict[str, Any]:
    """What the stages of the checkout in the current folder logged and judged."""
    params = load_yaml(Path("params.yaml"))
    logs = {name: files.read_json(Path("logs") / f"{name}.json") for name in ("sft", "grpo")}
    return {
        "machine": machine,
        "params": {name: params[name] for name in PARAMS},
        "sft": {**logs["sft"]["metrics"], "losses": [row["loss"] for row in logs["sft"]["steps"]]},
        "grpo": {
            "metrics": logs["grpo"]["metrics"],
            "steps": [{name: row.get(name) for name in STEP_KEYS} for row in logs["grpo"]["steps"]],
        },
        "evaluation": [asdict(row) for pair in PAIRS for row in compared(*pair)],
    }


def compared(before: str, after: str) -> list[Row]:
    """Each measure of two models on the same held-out prompts, with its interval (docs/evaluation.md)."""
    folder = Path("data/evaluation")
    return gain.gains(f"{before} → {after}", gain.read([folder / before]), gain.read([folder / after]))


def render(run: Mapping[str, Any]) -> str:
    rows = [Row(**row) for row in run["evaluation"]]
    return f"{curve(run['grpo']['steps'])}\n\n{to_markdown(rows, ('the left model', 'the right one'))}"


def curve(steps: Sequence[Mapping[str, float]]) -> str:
    """Means of the policy steps, in ten stretches."""
    rows = []
    for stretch in stretches(steps, STRETCHES):
        means = [fmean(row[name] for row in stretch) for name in ("reward", "gate", "length", "cut_off")]
        rows.append([f"{stretch[0]['step']}-{stretch[-1]['step']}", *(f"{value:.2f}" for value in means)])
    return markdown(["steps", "reward", "gate", "tokens", "cut off"], rows)


def chart(run: Mapping[str, Any]) -> str:
    """Reward, gate and parts over the policy steps, as an SVG by itself."""
    steps = run["grpo"]["steps"]
    parts = stretches(steps, max(1, len(steps) // POINT))
    series = {
        name: [(part[-1]["step"], _mean([row[name] for row in part])) for part in parts]
        for name in ("reward", "gate", "difficulty", "novelty", "rigor", "diversity")
    }
    drawn = lines("Reward, gate and parts of the reward by policy step", series, x_label="policy step")
    opened, rest = drawn.split(">", 1)
    _, _, width, height = re.search(r'viewBox="([^"]*)"', opened)[1].split()
    around = f"{-EDGE} {-EDGE} {float(width) + 2 * EDGE:g} {float(height) + 2 * EDGE:g}"
    named = re.sub(r'<svg viewBox="[^"]*"', f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{around}"', opened)
    return f"{named}><style>{STYLE.read_text(encoding='utf-8')}</style>{rest}\n"


def stretches(steps: Sequence[Mapping[str, float]], count: int) -> list[Sequence[Mapping[str, float]]]:
    """The steps in `count` parts, the last with what is left over."""
    size = max(1, len(steps) // count)
    starts = [size * number for number in range(min(count, len(steps)))]
    return [steps[start:end] for start, end in zip(starts, [*starts[1:], len(steps)], strict=True)]


def _mean(values: Sequence[float | None]) -> float | None:
    """Of what was measured; a part of the reward isn't where nothing passed the gate."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


if __name__ == "__main__":
    place = Path(sys.argv[1])
    if "--show" in sys.argv:
        run = files.read_json(place)
        files.write_text(place.with_suffix(".svg"), chart(run))
        print(render(run), end="")
    else:
        from benchmarks.gpu_check import machine

        files.write_json(place, collect(machine()))
