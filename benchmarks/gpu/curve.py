"""The reward curve and the evaluation of a run of sft and grpo, as one JSON file and as a page's tables.

python -m benchmarks.gpu.curve run.json          # in the folder of the checkout that ran, writes the file
python -m benchmarks.gpu.curve run.json --show   # the tables of the file, anywhere
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import gain
from benchmarks.gpu.table import markdown
from questions_gen import files
from questions_gen.params import load_yaml

STRETCHES = 10
"""Rows of the curve's table."""
MODELS = ("base", "sft", "grpo")
MEASURES = ("total", "gate", "difficulty", "novelty", "rigor", "diversity", "tokens")


def collect(machine: Mapping[str, Any]) -> dict[str, Any]:
    """What the stages of the checkout in the current folder logged and judged."""
    params = load_yaml(Path("params.yaml"))
    logs = {name: files.read_json(Path("logs") / f"{name}.json") for name in ("sft", "grpo")}
    folders = {name: Path("data/evaluation") / name for name in MODELS}
    judged = {name: gain.by_prompt(folder) for name, folder in folders.items()}
    gains = {}
    for before, after in (("base", "sft"), ("sft", "grpo")):
        for measure in MEASURES:
            first, second = gain.paired_means([(judged[before], judged[after])], measure)
            if len(first):
                means = [fmean(first), fmean(second)]
                gains[f"{before} to {after}/{measure}"] = [*means, *gain.bootstrap(second - first)]
    return {
        "machine": machine,
        "params": {name: params[name] for name in ("seed", "model", "lora", "sft", "grpo", "evaluate")},
        "sft": {**logs["sft"]["metrics"], "losses": [row["loss"] for row in logs["sft"]["steps"]]},
        "grpo": {
            "metrics": logs["grpo"]["metrics"],
            "steps": [
                {name: row[name] for name in ("step", "reward", "gate", "length", "cut_off", "grad_norm")}
                for row in logs["grpo"]["steps"]
            ],
        },
        "evaluation": {name: files.read_json(Path("logs/evaluate") / f"{name}.json")["metrics"] for name in MODELS},
        "gains": gains,
    }


def render(run: Mapping[str, Any]) -> str:
    return "\n\n".join([curve(run["grpo"]["steps"]), evaluation(run["gains"])]) + "\n"


def curve(steps: Sequence[Mapping[str, float]]) -> str:
    """Means of the policy steps, in ten stretches."""
    size = max(1, len(steps) // STRETCHES)
    rows = []
    for start in range(0, len(steps), size):
        stretch = steps[start : start + size]
        means = [fmean(row[name] for row in stretch) for name in ("reward", "gate", "length", "cut_off")]
        rows.append([f"{stretch[0]['step']}-{stretch[-1]['step']}", *(f"{value:.2f}" for value in means)])
    return markdown(["steps", "reward", "gate", "tokens", "cut off"], rows)


def evaluation(gains: Mapping[str, Sequence[float]]) -> str:
    """Each measure of the same held-out prompts before and after, with a bootstrap interval of the difference."""
    rows = []
    for name, (before, after, difference, low, high) in gains.items():
        models, measure = name.split("/")
        rows.append([models, measure, f"{before:.3f}", f"{after:.3f}", f"{difference:+.3f} [{low:+.3f}, {high:+.3f}]"])
    return markdown(["models", "", "before", "after", "gain, 95 % interval"], rows)


if __name__ == "__main__":
    if "--show" in sys.argv:
        print(render(files.read_json(Path(sys.argv[1]))), end="")
    else:
        from benchmarks.gpu_check import machine

        files.write_json(Path(sys.argv[1]), collect(machine()))
