"""A stage in a process of its own, without the seconds that importing torch and TRL takes each time.

The processes are forked from one that has imported the libraries, and nothing of ours. So they share Python's hash
seed, which two runs of a stage don't: what has to hold for those is tested with plain processes too.
"""

import multiprocessing
import os
import runpy
import sys
from pathlib import Path

LIBRARIES = [
    "bitsandbytes", "datasets", "peft", "torch", "trl.trainer.dpo_trainer", "trl.trainer.grpo_trainer",
    "trl.trainer.sft_trainer",
]  # fmt: skip

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(LIBRARIES)


class Forked:
    """`python -m stages NAME` in the current folder; the part of subprocess.Popen that the tests use."""

    def __init__(self, stage: str):
        self.output = Path(f"{stage}.output")
        self.process = context.Process(target=_run, args=(stage, os.getcwd(), str(self.output.absolute())))
        self.process.start()

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        self.process.join(timeout)
        return self.process.exitcode

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def finish(self) -> str:
        """What it printed, once it has ended well."""
        code = self.wait()
        text = self.output.read_text()
        assert code == 0, text
        return text


def _run(stage: str, folder: str, output: str) -> None:
    os.chdir(folder)
    target = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(target, stream)
    sys.path[:0] = [folder, f"{folder}/src"]
    sys.argv = ["stages", stage]
    runpy.run_module("stages", run_name="__main__", alter_sys=True)
