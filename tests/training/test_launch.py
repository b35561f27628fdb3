"""Training in several processes: the same as in one, and a clear end when one of them dies.

Two processes over gloo on the CPU, started by the stage itself through `run.launch`. What is sampled differs with the
number of processes, since each draws from a stream of its own; so for the comparison of grpo the launcher of the copied
checkout is given completions to sample, by their place in the batch. All else is real: the rewards, the trainers, the
processes.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from safetensors.numpy import load_file

from questions_gen import files, launch
from questions_gen import stage as stage_module
from questions_gen.errors import UserError
from questions_gen.params import load_params, load_yaml
from questions_gen.stage import LaunchRun, RunParams
from questions_gen.training.backend import ModelParams, runtime_arguments
from questions_gen.training.processes import fully_sharded, in_order, share_of_batch
from stages import __main__ as entry
from stages.__main__ import find_stage

from ..conftest import ROOT, take_ctrl_c
from ..forked import Forked

TOLERANCE = 1e-4
"""Norm of the difference between the adapters of one process and of two, as a share of the norm of what was learned."""

TEXTS = [
    "Find all primes $p$ such that $p^2 + 2$ is prime.\nAnswer: \\boxed{3}",
    "no problem at all",
    "How many positive divisors does $10!$ have?\nAnswer: \\boxed{270}",
    "Determine the greatest integer $k$ such that $3^k$ divides $100!$.\nAnswer: \\boxed{48}",
    "why",
    "Compute the sum of the digits of $11^4$.\nAnswer: \\boxed{16}",
]

SAMPLER = '''
import os

import torch
from transformers import GenerationMixin

TEXTS = {texts!r}


def generate(self, input_ids=None, max_new_tokens=None, generation_config=None, **_):
    """The completion that the row's place in the batch of all processes has."""
    most = max_new_tokens or generation_config.max_new_tokens
    place = int(os.environ.get("RANK", "0")) * len(input_ids) if max_new_tokens is None else 0
    rows = []
    for number, prompt in enumerate(input_ids.tolist()):
        text = TEXTS[(place + number + sum(prompt)) % len(TEXTS)]
        tokens = [CODES[character] for character in text][: most - 1] + [END]
        rows.append(tokens + [PAD] * (most - len(tokens)))
    return torch.cat([input_ids, torch.tensor(rows)], dim=1)


def read_codes():
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained("models/base")
    codes = {{character: tokenizer.encode(character)[0] for text in TEXTS for character in text}}
    return codes, tokenizer.eos_token_id, tokenizer.pad_token_id


CODES, END, PAD = read_codes()
GenerationMixin.generate = generate
'''


def in_processes(count: int) -> None:
    params = load_yaml(Path("params.yaml"))
    params["run"]["launch"]["processes"] = count
    params["model"]["gradient_checkpointing"] = count > 1  # changes nothing of what is learned
    params["grpo"] |= {"rounds": 1, "steps": 3, "checkpoint_steps": 1, "learning_rate": 1e-3}
    params["grpo"]["sampling"]["max_new_tokens"] = 100
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def start(stage: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "stages", stage],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def finish(stage: str) -> str:
    process = start(stage)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    return output


def workers(process: subprocess.Popen) -> Iterator[tuple[int, psutil.Process]]:
    """The rank and the process of each worker that was started so far."""
    for child in psutil.Process(process.pid).children(recursive=True):
        rank = child.environ().get("RANK")
        if rank is not None:
            yield int(rank), child


def distance(one: Path, two: Path, begin: Path | None) -> float:
    """‖one − two‖ / ‖one − begin‖ over all weights; `begin` None stands for 0."""
    first, second = load_file(one), load_file(two)
    origin = load_file(begin) if begin else {name: 0 * weights for name, weights in first.items()}
    apart = sum(float(((first[name] - second[name]) ** 2).sum()) for name in first)
    learned = sum(float(((first[name] - origin[name]) ** 2).sum()) for name in first)
    return (apart / learned) ** 0.5


def test_two_processes_train_what_one_does_and_go_on_after_one_was_killed(workspace: Path) -> None:
    Path("sampler.py").write_text(SAMPLER.format(texts=TEXTS))
    launcher = (ROOT / "stages/__main__.py").read_text()
    Path("stages/__main__.py").write_text(launcher.replace("import importlib\n", "import importlib\nimport sampler\n"))

    in_processes(1)
    Forked("sft").finish()
    Forked("grpo").finish()
    assert any(row["reward_std"] > 0 for row in files.read_json(Path("logs/grpo.json"))["steps"])
    for stage in ("sft", "grpo"):
        Path("models", stage).rename(f"{stage}-of-one")
    shutil.rmtree(".checkpoints")

    in_processes(2)
    killed_and_resumed("sft")
    adapter = Path("models/sft/adapter_model.safetensors")
    assert 0 < distance(Path("sft-of-one", adapter.name), adapter, None) < TOLERANCE
    Path("models/sft").rename("sft-of-two")
    Path("sft-of-one").rename("models/sft")  # so that both grpo start at the same place

    killed_and_resumed("grpo")
    learned = Path("models/grpo/adapter_model.safetensors")
    begin = Path("models/sft/adapter_model.safetensors")
    assert distance(Path("grpo-of-one", learned.name), learned, begin) < TOLERANCE
    assert len(Path("data/history/rollouts.jsonl").read_text().splitlines()) >= 12, "of both processes"


def killed_and_resumed(stage: str) -> None:
    """Rank 1 dies soon after the first checkpoint; a second run of the stage goes on from there."""
    process = start(stage)
    while not list(Path(f".checkpoints/{stage}").rglob("checkpoint-*/complete.json")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)
    time.sleep(random.uniform(0, 0.1))
    next(worker for rank, worker in workers(process) if rank == 1).kill()
    output = process.communicate()[0]
    assert process.returncode != 0
    assert f"error: {stage}: a process of the 2 that trained ended badly" in output
    assert not Path("models", stage).exists()
    finish(stage)


def test_an_update_takes_the_same_rows_in_any_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    for processes, batch_size, expected in (
        (1, 4, (4, 2)),
        (2, 4, (4, 1)),
        (4, 4, (2, 1)),
        (8, 4, (1, 1)),
        (2, 3, (2, 2)),
    ):
        monkeypatch.setenv("WORLD_SIZE", str(processes))
        assert share_of_batch(8, batch_size, "rows") == expected
    for processes in (3, 16):
        monkeypatch.setenv("WORLD_SIZE", str(processes))
        with pytest.raises(
            UserError, match=rf"run.launch.processes: {processes} processes .* 8 rows an update \(rows\)"
        ):
            share_of_batch(8, 4, "rows")


def test_every_pass_over_the_rows_is_shuffled_anew() -> None:
    order = in_order(range(5), 12, seed=3)
    assert sorted(order[:5]) == sorted(order[5:10]) == list(range(5))
    assert order[:5] != order[5:10]
    assert order == in_order(range(5), 12, seed=3) != in_order(range(5), 12, seed=4)


def run_params(**values: object) -> LaunchRun:
    return LaunchRun.model_validate({"processes": 2, "hosts": 1, "address": None, "engine": "ddp", **values})


def test_one_host_needs_no_address_and_several_say_which_they_are() -> None:
    assert launch.command(run_params(), 0) == [
        "torch.distributed.run", "--nnodes=1", "--nproc-per-node=2", "--standalone",
    ]  # fmt: skip
    several = run_params(hosts=3, address="10.0.0.1:29500")
    assert launch.command(several, 2)[1:] == [
        "--nnodes=3", "--nproc-per-node=2", "--node-rank=2", "--master-addr=10.0.0.1", "--master-port=29500",
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"run.launch.hosts: 3, and this is host 3"):
        launch.command(several, 3)
    with pytest.raises(ValueError, match="address must be host:port"):
        run_params(hosts=2)
    assert launch.node_rank({}) == 0
    assert launch.node_rank({"SLURM_NODEID": "1"}) == 1
    with pytest.raises(UserError, match="NODE_RANK"):
        launch.node_rank({"NODE_RANK": "first"})


def test_a_process_by_itself_sees_one_card(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert launch.first_card({}) == {"CUDA_VISIBLE_DEVICES": "0"}
    assert launch.first_card({"CUDA_VISIBLE_DEVICES": "3,1"}) == {"CUDA_VISIBLE_DEVICES": "3"}
    assert launch.first_card({"CUDA_VISIBLE_DEVICES": ""}) == {"CUDA_VISIBLE_DEVICES": ""}
    seen = []
    monkeypatch.setattr(entry, "run", lambda *_: seen.append(os.environ["CUDA_VISIBLE_DEVICES"]))
    monkeypatch.setattr(sys, "argv", ["stages", "sft"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    monkeypatch.delenv(launch.LAUNCHED, raising=False)
    entry.main()
    monkeypatch.setenv(launch.LAUNCHED, "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    entry.main()
    assert seen == ["2", "2,3"], "the processes of a training share the cards out themselves"


@pytest.mark.parametrize("engine", ["fsdp2", "zero2", "zero3"])
def test_accelerate_reads_each_engine_s_file(engine: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    module, *arguments = launch.command(run_params(engine=engine, hosts=2, address="h:1"), 1)
    assert module == "accelerate.commands.launch"
    parsed = launch_command_parser().parse_args([*arguments, "-m", "stages", "sft"])
    assert (parsed.num_processes, parsed.num_machines, parsed.machine_rank, parsed.main_process_ip) == (4, 2, 1, "h")
    config = load_config_from_file(str(ROOT / parsed.config_file))
    assert str(config.distributed_type.value) == {"fsdp2": "FSDP"}.get(engine, "DEEPSPEED")
    if engine == "fsdp2":
        assert config.fsdp_config["fsdp_version"] == 2
    else:
        assert config.deepspeed_config["zero_stage"] == int(engine[-1])
        assert config.deepspeed_config["deepspeed_multinode_launcher"] == "standard", "each host is started by hand"


WAITING = """
import subprocess, sys
from questions_gen import launch
launch.PATIENCE = 0.1
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], start_new_session=True)
print(child.pid, flush=True)
print("code", launch.wait(child), flush=True)
"""
CHILD = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.2), sys.exit(3)))
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_handed_on_and_the_launcher_is_waited_for(stop: signal.Signals) -> None:
    """The launcher here is one that was told nothing by the terminal."""
    with subprocess.Popen(
        [sys.executable, "-c", WAITING, CHILD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=take_ctrl_c,
    ) as waiting:  # fmt: skip
        child = int(next(line for line in waiting.stdout if line.strip().isdigit()))
        assert next(waiting.stdout).strip() == "ready"
        waiting.send_signal(stop)
        output, errors = waiting.communicate(timeout=20)
    assert not psutil.pid_exists(child)
    if stop == signal.SIGTERM:
        assert output.strip() == "code 3"
    else:
        assert "KeyboardInterrupt" in errors


def test_another_engine_has_checkpoints_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    settings = load_params({"run": RunParams}, ROOT / "params.yaml")["run"]

    def folder(name: str, engine: str) -> str:
        launched = settings.model_copy(update={"launch": run_params(engine=engine)})
        return stage_module._checkpoints(find_stage(name), launched, "abc").name

    assert [folder("sft", engine) for engine in ("ddp", "fsdp2", "zero2")] == ["abc", "abc-fsdp2", "abc-zero2"]
    assert folder("mix", "fsdp2") == "abc"


def test_fsdp2_alone_recomputes_activations_without_reentrance(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what accelerate's launcher tells the processes that it starts."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    monkeypatch.delenv("ACCELERATE_USE_FSDP", raising=False)
    assert not fully_sharded()
    _, *arguments = launch.command(run_params(engine="fsdp2"), 0)
    parsed, *_ = _validate_launch_command(launch_command_parser().parse_args([*arguments, "-m", "stages", "sft"]))
    monkeypatch.setenv("ACCELERATE_USE_FSDP", prepare_multi_gpu_env(parsed)["ACCELERATE_USE_FSDP"])
    assert fully_sharded()
    fields = runtime_arguments(load_params({"model": ModelParams}, ROOT / "params.yaml")["model"], 1, Path("nowhere"))
    assert fields["gradient_checkpointing_kwargs"] == {"use_reentrant": False}
