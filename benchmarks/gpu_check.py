"""Does the real model fit on this card, and how fast is it? `make gpu-check`: one command, no network.

A base model of Qwen3-14B's shape with random weights and its rebuilt tokenizer is written to a folder (30 GB, and as
much for export; a RAM disk is fastest), and each case of benchmarks/gpu/cases.py runs on it in a process of its own:
sft, grpo and export by the pipeline's own code at the profile's settings, on every backend that is installed, and a
plain TRL script beside it. A case that fails or finds no time left says so in its place. Results: a JSON file,
rewritten after each case, and a table.

    python -m benchmarks.gpu_check --folder /dev/shm/gpu-check --out gpu-check.json
    python -m benchmarks.gpu_check --shape qwen3-tiny --folder /tmp/gpu-check --out gpu-check.json     # a CPU will do
"""

import argparse
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.cases import CASES, DEFAULT, matrix_rate, run_case
from benchmarks.gpu.model import SHAPES, matrix_parameters, write_base
from benchmarks.gpu.table import render
from questions_gen import files, launch
from questions_gen.stage import LaunchRun, is_main, library_versions
from questions_gen.training.processes import rank

LIMIT = 475
"""Seconds for all cases together: `make gpu-check` ends within 8 minutes."""
MATRIX = {"cuda": 8192, "cpu": 512}
"""Side of the product that the card's matrix rate is measured on."""

ERROR = re.compile(r"(\[rank\d+\]: )?[\w.]+(Error|Exception|Exit)\b: [^/]*$")
"""How Python ends a traceback; a line with a path in it is passed over."""

Runner = Callable[[str, str, Path, float], dict[str, Any]]
"""(case, shape, folder, seconds left) → its numbers, or {"error": …}."""


def check(
    shape: str, names: Sequence[str], folder: Path, out: Path, *, run: Runner | None = None, limit: float = LIMIT
) -> dict[str, Any]:
    """Run the cases and write their numbers to `out`; `run` is by default a process for each."""
    import torch

    run = run or in_a_process
    start = time.monotonic()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    results: dict[str, Any] = {"shape": shape, "matrix_parameters": matrix_parameters(shape), "machine": machine()}
    results["matrix_flops_per_second"] = matrix_rate(MATRIX[device])
    base = folder / "base"
    if not (base / "base.json").exists():
        shutil.rmtree(base, ignore_errors=True)
        before = time.monotonic()
        write_base(base, shape, device)
        results["write_base_seconds"] = time.monotonic() - before
    if device == "cuda":
        torch.cuda.empty_cache()
    results["cases"] = {}
    for name in names:
        left = limit - (time.monotonic() - start)
        results["cases"][name] = refused(name, left) or run(name, shape, folder, left)
        results["seconds"] = time.monotonic() - start
        files.write_json(out, results)
        print(name, json.dumps(results["cases"][name])[:300], flush=True)
    return results


def refused(name: str, left: float) -> dict[str, str] | None:
    """Why a case isn't run, if it isn't."""
    import torch

    if CASES[name].backend == "unsloth" and not (torch.cuda.is_available() and importlib.util.find_spec("unsloth")):
        return {"skipped": "unsloth needs a GPU, and to be installed"}
    if CASES[name].processes > max(1, torch.cuda.device_count()):
        return {"skipped": f"{CASES[name].processes} cards are needed"}
    return {"skipped": "no time was left"} if left < 20 else None


def in_this_process(name: str, shape: str, folder: Path, left: float) -> dict[str, Any]:
    work = folder / f"{name}-{rank()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        return run_case(CASES[name], shape, folder / "base", work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def in_a_process(name: str, shape: str, folder: Path, left: float) -> dict[str, Any]:
    """A case that fails or takes too long becomes an error in the results; the next one gets a clean card."""
    result, log = folder / f"{name}.json", folder / f"{name}.log"
    result.unlink(missing_ok=True)
    command = [sys.executable, *started(name), "-m", "benchmarks.gpu_check"]
    command += ["--shape", shape, "--folder", str(folder), "--case", name]
    environment = {**os.environ, **(launch.first_card(os.environ) if CASES[name].processes == 1 else {})}
    with log.open("w") as text:
        try:
            code = subprocess.run(
                command, stdout=text, stderr=subprocess.STDOUT, timeout=left, env=environment
            ).returncode
        except subprocess.TimeoutExpired:
            return {"error": f"stopped after {left:.0f} s: no time was left"}
    if result.exists():
        return files.read_json(result)
    return {"error": f"exit code {code}", "said": said(log.read_text(errors="replace"))}


def said(log: str) -> str:
    """The line of a process's output that names an error, the last one; what lies where on this machine is left out."""
    lines = [line.strip() for line in log.splitlines()]
    return next((line for line in reversed(lines) if ERROR.match(line)), "")


def started(name: str) -> list[str]:
    """What starts the processes of a case as `run.launch` would; nothing for one process."""
    case = CASES[name]
    if case.processes == 1:
        return []
    return ["-m", *launch.command(LaunchRun(processes=case.processes, hosts=1, address=None, engine=case.engine), 0)]


def machine() -> dict[str, Any]:
    """What a table must say of where it was measured; no host name and no path."""
    import torch

    named = {"python": platform.python_version(), "cores": os.cpu_count(), "versions": library_versions()}
    if not torch.cuda.is_available():
        return {**named, "card": None}
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return {
        **named,
        "card": torch.cuda.get_device_name(),
        "card_bytes": torch.cuda.get_device_properties(0).total_memory,
        "driver": subprocess.run(query, capture_output=True, text=True).stdout.split("\n")[0].strip(),
        "cuda": torch.version.cuda,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=list(SHAPES), default="qwen3-14b")
    parser.add_argument("--folder", type=Path, help="for the base model and what the cases write; default: temporary")
    parser.add_argument("--cases", default=",".join(DEFAULT), help=f"some of {', '.join(CASES)}")
    parser.add_argument("--out", type=Path, default=Path("gpu-check.json"))
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for all cases; default: %(default)s")
    parser.add_argument("--case", choices=list(CASES), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        numbers = in_this_process(asked.case, asked.shape, asked.folder, asked.limit)
        if is_main():
            files.write_json(asked.folder / f"{asked.case}.json", numbers)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print(render(check(asked.shape, asked.cases.split(","), folder, asked.out, limit=asked.limit)))


if __name__ == "__main__":
    main()
