"""Loading models, tokenizers and adapters: the only file that knows which backend is at work.

Simplified on purpose: one device, one adapter at a time. An adapter is continued from stage to stage, never
attached twice and never merged before export.
"""

import gc
import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.params import Count, Name, Positive, Section, Share


class ModelParams(Section):
    backend: Literal["transformers", "unsloth"]
    dtype: Literal["float32", "bfloat16"]
    load_in_4bit: bool
    """Weights in nf4 (bitsandbytes); the adapter stays in `dtype`."""
    max_length: Annotated[int, Field(ge=64)]
    """Tokens of prompt and completion."""
    gradient_checkpointing: bool
    """Recompute activations in the backward pass: less memory, about a third more time."""
    trust_remote_code: bool
    """Run Python code that comes with the model. No model of ours needs it."""
    threads: Count
    """CPU threads of torch: another number gives other last bits."""


class LoraParams(Section):
    r: Count
    alpha: Positive
    dropout: Share
    targets: Annotated[list[Name], Field(min_length=1)]
    """Projections that get an adapter."""


def base_location(base: Path) -> tuple[str, str | None]:
    """Where the base model's weights are: (folder or repository id, revision), as models/base/base.json says."""
    pointer = files.read_json(base / "base.json")
    return (pointer["repo_id"], pointer["revision"]) if pointer["kind"] == "hub" else (base.as_posix(), None)


def load_tokenizer(base: Path) -> Any:
    """The base model's tokenizer; it pads on the right, as training does."""
    from transformers import AutoTokenizer

    name, revision = base_location(base)
    tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, padding_side="right")
    if tokenizer.pad_token is None:
        raise UserError(f"{base}: its tokenizer has no padding token; set `pad_token` in tokenizer_config.json")
    return tokenizer


def load_model(
    params: ModelParams, base: Path, *, adapter: Path | None = None, lora: LoraParams | None = None, seed: int = 0
) -> Any:
    """The base model, with a trained `adapter`, with a new one made from `lora`, with both, or with neither.

    Given both, the adapter is continued (trainable); given only `adapter`, it is frozen. `seed` decides the
    new adapter's first weights.
    """
    import torch
    from transformers import set_seed

    torch.set_num_threads(params.threads)
    set_seed(seed)
    loader = _load_unsloth if params.backend == "unsloth" else _load_transformers
    model = loader(params, base, adapter, lora, seed)
    if lora is None:
        model.eval()
    return model


def _load_transformers(
    params: ModelParams, base: Path, adapter: Path | None, lora: LoraParams | None, seed: int
) -> Any:
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    name, revision = base_location(base)
    dtype = getattr(torch, params.dtype)
    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    model = AutoModelForCausalLM.from_pretrained(
        name,
        revision=revision,
        dtype=dtype,
        device_map="auto" if torch.cuda.is_available() else "cpu",
        quantization_config=quantization if params.load_in_4bit else None,
        trust_remote_code=params.trust_remote_code,
    )
    if params.load_in_4bit and lora is not None:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=params.gradient_checkpointing)
    if adapter is not None:
        return PeftModel.from_pretrained(model, adapter, is_trainable=lora is not None)
    if lora is None:
        return model
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.targets,
        bias="none",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def _load_unsloth(params: ModelParams, base: Path, adapter: Path | None, lora: LoraParams | None, seed: int) -> Any:
    try:
        from unsloth import FastLanguageModel
    except (ImportError, NotImplementedError) as error:
        raise UserError(
            f"model.backend: unsloth can't be used here ({error}); it needs a GPU and `pip install .[gpu]`. "
            "Set model.backend: transformers to go on without it"
        ) from None
    import torch

    name, revision = base_location(base)
    model, _ = FastLanguageModel.from_pretrained(
        model_name=name if adapter is None else adapter.as_posix(),
        revision=revision if adapter is None else None,
        max_seq_length=params.max_length,
        dtype=getattr(torch, params.dtype),
        load_in_4bit=params.load_in_4bit,
        trust_remote_code=params.trust_remote_code,
    )
    if lora is None:
        return FastLanguageModel.for_inference(model)
    if adapter is not None:
        return FastLanguageModel.for_training(model)
    return FastLanguageModel.get_peft_model(
        model,
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.targets,
        bias="none",
        use_gradient_checkpointing="unsloth" if params.gradient_checkpointing else False,
        random_state=seed,
    )


def save_adapter(model: Any, path: Path) -> None:
    """Write a PEFT adapter whose bytes depend on its weights and config alone."""
    model.save_pretrained(path, safe_serialization=True)
    (path / "README.md").unlink(missing_ok=True)
    _sort_targets(path)


def copy_adapter(source: Path, target: Path) -> None:
    """Write the adapter at `source`, perhaps a trainer's checkpoint, as `save_adapter` would."""
    target.mkdir(parents=True, exist_ok=True)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copyfile(source / name, target / name)
    _sort_targets(target)


def _sort_targets(path: Path) -> None:
    """PEFT writes them in the order of a set."""
    config = files.read_json(path / "adapter_config.json")
    config["target_modules"] = sorted(config["target_modules"])
    files.write_json(path / "adapter_config.json", config)


def load_weights(model: Any, adapter: Path) -> None:
    """Give a model that has an adapter the weights of another one of the same shape."""
    from peft import load_peft_weights, set_peft_model_state_dict

    set_peft_model_state_dict(model, load_peft_weights(str(adapter), device="cpu"))


def free_memory() -> None:
    """Give back what a model left behind: trainers hold theirs in circles of references."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
