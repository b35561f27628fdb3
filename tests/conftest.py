"""A tiny random model and a tiny corpus, so that training is tested for real in seconds."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from questions_gen import files
from questions_gen.params import load_yaml
from questions_gen.schema import Conversation, Message, Problem
from tests import tracked_runs

ROOT = Path(__file__).resolve().parent.parent

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_tiny_base(folder: Path) -> None:
    """A random llama of two narrow layers with a byte-level tokenizer: 60 kB."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {token: number for number, token in enumerate([*specials, *alphabet])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=1024
    )
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    files.write_json(folder / "base.json", {"kind": "local"})


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "base"
    write_tiny_base(folder)
    return folder


def take_ctrl_c() -> None:
    """For Popen's preexec_fn: a shell's background jobs, and so their children, ignore the signal."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def tiny_problems(count: int) -> list[Problem]:
    return [
        Problem(
            id=f"tiny-{number:03d}",
            statement=f"Find all integers $n$ for which {number + 2} divides $n^2 - {number} n + {number % 7}$.",
            answer=str(number % 5),
            topic="number theory",
            concepts=("divisibility",),
            difficulty=float(1 + number % 4),
            source="tiny",
            licence="MIT",
        )
        for number in range(count)
    ]


def tiny_conversations(count: int) -> list[Conversation]:
    return [
        Conversation(
            id=f"conversation-{problem.id}",
            task="problem",
            messages=(
                Message(role="user", content="Write a problem. Topic: number theory"),
                Message(role="assistant", content=f"{problem.statement}\nAnswer: \\boxed{{{problem.answer}}}"),
            ),
            source_id=problem.id,
        )
        for problem in tiny_problems(count)
    ]


TINY = {
    "model": {"max_length": 320, "threads": 1},
    "lora": {"r": 4, "alpha": 4},
    "sft": {"steps": 6, "batch_size": 2, "accumulation": 1, "checkpoint_steps": 1, "warmup_steps": 0},
    "grpo": {
        "rounds": 2,
        "steps": 2,
        "group_size": 4,
        "batch_size": 4,
        "sampling": {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_new_tokens": 64, "thinking": False},
        "coordinated": {"problems": 1, "steps": 2, "batch_size": 2, "learning_rate": 1e-3},
    },
    "distill": {"steps": 4, "batch_size": 2, "accumulation": 1, "checkpoint_steps": 1},
    "run": {"tracking": {"enabled": False, "uri": None}},
}


@pytest.fixture(scope="session")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> tracked_runs.Tracked:
    """Attempts that MLflow was told of, and some that were kept."""
    return tracked_runs.track(tmp_path_factory.mktemp("tracked"))


@pytest.fixture(scope="session")
def mlflow_pages(tracked: tracked_runs.Tracked) -> Iterator[SimpleNamespace]:
    """MLflow's pages of them (url), after what was kept has been sent to that server (synced)."""
    with tracked_runs.pages(tracked.home) as url:
        yield SimpleNamespace(url=url, synced=tracked_runs.sync(tracked.home, url))


@pytest.fixture
def workspace(tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the tiny model, mixed data and params of its size; the current folder of the test."""
    root = tmp_path / "checkout"
    for name in ("stages", "src"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    params = load_yaml(ROOT / "params.yaml")
    for section, values in TINY.items():
        params[section].update(values)
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    shutil.copytree(tiny_base, root / "models" / "base")
    files.write_text(root / "data/checked/params.txt", "params.yaml is valid\n")
    write_tiny_mixed(root / "data/mixed")
    monkeypatch.chdir(root)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return root


def write_tiny_mixed(mixed: Path) -> None:
    from questions_gen.rewards import difficulty

    problems = tiny_problems(24)
    files.write_rows(mixed / "train.jsonl", tiny_conversations(20))
    files.write_rows(mixed / "validation.jsonl", tiny_conversations(24)[20:])
    files.write_rows(mixed / "problems.jsonl", problems[:20])
    files.write_rows(mixed / "evaluation.jsonl", problems[20:])
    difficulty.fit(problems[:20]).save(mixed / "difficulty.json")
