"""What `questions-gen plan` says of memory, against what is measured: sft and grpo steps on the CPU, three sizes.

Models of SmolLM2's shape with random weights: its 135M size, and one smaller and one larger. Each case runs the
pipeline's own trainer in a process of its own, whose largest resident size is the kernel's count (VmHWM). Rows and
prompts have exactly the lengths that the estimate is told of. Writes the measured numbers to docs/plan.json, and the
tables of docs/planning.md: of these cases, and of those that benchmarks/gpu_check.py measured on a card (docs/gpu).

    python -m benchmarks.plan            # make bench-plan: some minutes on two cores
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from benchmarks.gpu.cases import CASES as GPU_CASES
from questions_gen import files, planning
from questions_gen.commands.plan import find_device
from questions_gen.costs import read_shape
from questions_gen.params import load_yaml, parse_params
from questions_gen.schema import Conversation, Message, Prompt

RECORD, PAGE, CARDS = Path("docs/plan.json"), Path("docs/planning.md"), Path("docs/gpu")
MARKS = ("<!-- cpu -->", "<!-- card -->")
"""Each stands before and after a table of PAGE."""
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {
        "vocab_size": 512, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "tie_word_embeddings": True,
    },
    "narrow": {
        "vocab_size": 512, "hidden_size": 320, "intermediate_size": 832, "num_hidden_layers": 12,
        "num_attention_heads": 5, "num_key_value_heads": 5, "head_dim": 64, "tie_word_embeddings": True,
    },
    "30M": {
        "vocab_size": 49152, "hidden_size": 320, "intermediate_size": 832, "num_hidden_layers": 12,
        "num_attention_heads": 5, "num_key_value_heads": 5, "head_dim": 64, "tie_word_embeddings": True,
    },
    "135M": {
        "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
        "num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 64, "tie_word_embeddings": True,
    },
    "360M": {
        "vocab_size": 49152, "hidden_size": 960, "intermediate_size": 2560, "num_hidden_layers": 32,
        "num_attention_heads": 15, "num_key_value_heads": 5, "head_dim": 64, "tie_word_embeddings": True,
    },
}  # fmt: skip
"""config.json of SmolLM2-135M and SmolLM2-360M (huggingface.co/HuggingFaceTB), and a smaller one of their family."""

RESULT = "measured.json"
MEASURED = ("tiny", "30M", "135M", "360M")


@dataclass(frozen=True)
class Case:
    """A shape, what is done with it, and how: the rest is the default profile's."""

    shape: str
    work: Literal["sft", "grpo"]
    batch_size: int
    """Sequences a forward pass of the update."""
    length: int
    """Tokens of a row (sft) or of a prompt (grpo)."""
    new_tokens: int = 0
    """Tokens of a completion (grpo)."""
    recompute: bool = False
    """Gradient checkpointing."""
    four_bit: bool = False
    dtype: str = "float32"


CASES = (
    *(Case(shape, "sft", 4, 256) for shape in MEASURED),
    *(Case(shape, "grpo", 4, 128, 48) for shape in MEASURED),
    Case("135M", "sft", 4, 256, recompute=True),
    Case("135M", "sft", 4, 256, four_bit=True),
    Case("135M", "sft", 8, 384),
)


def measure(cases: tuple[Case, ...]) -> list[dict[str, Any]]:
    """Each case in a process of its own: the case, and bytes resident before the model is loaded and at most."""
    rows = []
    for case in cases:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            write_base(SHAPES[case.shape], folder)
            command = [sys.executable, "-m", "benchmarks.plan", "--folder", temporary, "--case"]
            subprocess.run([*command, files.to_json(asdict(case))], check=True, stdout=subprocess.DEVNULL)
            rows.append({**asdict(case), **files.read_json(folder / RESULT)})
        print(rows[-1], flush=True)
    return rows


def estimated(case: Case) -> float:
    """Bytes that `questions-gen plan` says for `case` on a CPU."""
    values, shape = _values(case), read_shape({**SHAPES[case.shape], "model_type": "llama"}, case.shape)
    device = find_device(None, "transformers")
    made = planning.estimates(values, shape, device)
    if case.work == "grpo":
        return max(one.total for one in made if (one.stage, one.part) in {("grpo", "rollout"), ("grpo", "update")})
    return next(one.total for one in made if one.stage == case.work)


def _values(case: Case) -> dict[str, Any]:
    """Of the default profile, changed to those of `case`."""
    values = load_yaml(Path("conf/smollm2-135m.yaml"))
    values["model"] |= {
        "max_length": case.length + case.new_tokens, "gradient_checkpointing": case.recompute,
        "load_in_4bit": case.four_bit, "dtype": case.dtype,
    }  # fmt: skip
    values["mix"]["max_tokens"] = case.length
    values["sft"] |= {"steps": 2, "batch_size": case.batch_size, "checkpoint_steps": 2}
    values["grpo"] |= {"steps": 1, "batch_size": case.batch_size, "checkpoint_steps": 1}
    values["grpo"]["sampling"] |= {"max_new_tokens": case.new_tokens or 1}
    return values


@dataclass(frozen=True)
class Compared:
    name: str
    estimate: float
    measured: float

    @property
    def error(self) -> float:
        return self.estimate / self.measured - 1


def case_of(row: Mapping[str, Any]) -> Case:
    return Case(**{field.name: row[field.name] for field in fields(Case)})


def cpu_rows(record: Mapping[str, Any]) -> list[Compared]:
    rows = []
    for row in record["cases"]:
        case = case_of(row)
        how = ["recomputed"] * case.recompute + ["nf4"] * case.four_bit
        tokens = f"{case.batch_size} × {case.length}" + f" + {case.new_tokens}" * (case.work == "grpo")
        rows.append(
            Compared(", ".join([f"{case.shape} {case.work} {tokens}", *how]), estimated(case), row["peak_bytes"])
        )
    return rows


def card_rows(folder: Path = CARDS) -> list[Compared]:
    """The cases that one card was measured with: what the driver counted, and the profile's estimate for them."""
    rows = []
    for path in sorted(folder.glob("*.json")):
        record = files.read_json(path)
        for name, row in record["cases"].items():
            case = GPU_CASES[name]
            if "device_bytes" not in row or case.processes > 1 or case.work == "plain":
                continue
            values = load_yaml(Path("conf") / f"{record['shape']}.yaml")
            values["model"] |= {
                "backend": case.backend, "load_in_4bit": case.four_bit, "gradient_checkpointing": case.recompute
            }  # fmt: skip
            values["sft"]["batch_size"] = row.get("batch_size", 1)
            if case.work == "grpo":
                values["grpo"]["sampling"]["max_new_tokens"] = row["rollout_tokens"] // row["completions"]
            shape = read_shape(files.read_json(Path("conf/models") / f"{record['shape']}.json"), record["shape"])
            made = [
                e for e in planning.estimates(values, shape, find_device("H100", case.backend)) if e.stage == case.work
            ]
            total = max(e.total for e in made if e.part != "coordinated step")
            rows.append(Compared(f"{path.stem}: {name}", total, row["device_bytes"]))
    return rows


def table(rows: Sequence[Compared]) -> str:
    lines = ["| case | estimate, GiB | measured, GiB | error |", "|---|---|---|---|"]
    lines += [
        f"| {row.name} | {row.estimate / 2**30:.2f} | {row.measured / 2**30:.2f} | {row.error:+.1%} |" for row in rows
    ]
    return "\n".join(lines)


def page(text: str, record: Mapping[str, Any]) -> str:
    """The text of PAGE with the tables as they are now."""
    for mark, rows in zip(MARKS, (cpu_rows(record), card_rows()), strict=True):
        before, _, after = text.split(mark)
        text = f"{before}{mark}\n{table(rows)}\n{mark}{after}"
    return text


def run_case(case: Case, folder: Path) -> dict[str, int]:
    """Take two optimizer steps (sft) or one policy step (grpo) in this process, with the base model in `folder`."""
    from datasets import Dataset  # noqa: F401 (with what the trainers import: the libraries' share)
    from trl import GRPOTrainer, SFTTrainer  # noqa: F401

    from stages.check import SECTIONS

    params = parse_params(_values(case), SECTIONS)
    libraries = resident()
    {"sft": _sft, "grpo": _grpo}[case.work](case, params, folder)
    return {"libraries_bytes": libraries, "peak_bytes": resident()}


def resident() -> int:
    """The most bytes that this process has had in memory so far. Not ru_maxrss: it counts what started the process."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def write_base(shape: dict[str, Any], folder: Path) -> None:
    """Random weights of `shape`, and a tokenizer that makes a token of each byte."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.training.tiny_models import tiny_tokenizer

    tokenizer = tiny_tokenizer("llama")
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    torch.manual_seed(1)
    LlamaForCausalLM(LlamaConfig(**shape, **ends, max_position_embeddings=2048)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    files.write_json(folder / "base.json", {"kind": "local"})


def _message(folder: Path, asked: tuple[Message, ...], role: str, length: int) -> Message:
    """One that makes `asked` a conversation of exactly `length` tokens: each digit is one."""
    from questions_gen.training.lengths import token_lengths

    def row(digits: int) -> Conversation:
        messages = (*asked, Message(role=role, content="7" * digits))
        return Conversation(id="row", task="problem", messages=messages, source_id="row")

    return row(length - token_lengths(folder, [row(1)])[0] + 1).messages[-1]


def _sft(case: Case, params: dict[str, Any], folder: Path) -> None:
    from questions_gen.training.backend import load_model, load_tokenizer
    from questions_gen.training.sft import supervised_trainer

    asked = (Message(role="user", content="Write a problem."),)
    messages = (*asked, _message(folder, asked, "assistant", case.length))
    rows = [
        Conversation(id=f"row-{n}", task="problem", messages=messages, source_id="row") for n in range(case.batch_size)
    ]
    model = load_model(params["model"], folder, lora=params["lora"], seed=1)
    trainer = supervised_trainer(
        params["sft"], params["model"], 1, model, load_tokenizer(folder), rows, output=folder / "trainer"
    )
    trainer.train()


def _grpo(case: Case, params: dict[str, Any], folder: Path) -> None:
    from questions_gen.history import History
    from questions_gen.rewards.combine import load_judge
    from questions_gen.training.backend import load_model, load_tokenizer
    from questions_gen.training.generate import count_tokens
    from questions_gen.training.grpo import policy_trainer
    from questions_gen.training.rollouts import GroupReward
    from tests.conftest import write_tiny_mixed

    grpo = params["grpo"]
    write_tiny_mixed(folder / "mixed")
    history = History(params["rewards"].history_size)
    judge = load_judge(params["rewards"], folder / "mixed", history)
    tokenizer = load_tokenizer(folder)

    def prompt(digits: int) -> Prompt:
        return Prompt(id="prompt", task="problem", messages=(Message(role="user", content="7" * digits),))

    digits = case.length - count_tokens(tokenizer, prompt(1).messages, grpo.sampling) + 1
    asked = [prompt(digits).model_copy(update={"id": f"prompt-{n}"}) for n in range(grpo.groups)]
    reward = GroupReward(
        judge, history, asked, 1, base=judge.weights, dynamic=grpo.dynamic_weights, failed=folder / "failed.jsonl"
    )
    model = load_model(params["model"], folder, lora=params["lora"], seed=1)
    trainer = policy_trainer(
        grpo, params["model"], params["run"].rollouts, 1, model, tokenizer, asked, reward,
        output=folder / "trainer",
    )  # fmt: skip
    trainer.train()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help="write the tables of numbers that were measured before")
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        files.write_json(asked.folder / RESULT, run_case(Case(**asked.case), asked.folder))
        return
    if not asked.page:
        files.write_json(RECORD, {"cases": measure(CASES)})
    files.write_text(PAGE, page(PAGE.read_text(encoding="utf-8"), files.read_json(RECORD)))


if __name__ == "__main__":
    main()
