"""Qwen3 without a network: its tokenizer rebuilt from the ranks that the package dashscope carries, and random models.

The ranks are tiktoken's (one a token, in the order of the merges), from which BPE's merges follow: the last pair that
is merged on the way to a token. Chat template: the file of TRL's that equals Qwen3's own.
"""

import base64
import importlib.util
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from questions_gen import files

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
ADDED = (
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>",
    "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>",
)  # fmt: skip
"""Tokens of Qwen3 after those of the ranks, in this order: <think> is 151667. The second kind is visible text."""

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SMALL = 2048
"""Ranks of the cut tokenizer: the same cuts and template, logits 74 times smaller."""


@cache
def ranks() -> dict[bytes, int]:
    path = metadata.distribution("dashscope").locate_file("dashscope/resources/qwen.tiktoken")
    lines = (line.split() for line in Path(str(path)).read_bytes().splitlines())
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def template() -> str:
    trl = importlib.util.find_spec("trl").submodule_search_locations[0]
    return Path(trl, "chat_templates/qwen3.jinja").read_text(encoding="utf-8")


@cache
def _letters() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte, as byte-level BPE writes it."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {**{byte: chr(byte) for byte in shown}, **{byte: chr(256 + i) for i, byte in enumerate(hidden)}}


def _text(token: bytes) -> str:
    return "".join(_letters()[byte] for byte in token)


def _pair(token: bytes, known: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The two parts of `token` that are merged last."""
    splits = [(token[:i], token[i:]) for i in range(1, len(token)) if token[:i] in known and token[i:] in known]
    if len(splits) == 1:
        return splits[0]
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        place = min(range(len(parts) - 1), key=lambda i: known.get(parts[i] + parts[i + 1], len(known)))
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts[0], parts[1]


def build_tokenizer(size: int | None = None) -> Any:
    """Qwen3's tokenizer, or one of its first `size` ranks."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    known = {token: rank for token, rank in ranks().items() if size is None or rank < size}
    merges = [tuple(map(_text, _pair(token, known))) for token in known if len(token) > 1]
    backend = Tokenizer(models.BPE(vocab={_text(token): rank for token, rank in known.items()}, merges=merges))
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    backend.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    backend.add_tokens([AddedToken(token, normalized=False, special=False) for token in ADDED])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=131072,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = template()
    return tokenizer


@pytest.fixture(scope="session")
def qwen_tokenizer() -> Any:
    """The whole one: some seconds, once a session."""
    return build_tokenizer()


def write_qwen(
    folder: Path,
    tokenizer: Any | None = None,
    *,
    dtype: str = "float32",
    seed: int = 0,
    attention_bias: bool = False,
) -> Path:
    """A random Qwen3 of two narrow layers, with the cut tokenizer if none is given: a base model of the pipeline."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = build_tokenizer(SMALL) if tokenizer is None else tokenizer
    end = tokenizer.eos_token_id
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=-(-(len(tokenizer) + 1) // 64) * 64,  # longer than the vocabulary, as Qwen's own
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,  # not hidden_size / heads, as Qwen3's own
            max_position_embeddings=2048,
            tie_word_embeddings=False,  # as Qwen3-14B; with tied ones a random model only repeats itself
            attention_bias=attention_bias,
            bos_token_id=tokenizer.pad_token_id,
            eos_token_id=end,
            pad_token_id=tokenizer.pad_token_id,
        )
    ).to(getattr(torch, dtype))
    model.generation_config.eos_token_id = [end, tokenizer.pad_token_id]  # as Qwen3's generation_config.json
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    files.write_json(folder / "base.json", {"kind": "local"})
    return folder
