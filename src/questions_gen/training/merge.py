"""Merging a LoRA adapter into 16-bit safetensors, one shard of the base model at a time.

    W' = W + (alpha / r) · B · A        (Hu et al. 2021, arXiv 2106.09685, section 4.1)

The sum is taken in float32 and rounded once. The model is never built, so memory stays at about one shard:
the shards are those of the base model. Plain LoRA on linear layers only, which is all that we train; another
kind of adapter is refused and not half-merged.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.training.backend import BESIDE, INDEX

SINGLE = "model.safetensors"

UNSUPPORTED = {
    "use_dora": False, "use_rslora": False, "fan_in_fan_out": False, "bias": "none",
    "modules_to_save": None, "rank_pattern": {}, "alpha_pattern": {},
}  # fmt: skip
"""Settings of adapter_config.json that change the sum, and the one value of each that we merge."""


def merge(folder: Path, adapter: Path, merged: Path) -> None:
    """Write the model in `folder` with `adapter` merged in: 16-bit shards, config and tokenizer.

    bfloat16 tensors stay bfloat16, so that what the adapter doesn't touch keeps its bits, and a model trained in
    bfloat16 may overflow in float16. All others become float16, which keeps three more bits of each weight.
    Raises UserError for a base that is quantised, an adapter that isn't plain LoRA or that doesn't fit the base,
    and weights beyond float16.
    """
    from safetensors.torch import save_file

    config = files.read_json(folder / "config.json")
    if "quantization_config" in config:
        raise UserError("fetch.model: its weights are quantised and can't be merged into; name the 16-bit model")
    scale = _scale(adapter)
    merged.mkdir(parents=True)
    used, dtypes, size = set(), set(), 0
    with open_weights(adapter / "adapter_model.safetensors") as lora:
        pairs = _pairs(lora.keys())
        for shard in shard_names(folder):
            with open_weights(folder / shard) as weights:
                names = sorted(weights.keys())
                tensors = {name: _merged(weights, name, lora, pairs.get(name), scale) for name in names}
            used.update(tensors.keys() & pairs.keys())
            save_file(tensors, merged / shard, metadata={"format": "pt"})
            dtypes.update(str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values())
            size += sum(tensor.nbytes for tensor in tensors.values())
    if left := sorted(pairs.keys() - used):
        raise UserError(f"{adapter}: it has weights for {left[0]}, which the base model lacks; train it again")
    copy_beside(folder, merged)
    config = {key: value for key, value in config.items() if key != "torch_dtype"}
    files.write_json(merged / "config.json", {**config, "dtype": min(dtypes)})
    if (folder / INDEX).exists():
        index = files.read_json(folder / INDEX)
        files.write_json(merged / INDEX, {**index, "metadata": {"total_size": size}})


def shard_names(folder: Path) -> list[str]:
    """File names of a model's weights, in order."""
    if (folder / INDEX).exists():
        return sorted(set(files.read_json(folder / INDEX)["weight_map"].values()))
    if not (folder / SINGLE).exists():
        raise UserError(f"{folder}: neither {SINGLE} nor {INDEX}; the base model has to be in safetensors")
    return [SINGLE]


def copy_beside(folder: Path, merged: Path) -> None:
    """Copy what stands beside a model's weights."""
    for name in BESIDE:
        if (folder / name).exists():
            shutil.copyfile(folder / name, merged / name)


def _scale(adapter: Path) -> float:
    config = files.read_json(adapter / "adapter_config.json")
    for key, plain in UNSUPPORTED.items():
        if config.get(key, plain) not in (plain, None):
            raise UserError(f"{adapter}: {key} is {config[key]!r}; export merges plain LoRA only ({key}: {plain!r})")
    return config["lora_alpha"] / config["r"]


def _pairs(names: list[str]) -> dict[str, tuple[str, str]]:
    """Name of a base weight → names of its lora_A and lora_B in the adapter file."""
    first = [name for name in names if name.endswith(".lora_A.weight")]
    return {
        name.removeprefix("base_model.model.").replace(".lora_A.weight", ".weight"): (
            name,
            name.replace(".lora_A.", ".lora_B."),
        )
        for name in first
    }


def _merged(weights: Any, name: str, lora: Any, pair: tuple[str, str] | None, scale: float) -> Any:
    """One tensor in 16 bits, on the CPU."""
    import torch

    weight = weights.get_tensor(name)
    kind = torch.bfloat16 if weight.dtype == torch.bfloat16 else torch.float16
    if pair is not None:
        first, second = (lora.get_tensor(part).float() for part in pair)
        if (second.shape[0], first.shape[1]) != tuple(weight.shape):
            shape = f"{second.shape[0]} × {first.shape[1]}"
            raise UserError(f"adapter: {name} is {shape}, but {tuple(weight.shape)} in the base model; train it again")
        weight = weight.float() + (second @ first) * scale
    rounded = weight.to(kind).contiguous()
    if not torch.isfinite(rounded).all():
        raise UserError(f"{name}: a merged weight isn't finite in {kind}; train the adapter again, it has diverged")
    return rounded


@contextmanager
def open_weights(path: Path) -> Iterator[Any]:
    """A safetensors file, mapped and not read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as handle:
            yield handle
    except (SafetensorError, FileNotFoundError) as error:
        raise UserError(f"{path}: not a whole safetensors file ({error}); make it again") from None
