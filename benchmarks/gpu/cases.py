"""What is timed: the pipeline's own trainers and export at a profile's settings, and a plain TRL + PEFT script beside.

Each case is for a process of its own, so that its peak memory is its own. A time is taken with the card idle on both
ends (synchronised); the first training step warms up and doesn't count.
"""

import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

from benchmarks.gpu.model import matrix_parameters
from questions_gen import prompts
from questions_gen.history import History
from questions_gen.params import load_yaml, parse_params
from questions_gen.rewards.combine import RewardParams, load_judge
from questions_gen.schema import Conversation, Message
from questions_gen.stage import RunParams
from questions_gen.training.backend import LoraParams, ModelParams, load_model, load_tokenizer, use_backend
from questions_gen.training.export import check_format, references_of, write_formats
from questions_gen.training.grpo import GrpoParams, draw_prompts, policy_trainer
from questions_gen.training.lengths import token_lengths
from questions_gen.training.processes import count
from questions_gen.training.rollouts import GroupReward
from questions_gen.training.sft import SupervisedParams, supervised_trainer
from tests.conftest import tiny_problems, write_tiny_mixed

SECTIONS = {
    "model": ModelParams, "lora": LoraParams, "sft": SupervisedParams, "grpo": GrpoParams, "rewards": RewardParams,
    "run": RunParams,
}  # fmt: skip
NEW_TOKENS = 64
"""At most, in a rollout: a token takes about as long at the end of a longer one."""
STEPS = 3
"""Optimizer steps of supervised training: one warms up, the others count."""
KERNELS = 12
"""Rows of a case's table of kernels."""


@dataclass(frozen=True)
class Case:
    work: Literal["sft", "plain", "grpo", "export"]
    """plain: TRL's SFTTrainer and PEFT as their documentation shows them, without this project."""
    backend: Literal["transformers", "unsloth"] = "transformers"
    four_bit: bool = False
    recompute: bool = True
    """Gradient checkpointing."""
    batch_size: int | None = None
    """Conversations a forward pass, with the effective batch as it is; none is the profile's."""
    processes: int = 1
    """One a card."""
    engine: Literal["ddp", "fsdp2"] = "ddp"
    profiled: bool = False
    """Whether the kernels of one more forward and backward pass are listed."""


CASES = {
    "sft-nf4": Case("sft", four_bit=True),
    "sft-nf4-plain": Case("plain", four_bit=True),
    "sft-nf4-unsloth": Case("sft", "unsloth", four_bit=True),
    "sft-bf16": Case("sft", profiled=True),
    "sft-bf16-plain": Case("plain", profiled=True),
    "sft-bf16-unsloth": Case("sft", "unsloth"),
    "sft-bf16-kept": Case("sft", recompute=False),
    "sft-bf16-2x4": Case("sft", batch_size=2),
    "sft-bf16-2x4-plain": Case("plain", batch_size=2),
    "sft-bf16-ddp": Case("sft", processes=2),
    "sft-bf16-fsdp2": Case("sft", processes=2, engine="fsdp2"),
    "grpo-nf4": Case("grpo", four_bit=True),
    "grpo-nf4-unsloth": Case("grpo", "unsloth", four_bit=True),
    "grpo-bf16": Case("grpo"),
    "export": Case("export"),
}
DEFAULT = ("sft-nf4", "sft-nf4-unsloth", "grpo-nf4", "grpo-nf4-unsloth", "export")
"""What `make gpu-check` has time for: what the profile does, on both backends. The others are for comparison."""


def run_case(case: Case, shape: str, folder: Path, work: Path) -> dict[str, Any]:
    """Numbers of one case: the base model is in `folder`, and `work` is an empty folder for what it writes."""
    clock = Clock()
    values = profile(shape)
    model = values["model"].model_copy(
        update={"backend": case.backend, "load_in_4bit": case.four_bit, "gradient_checkpointing": case.recompute}
    )
    use_backend(model)
    works: Mapping[str, Callable[..., dict[str, Any]]] = {"sft": _sft, "plain": _sft, "grpo": _grpo, "export": _export}
    numbers = works[case.work](case, shape, {**values, "model": model}, folder, work, clock)
    return {**numbers, **peak_memory(), "seconds": clock.total()}


def profile(shape: str) -> dict[str, Any]:
    """The values of the profile that has the shape's name."""
    values = load_yaml(Path("conf") / f"{shape}.yaml")
    return parse_params(values, SECTIONS)


@dataclass
class Clock:
    """Seconds by name, of stretches with an idle device at both ends."""

    started: float = field(default_factory=time.perf_counter)
    laps: dict[str, float] = field(default_factory=dict)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, whose calls are added up under `name`."""

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            synchronize()
            start = time.perf_counter()
            result = function(*args, **kwargs)
            synchronize()
            self.laps[name] = self.laps.get(name, 0.0) + time.perf_counter() - start
            return result

        return wrapper

    def total(self) -> float:
        return time.perf_counter() - self.started


def synchronize() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_memory() -> dict[str, int]:
    """Bytes. On a card: of tensors, of the allocator, and what the driver says is taken; else of the process."""
    import torch

    if not torch.cuda.is_available():
        return {"process_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if _mac() else 1024)}
    free, total = torch.cuda.mem_get_info()
    return {
        "allocated_bytes": torch.cuda.max_memory_allocated(),
        "reserved_bytes": torch.cuda.max_memory_reserved(),
        "device_bytes": total - free,
    }


def _mac() -> bool:
    return sys.platform == "darwin"  # counts in bytes


def full_rows(folder: Path, length: int, rows: int) -> list[Conversation]:
    """Conversations of exactly `length` tokens: each digit is one token of Qwen3."""
    asked = prompts.problem_messages("number theory", ("divisibility",))

    def row(number: int, digits: int) -> Conversation:
        text = "".join(str((number + place * place) % 10) for place in range(digits))
        answer = Message(role="assistant", content=text)
        return Conversation(id=f"full-{number}", task="problem", messages=(*asked, answer), source_id="full")

    around = token_lengths(folder, [row(0, 1)])[0] - 1
    return [row(number, length - around) for number in range(rows)]


def _sft(case: Case, shape: str, values: Mapping[str, Any], folder: Path, work: Path, clock: Clock) -> dict[str, Any]:
    model_params, training = values["model"], values["sft"]
    effective = training.batch_size * training.accumulation
    size = case.batch_size or training.batch_size
    if case.engine == "fsdp2":  # bitsandbytes' optimizers take no sharded tensors
        training = training.model_copy(update={"optimizer": "adamw_torch"})
    training = training.model_copy(
        update={
            "steps": STEPS, "batch_size": size, "accumulation": effective // size, "checkpoint_steps": 10 * STEPS,
        }
    )  # fmt: skip
    rows = full_rows(folder, model_params.max_length, effective)
    steps = step_clock()
    make = _plain_trainer if case.work == "plain" else _our_trainer
    trainer = clock.timed("load", make)(training, model_params, values["lora"], folder, rows, work, [steps])
    lengths = {len(row["input_ids"]) for row in trainer.train_dataset if "input_ids" in row}
    trainer.args.save_strategy = "no"  # else the last step is saved
    clock.timed("train", trainer.train)()
    seconds = median(steps.seconds()[1:])
    tokens = effective * model_params.max_length
    matrices = matrix_parameters(shape)
    factor = 6 if case.recompute else 4
    return {
        "work": case.work,
        "batch_size": size,
        "accumulation": trainer.args.gradient_accumulation_steps,
        "processes": count(),
        "lengths": sorted(lengths),
        "load_seconds": clock.laps["load"],
        "warm_up_seconds": steps.seconds()[0],
        "step_seconds": seconds,
        "steps_seconds": steps.seconds()[1:],
        "tokens_per_second": tokens / seconds,
        "flops_per_token": factor * matrices,
        "flops_per_second": factor * matrices * tokens / seconds,
        "loss": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        "kernels": kernels(trainer) if case.profiled else [],
    }


def _our_trainer(
    training: SupervisedParams,
    model_params: ModelParams,
    lora: LoraParams,
    folder: Path,
    rows: list[Conversation],
    work: Path,
    callbacks: list[Any],
) -> Any:
    model = load_model(model_params, folder, lora=lora, seed=1)
    tokenizer = load_tokenizer(folder)
    return supervised_trainer(
        training, model_params, 1, model, tokenizer, rows, output=work / "trainer", callbacks=callbacks
    )


def _plain_trainer(
    training: SupervisedParams,
    model_params: ModelParams,
    lora: LoraParams,
    folder: Path,
    rows: list[Conversation],
    work: Path,
    callbacks: list[Any],
) -> Any:
    """As TRL's pages on SFTTrainer, PEFT and QLoRA write it; what isn't named keeps TRL's default."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
    from trl import SFTConfig, SFTTrainer

    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.bfloat16,
        device_map={"": 0} if torch.cuda.is_available() else "cpu",
        quantization_config=quantization if model_params.load_in_4bit else None,
    )
    messages = [[message.model_dump() for message in row.messages] for row in rows]
    return SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(work / "trainer"),
            max_steps=training.steps,
            per_device_train_batch_size=training.batch_size,
            gradient_accumulation_steps=training.accumulation,
            learning_rate=training.learning_rate,
            warmup_steps=training.warmup_steps,
            optim=training.optimizer,
            max_length=model_params.max_length,
            gradient_checkpointing=model_params.gradient_checkpointing,
            logging_steps=1,
            save_strategy="no",
            use_cpu=not torch.cuda.is_available(),
            report_to="none",
        ),
        train_dataset=Dataset.from_list([{"prompt": row[:-1], "completion": row[-1:]} for row in messages]),
        processing_class=AutoTokenizer.from_pretrained(folder),
        peft_config=LoraConfig(
            r=lora.r, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=lora.targets, bias="none"
        ),
        callbacks=callbacks,
    )


def step_clock() -> Any:
    """A trainer callback that knows how long each optimizer step took, from the end of the one before."""
    from transformers import TrainerCallback

    class StepClock(TrainerCallback):
        def __init__(self) -> None:
            self.ends: list[float] = []

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            synchronize()
            self.ends.append(time.perf_counter())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            synchronize()
            self.ends.append(time.perf_counter())

        def seconds(self) -> list[float]:
            return [after - before for before, after in zip(self.ends, self.ends[1:], strict=False)]

    return StepClock()


def kernels(trainer: Any) -> list[dict[str, Any]]:
    """Where one more forward and backward pass spends the card's time: the longest kernels; empty on a CPU."""
    import torch
    from torch.profiler import ProfilerActivity

    if not torch.cuda.is_available():
        return []
    batch = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
    trainer.model.train()
    with torch.profiler.profile(activities=[ProfilerActivity.CUDA]) as profiled:
        trainer.accelerator.backward(trainer.compute_loss(trainer.model, batch))
        synchronize()
    spent = [(row.key, row.self_device_time_total, row.count) for row in profiled.key_averages()]
    total = sum(time for _, time, _ in spent)
    longest = sorted(spent, key=lambda row: -row[1])[:KERNELS]
    return [{"name": name[:90], "milliseconds": t / 1000, "share": t / total, "calls": n} for name, t, n in longest]


def _grpo(case: Case, shape: str, values: Mapping[str, Any], folder: Path, work: Path, clock: Clock) -> dict[str, Any]:
    """One policy step: rollouts of full length, since random weights seldom end a text, rewards and the update."""
    grpo = values["grpo"]
    sampling = grpo.sampling.model_copy(update={"max_new_tokens": min(NEW_TOKENS, grpo.sampling.max_new_tokens)})
    grpo = grpo.model_copy(update={"steps": 1, "checkpoint_steps": 10, "sampling": sampling})
    write_tiny_mixed(work / "mixed")
    problems = tiny_problems(20)
    history = History(values["rewards"].history_size)
    judge = load_judge(values["rewards"], work / "mixed", history)
    asked, _ = draw_prompts(problems, grpo.tasks, grpo.groups, seed=1)
    reward = GroupReward(
        judge, history, asked, 1, base=judge.weights, dynamic=grpo.dynamic_weights, failed=work / "failed.jsonl"
    )
    reward.judged = clock.timed("rewards", reward.judged)
    load = clock.timed("load", load_model)
    model = load(values["model"], folder, lora=values["lora"], seed=1)
    steps = step_clock()
    trainer = policy_trainer(
        grpo, values["model"], values["run"].rollouts, 1, model, load_tokenizer(folder), asked, reward,
        output=work / "policy", callbacks=[steps],
    )  # fmt: skip
    trainer._generate_single_turn = clock.timed("rollouts", trainer._generate_single_turn)
    trainer.args.save_strategy = "no"
    trainer.train()
    tokens = sum(row["completion"]["tokens"] for row in reward.rollouts)
    step = steps.seconds()[0]
    return {
        "work": "grpo",
        "completions": len(reward.rollouts),
        "rollout_tokens": tokens,
        "load_seconds": clock.laps["load"],
        "rollout_seconds": clock.laps["rollouts"],
        "rollout_tokens_per_second": tokens / clock.laps["rollouts"],
        "reward_seconds": clock.laps["rewards"],
        "training_seconds": step - clock.laps["rollouts"] - clock.laps["rewards"],
        "step_seconds": step,
    }


def _export(
    case: Case, shape: str, values: Mapping[str, Any], folder: Path, work: Path, clock: Clock
) -> dict[str, Any]:
    """Merge an adapter of random weights into 16-bit safetensors, and check that the merged model says the same."""
    adapter, exported = work / "adapter", work / "exported"
    write_adapter(folder, adapter, values["lora"])
    exported.mkdir()
    clock.timed("merge", write_formats)(["safetensors"], values["model"], folder, adapter, exported)

    def check() -> dict[str, Any]:
        references = references_of(values["model"], folder, adapter, load_tokenizer(folder))
        return check_format("safetensors", references, values["model"], folder, exported)

    checks = clock.timed("check", check)()
    return {
        "work": "export",
        "merge_seconds": clock.laps["merge"],
        "check_seconds": clock.laps["check"],
        "merged_bytes": sum(path.stat().st_size for path in (exported / "merged").iterdir()),
        "checks": {"safetensors": checks},
    }


def write_adapter(folder: Path, adapter: Path, lora: LoraParams) -> None:
    """An adapter of this shape with small random weights, without building the model's own."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        base = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
        config = LoraConfig(r=lora.r, lora_alpha=lora.alpha, target_modules=lora.targets, task_type="CAUSAL_LM")
        model = get_peft_model(base, config)
    generator = torch.Generator().manual_seed(1)
    state = {
        name.replace(".default", ""): torch.empty(weight.shape).normal_(0, 0.01, generator=generator)
        for name, weight in model.named_parameters()
        if "lora_" in name
    }
    model.peft_config["default"].save_pretrained(str(adapter))
    from safetensors.torch import save_file

    save_file(state, adapter / "adapter_model.safetensors", {"format": "pt"})


def matrix_rate(size: int) -> float:
    """Operations a second of a `size`³ product of random bfloat16 matrices: the median of 20, after 5."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    left, right = (torch.randn(size, size, device=device).to(torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(25):
        synchronize()
        start = time.perf_counter()
        torch.mm(left, right)
        synchronize()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / median(seconds[5:])
