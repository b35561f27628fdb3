"""A random llama of two layers as a GGUF file, and an installed package that carries it."""

from pathlib import Path
from typing import Any

import numpy as np

HEADS, KEY_VALUE_HEADS, WIDTH, INNER, LAYERS = 4, 2, 32, 64, 2
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = "{% for message in messages %}<|im_start|>{{ message['content'] }}<|im_end|>\n{% endfor %}"


def vocabulary() -> list[str]:
    from tokenizers import pre_tokenizers

    return [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), "12", "Ġa"]


def random_weights(seed: int = 0) -> dict[str, np.ndarray]:
    """float32 weights by their names in transformers."""
    generator = np.random.default_rng(seed)
    shapes = {"model.embed_tokens": (len(vocabulary()), WIDTH), "model.norm": (WIDTH,)}
    narrow = WIDTH * KEY_VALUE_HEADS // HEADS
    for layer in range(LAYERS):
        for name, shape in {
            "self_attn.q_proj": (WIDTH, WIDTH), "self_attn.k_proj": (narrow, WIDTH),
            "self_attn.v_proj": (narrow, WIDTH), "self_attn.o_proj": (WIDTH, WIDTH),
            "mlp.gate_proj": (INNER, WIDTH), "mlp.up_proj": (INNER, WIDTH), "mlp.down_proj": (WIDTH, INNER),
            "input_layernorm": (WIDTH,), "post_attention_layernorm": (WIDTH,),
        }.items():  # fmt: skip
            shapes[f"model.layers.{layer}.{name}"] = shape
    return {f"{name}.weight": generator.normal(size=size).astype(np.float32) for name, size in shapes.items()}


def permute(weights: np.ndarray, heads: int) -> np.ndarray:
    """`LlamaModel.permute` of llama.cpp's convert_hf_to_gguf.py."""
    return (
        weights.reshape(heads, 2, len(weights) // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)
    )


GGUF_NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def gguf_name(name: str) -> str:
    stem = name.removesuffix(".weight")
    if stem in GGUF_NAMES:
        return f"{GGUF_NAMES[stem]}.weight"
    _, _, layer, inner = stem.split(".", 3)
    return f"blk.{layer}.{GGUF_NAMES[inner]}.weight"


def write_gguf(path: Path, **changes: Any) -> dict[str, np.ndarray]:
    """Write the model, with some metadata changed (dots as `__`; None leaves a key out); return its weights.

    The up-projections are packed as Q4_1, and returned as what they then are. `extra_tensor=name` adds one of ones.
    """
    from gguf import GGMLQuantizationType, GGUFWriter, TokenType
    from gguf.quants import dequantize, quantize

    metadata = {
        "llama.block_count": LAYERS, "llama.context_length": 256, "llama.embedding_length": WIDTH,
        "llama.feed_forward_length": INNER, "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": KEY_VALUE_HEADS, "llama.rope.freq_base": 100000.0,
        "llama.attention.layer_norm_rms_epsilon": 1e-5, "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": vocabulary(), "tokenizer.ggml.merges": ["1 2", "Ġ a"],
        "tokenizer.ggml.token_type": [TokenType.CONTROL] * 3 + [TokenType.NORMAL] * (len(vocabulary()) - 3),
        "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.padding_token_id": 2, "tokenizer.chat_template": TEMPLATE,
    }  # fmt: skip
    extra, architecture = changes.pop("extra_tensor", None), changes.pop("architecture", "llama")
    metadata |= {key.replace("__", "."): value for key, value in changes.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(path, architecture)
    for key, value in metadata.items():
        if isinstance(value, list):
            writer.add_array(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif value is not None:
            writer.add_uint32(key, value)
    weights = random_weights()
    for name, values in weights.items():
        heads = {"q_proj": HEADS, "k_proj": KEY_VALUE_HEADS}.get(name.split(".")[-2])
        if "up_proj" in name:
            packed = quantize(values, GGMLQuantizationType.Q4_1)
            weights[name] = dequantize(packed, GGMLQuantizationType.Q4_1)
            writer.add_tensor(gguf_name(name), packed, raw_dtype=GGMLQuantizationType.Q4_1)
        else:
            writer.add_tensor(gguf_name(name), permute(values, heads) if heads else values)
    if extra:
        writer.add_tensor(extra, np.ones(WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights


def install(site: Path, name: str, version: str, content: dict[str, bytes]) -> Path:
    """Lay an installed package into `site`, a folder on sys.path; importing it fails. Returns the package's folder."""
    module = name.replace("-", "_")
    information = site / f"{module}-{version}.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    listed = [f"{module}/__init__.py", *(f"{module}/{path}" for path in content)]
    (information / "RECORD").write_text("".join(f"{path},,\n" for path in listed))
    folder = site / module
    folder.mkdir()
    (folder / "__init__.py").write_text("raise ImportError('carried, never imported')\n")
    for path, data in content.items():
        (folder / path).write_bytes(data)
    return folder
