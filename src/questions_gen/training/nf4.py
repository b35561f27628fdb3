"""Writing merged safetensors as 4-bit ones (nf4, doubly quantised: Dettmers et al. 2023, arXiv 2305.14314, section 3).

bitsandbytes quantises, and names the parts as transformers reads them. The model is never built, so memory stays at
about one shard. unsloth's own `merged_4bit` refuses; quantising what was merged in 16 bits is its way around too.
"""

from pathlib import Path
from typing import Any

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.training.backend import INDEX
from questions_gen.training.merge import copy_beside, open_weights, shard_names

QUANTISED = "model.layers."
"""Matrices below this are linear layers; the embedding and the output stay in 16 bits, as transformers wants it."""

BLOCK = 64
"""Numbers with a scale of their own: bitsandbytes' default. On a CPU it reads none that goes over the end of a row."""


def write_nf4(merged: Path, target: Path, compute: str) -> None:
    """Write the model in `merged` with its linear layers in nf4, which are multiplied in the dtype `compute`."""
    from safetensors.torch import save_file

    target.mkdir(parents=True)
    places, size = {}, 0
    for shard in shard_names(merged):
        with open_weights(merged / shard) as weights:
            tensors: dict[str, Any] = {}
            for name in sorted(weights.keys()):
                tensors |= _quantised(name, weights.get_tensor(name))
        save_file(tensors, target / shard, metadata={"format": "pt"})
        places |= dict.fromkeys(tensors, shard)
        size += sum(tensor.nbytes for tensor in tensors.values())
    copy_beside(merged, target)
    config = files.read_json(merged / "config.json")
    files.write_json(target / "config.json", {**config, "quantization_config": _config(compute)})
    if (merged / INDEX).exists():
        files.write_json(target / INDEX, {"metadata": {"total_size": size}, "weight_map": places})


def _quantised(name: str, weight: Any) -> dict[str, Any]:
    """The tensor, or the parts of its nf4 form: <name>, <name>.absmax, <name>.quant_map …"""
    from bitsandbytes.functional import quantize_4bit

    if not name.startswith(QUANTISED) or weight.ndim != 2:
        return {name: weight}
    if weight.shape[1] % BLOCK:
        raise UserError(
            f"export.formats: {name} has rows of {weight.shape[1]} numbers, which blocks of {BLOCK} don't fit; "
            "take safetensors-nf4 out of the list"
        )
    packed, state = quantize_4bit(weight, blocksize=BLOCK, compress_statistics=True, quant_type="nf4")
    return {name: packed, **{f"{name}.{part}": value for part, value in state.as_dict(packed=True).items()}}


def _config(compute: str) -> dict[str, Any]:
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute
    )
    return config.to_dict()


def require_4bit(model: Any) -> None:
    """Raises UserError unless every linear layer of a loaded model has its weights in 4 bits."""
    import torch
    from bitsandbytes.nn import Linear4bit

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name.startswith(QUANTISED):
            kind = module.weight.quant_state.quant_type if isinstance(module, Linear4bit) else None
            if kind != "nf4" or module.weight.dtype != torch.uint8:
                raise UserError(f"export.formats: safetensors-nf4 loads {name} as {module.weight.dtype}, not as nf4")
