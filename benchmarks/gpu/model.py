"""A base model of real shape with random weights, written for the pipeline's own loaders. No network.

The weights are drawn on the accelerator, in bfloat16 and a shard at a time: neither the model nor a float32 copy of
it is ever whole in the host's memory. The tokenizer is Qwen3's own, rebuilt from its ranks.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from questions_gen import files
from tests.qwen import SMALL, build_tokenizer

SHARD = 2**31
"""Bytes, about."""
WRITERS = 6
"""Shards that are drawn and written at once: the most that the host's memory holds of them."""

SHAPES: dict[str, dict[str, Any]] = {
    # config.json of Qwen/Qwen3-14B
    "qwen3-14b": {
        "vocab_size": 151936, "hidden_size": 5120, "intermediate_size": 17408, "num_hidden_layers": 40,
        "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 40960,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}, "tie_word_embeddings": False,
    },
    # the same architecture for a test on a CPU, with a cut tokenizer
    "qwen3-tiny": {
        "vocab_size": 2112, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}, "tie_word_embeddings": False,
    },
}  # fmt: skip


def write_base(folder: Path, shape: str, device: str, seed: int = 0) -> None:
    """Random bfloat16 shards, config, tokenizer and base.json: a base model of the pipeline. Norms are 1, as new."""
    import torch
    from safetensors.torch import save_file
    from transformers import GenerationConfig

    folder.mkdir(parents=True)
    config, shapes = _skeleton(shape)
    shards = list(_sharded(shapes))
    names = [f"model-{number + 1:05d}-of-{len(shards):05d}.safetensors" for number in range(len(shards))]

    def write(number: int) -> None:
        generator = torch.Generator(device).manual_seed(seed + number)
        tensors = {}
        for key, size in shards[number].items():
            drawn = torch.ones(size, dtype=torch.bfloat16, device=device)
            if len(size) > 1:
                drawn.normal_(0, config.initializer_range, generator=generator)
            tensors[key] = drawn.cpu()
        save_file(tensors, folder / names[number], {"format": "pt"})

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(len(shards))))
    places = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
    size = sum(2 * _elements(shape) for shape in shapes.values())
    files.write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": places})
    tokenizer = build_tokenizer(SMALL if config.vocab_size < 10_000 else None)
    ends = {"eos_token_id": [tokenizer.eos_token_id, tokenizer.pad_token_id], "pad_token_id": tokenizer.pad_token_id}
    config.update({**ends, "dtype": "bfloat16", "architectures": ["Qwen3ForCausalLM"]})
    config.save_pretrained(folder)
    GenerationConfig(**ends).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    files.write_json(folder / "base.json", {"kind": "local"})


def matrix_parameters(shape: str) -> int:
    """Weights that a token is multiplied with: all matrices but the embedding, which is looked up."""
    _, shapes = _skeleton(shape)
    return sum(_elements(size) for name, size in shapes.items() if len(size) == 2 and "embed_tokens" not in name)


def _skeleton(shape: str) -> tuple[Any, dict[str, tuple[int, ...]]]:
    """The config, and the name and shape of each weight in the model's own order."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(**SHAPES[shape])
    with torch.device("meta"):
        model = Qwen3ForCausalLM(config)
    return config, {name: tuple(weight.shape) for name, weight in model.state_dict().items()}


def _sharded(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[dict[str, tuple[int, ...]]]:
    shard: dict[str, tuple[int, ...]] = {}
    for name, size in shapes.items():
        shard[name] = size
        if sum(2 * _elements(taken) for taken in shard.values()) > SHARD:
            yield shard
            shard = {}
    if shard:
        yield shard


def _elements(size: tuple[int, ...]) -> int:
    count = 1
    for length in size:
        count *= length
    return count
