"""Writing merged safetensors as GGUF for llama.cpp: f16, q8_0 and q4_k_m, llama and qwen3 architectures.

The tensors of f16 and q8_0 are those of llama.cpp's own converter and llama-quantize, byte for byte, and q4_k_m is
its mix with its kernels; nothing is compiled or downloaded for it. One tensor is in memory at a time. What we can't
write rightly (another architecture, scaled rope, a tokenizer that llama.cpp would split in another way) is refused.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.training.ggml import Kind, quantize, tensor_type
from questions_gen.training.merge import shard_names

REFUSED = "export.formats: no GGUF can be written: {}; take the gguf formats out of the list"

QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PRE_TOKENIZERS = {
    (("ByteLevel", True),): "gpt-2",
    (("Digits", True), ("ByteLevel", True)): "smollm",
    (("Split", QWEN2_SPLIT), ("ByteLevel", False)): "qwen2",
}
"""What decides how a tokenizer cuts text before its merges → llama.cpp's name of it."""


class _Tensor(NamedTuple):
    shard: str
    source: str
    """Its name in the safetensors file."""
    name: str
    """Its name in the GGUF file."""
    shape: tuple[int, ...]
    kind: Any
    """GGMLQuantizationType."""


def write_gguf(merged: Path, target: Path, kind: Kind, name: str, *, threads: int = 1) -> None:
    """Write the model in `merged` to `target`: matrices in `kind`, norms in float32. `name` is the model's title.

    Raises UserError for a model that this can't write, and for weights beyond float16.
    """
    from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, GGUFWriter

    config = files.read_json(merged / "config.json")
    architectures = {"llama": MODEL_ARCH.LLAMA, "qwen3": MODEL_ARCH.QWEN3}
    if config["model_type"] not in architectures:
        raise UserError(REFUSED.format(f"the architecture {config['model_type']} isn't one of llama and qwen3"))
    architecture = architectures[config["model_type"]]
    target.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(target, MODEL_ARCH_NAMES[architecture])
    writer.add_type("model")
    writer.add_name(name)
    _add_hyperparameters(writer, config, kind)
    _add_tokenizer(writer, merged, config["vocab_size"])
    tensors = list(_plan(merged, config, architecture, kind))
    for tensor in tensors:
        _add_info(writer, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for values in _values(merged, config, tensors, threads):
        writer.write_tensor_data(values)
    writer.close()


def _add_hyperparameters(writer: Any, config: dict, kind: Kind) -> None:
    from gguf import GGML_QUANT_VERSION, LlamaFileType

    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    rope_type = rope.get("rope_type") or rope.get("type") or "default"
    if rope_type != "default":
        raise UserError(REFUSED.format(f"its rope is scaled ({rope_type})"))
    heads = config["num_attention_heads"]
    head_size = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(rope.get("rope_theta") or config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_rope_dimension_count(head_size)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(LlamaFileType[f"MOSTLY_{kind.upper()}"])
    writer.add_quantization_version(GGML_QUANT_VERSION)


def _add_tokenizer(writer: Any, merged: Path, size: int) -> None:
    """A byte-level BPE tokenizer; ids of the embedding that no token has become unused ones."""
    from gguf import TokenType

    tokenizer = files.read_json(merged / "tokenizer.json")
    if tokenizer["model"]["type"] != "BPE":
        raise UserError(REFUSED.format(f"its tokenizer is {tokenizer['model']['type']}, not byte-level BPE"))
    tokens, types = [f"[PAD{number}]" for number in range(size)], [TokenType.UNUSED] * size
    for token, number in tokenizer["model"]["vocab"].items():
        tokens[number], types[number] = token, TokenType.NORMAL
    for added in tokenizer["added_tokens"]:
        kind = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
        tokens[added["id"]], types[added["id"]] = added["content"], kind
    merges = tokenizer["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer(tokenizer["pre_tokenizer"]))
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in merges])
    settings = files.read_json(merged / "tokenizer_config.json")
    ids = {token: number for number, token in enumerate(tokens)}
    for role, add in (
        ("bos_token", writer.add_bos_token_id),
        ("eos_token", writer.add_eos_token_id),
        ("unk_token", writer.add_unk_token_id),
        ("pad_token", writer.add_pad_token_id),
    ):
        token = settings.get(role)
        token = token["content"] if isinstance(token, dict) else token
        if token is not None:
            add(ids[token])
    writer.add_add_bos_token(False)
    template = merged / "chat_template.jinja"
    text = template.read_text(encoding="utf-8") if template.exists() else settings.get("chat_template")
    if text:
        writer.add_chat_template(text)


def pre_tokenizer(description: dict) -> str:
    """llama.cpp's name for the pre-tokenizer that tokenizer.json describes. Raises UserError for one we don't know."""
    parts = description.get("pretokenizers", [description])
    decisive = {"Digits": "individual_digits", "ByteLevel": "use_regex", "Split": "pattern"}
    values = [part.get(decisive.get(part["type"])) for part in parts]
    signature = tuple(
        (part["type"], value.get("Regex") if isinstance(value, dict) else value)
        for part, value in zip(parts, values, strict=True)
    )
    if signature not in PRE_TOKENIZERS:
        raise UserError(REFUSED.format(f"llama.cpp's name of its pre-tokenizer isn't known ({signature})"))
    return PRE_TOKENIZERS[signature]


def _plan(merged: Path, config: dict, architecture: Any, kind: Kind) -> Iterator[_Tensor]:
    """All tensors of the GGUF file, in the order they are written in."""
    from gguf import GGMLQuantizationType, get_tensor_name_map
    from safetensors import safe_open

    layers, tied = config["num_hidden_layers"], bool(config.get("tie_word_embeddings"))
    names = get_tensor_name_map(architecture, layers)
    for shard in shard_names(merged):
        with safe_open(merged / shard, "np") as handle:
            for source in sorted(handle.keys()):
                if source == "lm_head.weight" and tied:
                    continue
                name = names.get_name(source, try_suffixes=(".weight", ".bias"))
                if name is None:
                    raise UserError(REFUSED.format(f"the tensor {source} has no place in {config['model_type']}"))
                shape = tuple(handle.get_slice(source).get_shape())
                if len(shape) == 1:
                    form = GGMLQuantizationType.F32
                else:
                    form = tensor_type(name, shape[-1], kind, layers, tied=tied)
                yield _Tensor(shard, source, name, shape, form)


def _add_info(writer: Any, tensor: _Tensor) -> None:
    from gguf import GGMLQuantizationType
    from gguf.quants import quant_shape_to_byte_shape

    plain = {GGMLQuantizationType.F32: np.dtype(np.float32), GGMLQuantizationType.F16: np.dtype(np.float16)}
    if tensor.kind in plain:
        dtype = plain[tensor.kind]
        writer.add_tensor_info(tensor.name, tensor.shape, dtype, int(np.prod(tensor.shape)) * dtype.itemsize)
    else:
        shape = quant_shape_to_byte_shape(tensor.shape, tensor.kind)
        writer.add_tensor_info(tensor.name, shape, np.dtype(np.uint8), int(np.prod(shape)), raw_dtype=tensor.kind)


def _values(merged: Path, config: dict, tensors: list[_Tensor], threads: int) -> Iterator[np.ndarray]:
    """The tensors' values as they stand in the file."""
    from safetensors import safe_open

    for tensor in tensors:
        with safe_open(merged / tensor.shard, "pt") as handle:  # numpy has no bfloat16
            values = handle.get_tensor(tensor.source).float().numpy()
        if config["model_type"] == "llama":
            values = _permuted(values, tensor.source, config)
        yield _encoded(values, tensor, threads)


def _encoded(values: np.ndarray, tensor: _Tensor, threads: int) -> np.ndarray:
    from gguf import GGMLQuantizationType

    if tensor.kind == GGMLQuantizationType.F32:
        return values
    if tensor.kind != GGMLQuantizationType.F16:
        return quantize(values, tensor.kind, threads)
    with np.errstate(over="ignore"):
        values = values.astype(np.float16)
    if not np.isfinite(values).all():
        raise UserError(REFUSED.format(f"{tensor.source} has weights beyond float16"))
    return values


def _permuted(values: np.ndarray, source: str, config: dict) -> np.ndarray:
    """llama.cpp rotates pairs of neighbours where transformers rotates halves: q and k rows change places for it."""
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    projection = source.split(".")[-2]
    if projection not in heads:
        return values
    count = heads[projection]
    pairs = values.reshape(count, 2, values.shape[0] // count // 2, *values.shape[1:])
    return pairs.swapaxes(1, 2).reshape(values.shape)
