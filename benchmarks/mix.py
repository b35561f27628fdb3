"""How long mix takes and how much memory, on rows in the two real schemas (docs/scale.md).

    python -m benchmarks.mix                                # 100,000, the real 119,252 and 1,000,000 rows
    python -m benchmarks.mix --rows 100000 --processes 1

Rows are 19,252 problems to 100,000 dialogues, as in the real data sets, and mixed as the profile says. Every run is a
process of its own. Memory is the sum of the resident sets of it and of its children, looked at every 100 ms: pages that
they share count twice.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.real_schemas import DIALOGUES, PROBLEMS, write_raw
from questions_gen import files
from questions_gen.params import load_params
from questions_gen.stage import Context, DataRun, NoTracker, RunParams
from stages import mix

GIB = 2**30


class Measured(NamedTuple):
    seconds: float
    cpu: float
    """Seconds of all processes."""
    peak: float
    """GiB."""


def measure(command: list[str]) -> Measured:
    """Run a command. Raises CalledProcessError where it fails."""
    before, start, peak = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), 0
    process = psutil.Popen(command)
    while process.poll() is None:
        peak = max(peak, resident(process))
        time.sleep(0.1)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(seconds, cpu, peak / GIB)


def resident(process: psutil.Process) -> int:
    """Bytes of a process and of its children."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def work(profile: Path, raw: Path, base: Path, mixed: Path, processes: int, memory: float) -> None:
    """The stage's work with the profile's values, its log beside its output."""
    params = load_params({**mix.STAGE.params, "run": RunParams}, profile)
    settings = params.pop("run").model_copy(update={"data": DataRun(processes=processes, memory=memory)})
    context = Context(run=settings, tracker=NoTracker(), checkpoints=mixed, home=mixed)
    log = mix.work(context, **params, raw=raw, base=base, mixed=mixed)
    files.write_json(mixed.parent / "log.json", log.metrics)


def shape(rows: int) -> tuple[int, int]:
    """(problems, dialogues) of that many rows."""
    problems = round(rows * PROBLEMS / (PROBLEMS + DIALOGUES))
    return problems, rows - problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, PROBLEMS + DIALOGUES, 1_000_000])
    parser.add_argument("--profile", type=Path, default=Path("conf/qwen3-14b.yaml"))
    parser.add_argument("--base", type=Path, default=Path("models/base"), help="a base model, for its tokenizer")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--memory", type=float, default=3.0, help="GiB")
    parser.add_argument("--folder", type=Path, help="where the rows go: some 3 GB a million")
    parser.add_argument("--work", type=Path, nargs=2, metavar=("RAW", "MIXED"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.profile, asked.work[0], asked.base, asked.work[1], asked.processes, asked.memory)
        return
    print("| rows | problems | mixed | kept | seconds | CPU seconds | peak GiB | allowed GiB |\n" + "|---" * 8 + "|")
    for rows in asked.rows:
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            raw, mixed = write_raw(Path(folder, "raw"), *shape(rows)), Path(folder, "mixed")
            options = ["--profile", asked.profile, "--base", asked.base, "--processes", asked.processes]
            options += ["--memory", asked.memory, "--work", raw, mixed]
            taken = measure([sys.executable, "-m", "benchmarks.mix", *map(str, options)])
            log = files.read_json(Path(folder, "log.json"))
            kept = log["rows"]["train"] + log["rows"]["validation"]
            print(
                f"| {rows:,} | {shape(rows)[0]:,} | {log['rows']['mixed']:,} | {kept:,} | {taken.seconds:.1f} | "
                f"{taken.cpu:.1f} | {taken.peak:.2f} | {asked.memory:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
