"""A llama-architecture GGUF file as a Hugging Face model folder: fp32 safetensors, tokenizer and configs.

Done with numpy, gguf and tokenizers alone: no torch, half a minute less, and the same bytes every time.
transformers' own GGUF import keeps the weights packed, takes another token for the end of a turn, and loses the
pre-tokenizer that splits numbers into digits.
"""

import json
import math
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from questions_gen import files
from questions_gen.errors import UserError

CONTROL, USER_DEFINED = 3, 4
"""Token types of `tokenizer.ggml.token_type` that are never split; only the first are special."""

OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
INNER = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


class _Unsupported(Exception):
    """The file asks for something that this import doesn't do."""


def import_gguf(source: Path, target: Path) -> None:
    """Write model.safetensors, tokenizer.json, chat_template.jinja and three configs into the folder `target`.

    Raises UserError for a damaged file, another architecture, tokenizer or RoPE scaling.
    """
    metadata, tensors = _read(source)
    try:
        named = {hub_name(tensor.name): tensor for tensor in tensors}
        heads = {"attn_q": metadata["llama.attention.head_count"], "attn_k": metadata["llama.attention.head_count_kv"]}
        texts = _texts(metadata, tied="lm_head.weight" not in named)
    except KeyError as error:
        raise UserError(f"{source.name}: the GGUF file has no {error}; name another file") from None
    except _Unsupported as error:
        raise UserError(f"{source.name}: {error}; name the GGUF file of a small llama model, or a hub model") from None
    write_safetensors(
        target / "model.safetensors",
        {name: tuple(int(size) for size in reversed(named[name].shape)) for name in sorted(named)},
        (_weights(named[name], heads) for name in _with_progress(sorted(named), source.name)),
    )
    for name, text in texts.items():
        files.write_text(target / name, text)


def _texts(metadata: dict[str, Any], *, tied: bool) -> dict[str, str]:
    """The files beside the weights. Raises KeyError, _Unsupported."""
    tokens, special = metadata["tokenizer.ggml.tokens"], special_tokens(metadata)
    ids = {f"{role}_token_id": index for role, index in special.items() if role != "unk"}
    config = model_config(metadata, tied=tied)
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",  # tokenizer.json as it stands; a llama class would rebuild it
        "clean_up_tokenization_spaces": False,
        "model_max_length": config["max_position_embeddings"],
        **{f"{role}_token": tokens[index] for role, index in special.items()},
    }
    return {
        "config.json": files.to_json({**config, **ids}, indent=2) + "\n",
        "generation_config.json": files.to_json(ids, indent=2) + "\n",
        "tokenizer.json": build_tokenizer(metadata),
        "tokenizer_config.json": files.to_json(tokenizer_config, indent=2) + "\n",
        "chat_template.jinja": metadata["tokenizer.chat_template"],
    }


def _read(source: Path) -> tuple[dict[str, Any], list[Any]]:
    from gguf import GGUFReader

    try:
        reader = GGUFReader(source)
        return {key: field.contents() for key, field in reader.fields.items()}, reader.tensors
    except (ValueError, IndexError, KeyError, OverflowError) as error:  # what the reader raises for a torn file
        raise UserError(f"{source.name}: not a whole GGUF file ({error}); install or download it again") from None


def model_config(metadata: dict[str, Any], *, tied: bool) -> dict[str, Any]:
    """config.json of transformers' LlamaForCausalLM, less the special tokens. Raises KeyError, _Unsupported."""
    architecture = metadata["general.architecture"]
    if architecture != "llama":
        raise _Unsupported(f"the architecture is {architecture!r}, only 'llama' can be imported")
    if metadata.get("llama.rope.scaling.type", "none") != "none":
        raise _Unsupported("it scales RoPE, which isn't imported")
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "dtype": "float32",
        "hidden_act": "silu",
        "hidden_size": metadata["llama.embedding_length"],
        "intermediate_size": metadata["llama.feed_forward_length"],
        "max_position_embeddings": metadata["llama.context_length"],
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": metadata["llama.attention.head_count"],
        "num_hidden_layers": metadata["llama.block_count"],
        "num_key_value_heads": metadata["llama.attention.head_count_kv"],
        "rms_norm_eps": _shortest(metadata["llama.attention.layer_norm_rms_epsilon"]),
        "rope_parameters": {"rope_theta": _shortest(metadata["llama.rope.freq_base"]), "rope_type": "default"},
        "tie_word_embeddings": tied,
        "vocab_size": len(metadata["tokenizer.ggml.tokens"]),
    }


def _shortest(value: float) -> float:
    """The number that was meant by a float32: 1e-05, not 9.999999747378752e-06."""
    return float(str(np.float32(value)))


def special_tokens(metadata: dict[str, Any]) -> dict[str, int]:
    """Token ids of bos, eos, unk and pad. Padding that is the end of a turn would be hidden from the loss with it."""
    ids = {role: metadata[f"tokenizer.ggml.{key}_token_id"] for role, key in
           (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"))}  # fmt: skip
    padding = metadata.get("tokenizer.ggml.padding_token_id", ids["eos"])
    return {**ids, "pad": ids["unk"] if padding == ids["eos"] else padding}


def build_tokenizer(metadata: dict[str, Any]) -> str:
    """tokenizer.json: byte-level BPE that splits numbers into digits. Raises KeyError, _Unsupported."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    kind = (metadata["tokenizer.ggml.model"], metadata["tokenizer.ggml.pre"])
    if kind != ("gpt2", "smollm"):
        raise _Unsupported(f"the tokenizer is {'/'.join(kind)!r}, only 'gpt2/smollm' can be imported")
    tokens = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    types = metadata["tokenizer.ggml.token_type"]
    added = [(token, kind) for token, kind in zip(tokens, types, strict=True) if kind in (CONTROL, USER_DEFINED)]
    tokenizer.add_tokens([AddedToken(token, special=kind == CONTROL, normalized=False) for token, kind in added])
    return tokenizer.to_str(pretty=True)


def hub_name(name: str) -> str:
    """`blk.3.attn_q.weight` → `model.layers.3.self_attn.q_proj.weight`. Raises _Unsupported."""
    match name.split("."):
        case [outer, "weight"] if outer in OUTER:
            return f"{OUTER[outer]}.weight"
        case ["blk", layer, inner, "weight"] if inner in INNER:
            return f"model.layers.{layer}.{INNER[inner]}.weight"
    raise _Unsupported(f"the tensor {name!r} has no place in a llama model")


def _weights(tensor: Any, heads: dict[str, int]) -> np.ndarray:
    """float32 weights of one tensor, in the order that transformers expects."""
    from gguf.quants import dequantize

    weights = dequantize(tensor.data, tensor.tensor_type)
    count = heads.get(tensor.name.split(".")[-2])
    return np.ascontiguousarray(weights if count is None else unpermute(weights, count), dtype="<f4")


def unpermute(weights: np.ndarray, heads: int) -> np.ndarray:
    """Undo what llama.cpp's converter does to the rows of q and k: its RoPE turns neighbours, ours turns halves.

    `weights` is (heads * size, width); source: `LlamaModel.permute` of llama.cpp's convert_hf_to_gguf.py.
    """
    rows = weights.shape[0]
    return weights.reshape(heads, rows // heads // 2, 2, -1).swapaxes(1, 2).reshape(weights.shape)


def write_safetensors(path: Path, shapes: dict[str, tuple[int, ...]], tensors: Iterable[np.ndarray]) -> None:
    """Write float32 `tensors`, in the order of `shapes`, one at a time: the whole model is never in memory.

    The format: 8 bytes with the length of the header, the header as JSON, then the numbers.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with files.replacing(path) as handle:
        handle.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors:
            handle.write(tensor.data)


def _with_progress(names: list[str], title: str) -> Iterator[str]:
    from tqdm import tqdm

    return tqdm(names, desc=title, unit="tensor", disable=None)
