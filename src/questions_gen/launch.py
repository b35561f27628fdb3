"""Several processes, perhaps on several hosts, for a stage that trains: started by torchrun or accelerate.

`python -m stages sft` starts itself once a process, with `run.launch` of params.yaml, and waits. DDP goes through
torchrun; sharded engines go through `accelerate launch` with their file in conf/launch. On several hosts the same
command is given on each, with NODE_RANK (or Slurm's SLURM_NODEID) saying which one it is: DVC runs on host 0.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from questions_gen.errors import UserError
from questions_gen.params import load_params
from questions_gen.stage import LaunchRun, RunParams, Stage

CONFIGS = Path("conf/launch")
"""A file of accelerate's for each engine but ddp."""
LAUNCHED = "QUESTIONS_GEN_LAUNCHED"
"""An environment variable of the processes that were started here."""
PATIENCE = 40.0
"""Seconds that a launcher has to end after a Ctrl-C, which it sees by itself in a terminal: torchrun gives its
processes 30, and a second signal would stop it from ending them."""


def is_worker() -> bool:
    """Whether this process is one of those that were started for a training."""
    return LAUNCHED in os.environ


def is_alone(stage: Stage) -> bool:
    """Whether the stage does its work in this process."""
    if is_worker() or not stage.parallel:
        return True
    launch = load_params({"run": RunParams})["run"].launch
    return launch.processes * launch.hosts == 1


def first_card(environment: Mapping[str, str]) -> dict[str, str]:
    """What a process by itself is to see of the cards: the first. Trainers spread a batch over all that they see."""
    return {"CUDA_VISIBLE_DEVICES": environment.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]}


def start(stage: Stage, arguments: Sequence[str]) -> None:
    """Run `python -m stages ARGUMENTS` in all processes of this host. Raises UserError when one of them fails."""
    launch = load_params({"run": RunParams})["run"].launch
    code = wait(
        subprocess.Popen(
            [sys.executable, "-m", *command(launch, node_rank(os.environ)), "-m", "stages", *arguments],
            env={**os.environ, LAUNCHED: "1"},
        )
    )
    if code:
        raise UserError(
            f"{stage.address}: a process of the {launch.processes * launch.hosts} that trained ended badly (torchrun's "
            f"code {code}), and with it the others; its own words stand above. `dvc repro` goes on from the "
            "last checkpoint"
        )


def wait(launcher: subprocess.Popen) -> int:
    """Its exit code. A stop is handed on to the launcher, which alone can end the processes: each has a session."""
    before = signal.signal(signal.SIGTERM, lambda *_: launcher.terminate())
    try:
        return launcher.wait()
    except KeyboardInterrupt:
        with suppress(subprocess.TimeoutExpired):
            launcher.wait(PATIENCE)
        if launcher.poll() is None:
            launcher.terminate()
            launcher.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def node_rank(environment: Mapping[str, str]) -> int:
    """Which host this is, from 0 on. Raises UserError for something that is no number."""
    said = environment.get("NODE_RANK") or environment.get("SLURM_NODEID") or "0"
    if not said.isdigit():
        raise UserError(f"NODE_RANK: must be the number of this host, from 0 on (found {said!r})")
    return int(said)


def command(launch: LaunchRun, host: int) -> list[str]:
    """The module that starts the processes, and its arguments.

    Raises UserError for a host that isn't one of `run.launch.hosts`.
    """
    if host >= launch.hosts:
        raise UserError(f"run.launch.hosts: {launch.hosts}, and this is host {host} (NODE_RANK); raise it")
    address, _, port = (launch.address or "").rpartition(":")
    if launch.engine == "ddp":
        where = [f"--node-rank={host}", f"--master-addr={address}", f"--master-port={port}"]
        place = where if address else ["--standalone"]
        return ["torch.distributed.run", f"--nnodes={launch.hosts}", f"--nproc-per-node={launch.processes}", *place]
    where = [f"--machine_rank={host}", f"--main_process_ip={address}", f"--main_process_port={port}"]
    return [
        "accelerate.commands.launch",
        f"--config_file={CONFIGS / launch.engine}.yaml",
        f"--num_machines={launch.hosts}",
        f"--num_processes={launch.processes * launch.hosts}",
        *(where if address else []),
    ]
