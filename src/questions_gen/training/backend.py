"""Loading models, tokenizers and adapters: the only file that knows which backend is at work.

Simplified on purpose: one adapter at a time. An adapter is continued from stage to stage, never attached twice and
never merged before export.

What unsloth 2026.10.7 does that this file answers, read in its source (unsloth/models/loader.py and rl.py):
it patches trl, transformers and peft when it is imported (`use_backend`); it takes another repository, at another
revision, for a model that it has packed itself, and no revision at all for the base of an adapter (`_load_unsloth`);
it gives TRL's fields other defaults and changes some that were set (`runtime_arguments`, `check_fields`).
"""

import gc
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.params import Count, Name, Positive, Section, Share
from questions_gen.training.processes import count, fully_sharded, join, main_only


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


INDEX = "model.safetensors.index.json"
BESIDE = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "chat_template.jinja", "vocab.json", "merges.txt",
)  # fmt: skip
"""What stands beside a model's weights: copied where the base model has it."""


def base_files(base: Path) -> Path:
    """The folder of the base model's files; those of a Hub model are fetched at its pinned revision.

    What was fetched before is in the Hub's cache and isn't fetched again. Raises UserError.
    """
    name, revision = base_location(base)
    if revision is None:
        return Path(name)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=["*.safetensors", INDEX, *BESIDE]))
    except OSError as error:  # what huggingface_hub raises, and a full disk
        reason = str(error).splitlines()[0]
        raise UserError(
            f"fetch.model.repo_id: the files of {name} can't be fetched ({reason}); see to the network, HF_TOKEN and "
            "the disk, and run `dvc repro` again"
        ) from None


def load_tokenizer(base: Path) -> Any:
    """The base model's tokenizer; it pads on the right, as training does."""
    from transformers import AutoTokenizer

    name, revision = base_location(base)
    tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, padding_side="right")
    if tokenizer.pad_token is None:
        raise UserError(f"{base}: its tokenizer has no padding token; set `pad_token` in tokenizer_config.json")
    return tokenizer


def use_backend(params: ModelParams) -> None:
    """Import what has to come before trl, transformers and peft. The first thing that a stage with a model does.

    Raises UserError where the backend can't be used.
    """
    if params.backend != "unsloth" or "unsloth" in sys.modules:
        return
    late = [name for name in ("trl", "transformers", "peft") if name in sys.modules]
    try:
        import unsloth  # noqa: F401
    except (ImportError, NotImplementedError) as error:
        raise UserError(
            f"model.backend: unsloth can't be used here ({error}); it needs a GPU and `make gpu`. "
            "Set model.backend: transformers to go on without it"
        ) from None
    if late:
        raise RuntimeError(f"unsloth has to be imported before {', '.join(late)}, which it patches")


def require_vllm(key: str) -> None:
    """Raises UserError, with the key that asks for it, where vLLM isn't installed. unsloth would go on without it."""
    if importlib.util.find_spec("vllm") is None:
        raise UserError(
            f"{key}: it needs vLLM, which isn't installed here: `pip install vllm` where there is a GPU, or set "
            f"{key}: transformers"
        )


def load_model(
    params: ModelParams,
    base: Path,
    *,
    adapter: Path | None = None,
    lora: LoraParams | None = None,
    seed: int = 0,
    engine_memory: float | None = None,
) -> Any:
    """The base model, with a trained `adapter`, with a new one made from `lora`, with both, or with neither.

    Given both, the adapter is continued (trainable); given only `adapter`, it is frozen. `seed` decides the
    new adapter's first weights. `engine_memory` is the share of a GPU's memory for vLLM inside the model, which
    unsloth alone has.
    """
    use_backend(params)
    import torch
    from transformers import set_seed

    torch.set_num_threads(params.threads)
    set_seed(seed)
    if params.backend == "unsloth":
        model = _load_unsloth(params, base, adapter, lora, seed, engine_memory)
    else:
        model = _load_transformers(params, base, adapter, lora)
    if lora is None:
        model.eval()
    return model


def _load_transformers(params: ModelParams, base: Path, adapter: Path | None, lora: LoraParams | None) -> Any:
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model
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
        device_map={"": int(os.environ.get("LOCAL_RANK", "0")) if torch.cuda.is_available() else "cpu"},
        quantization_config=quantization if params.load_in_4bit else None,
        trust_remote_code=params.trust_remote_code,
    )
    if adapter is not None:
        return _autocast_adapter(PeftModel.from_pretrained(model, adapter, is_trainable=lora is not None))
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
    return _autocast_adapter(get_peft_model(model, config))


def _autocast_adapter(model: Any) -> Any:
    """Leave it to autocast to round the adapter's small matrices to 16 bits, as PEFT does for 4-bit layers.

    For others it widens each layer's input to the adapter's float32 first, only for autocast to round it again: two
    more passes over every activation.
    """
    import torch
    from peft.tuners.lora import LoraLayer

    def cast(layer: Any, x: Any, dtype: Any) -> Any:
        return x if torch.is_autocast_enabled(x.device.type) else LoraLayer._cast_input_dtype(layer, x, dtype)

    for layer in model.modules():
        if isinstance(layer, LoraLayer):
            layer._cast_input_dtype = partial(cast, layer)
    return model


def _load_unsloth(
    params: ModelParams,
    base: Path,
    adapter: Path | None,
    lora: LoraParams | None,
    seed: int,
    engine_memory: float | None,
) -> Any:
    """unsloth's fast model. It is given folders: a repository's name it may exchange, and it forgets the revision."""
    import torch
    from unsloth import FastLanguageModel

    checkpointing = "unsloth" if params.gradient_checkpointing else False
    options: dict[str, Any] = {
        "max_seq_length": params.max_length,
        "dtype": getattr(torch, params.dtype),
        "load_in_4bit": params.load_in_4bit,
        "trust_remote_code": params.trust_remote_code,
        "use_gradient_checkpointing": checkpointing,
        "use_exact_model_name": True,
        "random_state": seed,
    }
    if engine_memory is not None:
        options |= {"fast_inference": True, "gpu_memory_utilization": engine_memory}
        options["max_lora_rank"] = lora.r if lora else files.read_json(adapter / "adapter_config.json")["r"]
    with tempfile.TemporaryDirectory() as folder:
        source = base_files(base) if adapter is None else _on_pinned_base(adapter, base_files(base), Path(folder))
        model, _ = FastLanguageModel.from_pretrained(model_name=str(source), **options)
    if lora is not None and adapter is None:
        model = FastLanguageModel.get_peft_model(
            model,
            r=lora.r,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=lora.targets,
            bias="none",
            use_gradient_checkpointing=checkpointing,
            random_state=seed,
        )
    for config in getattr(model, "peft_config", {}).values():
        config.base_model_name_or_path = base_location(base)[0]  # in a saved adapter: no folder of this machine
    if lora is None:
        return FastLanguageModel.for_inference(model)
    return FastLanguageModel.for_training(model, use_gradient_checkpointing=checkpointing)


def _on_pinned_base(adapter: Path, base: Path, folder: Path) -> Path:
    """A copy of `adapter` in `folder` that names the files in `base`: an adapter's base is what it names."""
    copy_adapter(adapter, folder)
    config = files.read_json(folder / "adapter_config.json")
    files.write_json(
        folder / "adapter_config.json", {**config, "base_model_name_or_path": str(base.resolve()), "revision": None}
    )
    return folder


def runtime_arguments(params: ModelParams, seed: int, output: Path) -> dict[str, Any]:
    """The fields of every TRL trainer, said here: defaults change with releases, and unsloth has its own.

    Those of what is learned stand with each trainer. A test holds both to unsloth's list of changed defaults.
    """
    import torch

    if count() > 1:
        join()
    return {
        "output_dir": str(output),
        "use_cpu": not torch.cuda.is_available(),  # without it, bf16 is refused on a CPU
        "ddp_backend": "gloo" if count() > 1 and not torch.cuda.is_available() else None,
        "ddp_find_unused_parameters": False,
        "bf16": params.dtype == "bfloat16",
        "fp16": False,
        "gradient_checkpointing": params.gradient_checkpointing,
        # the older kind: no hook on every tensor that is kept, for which the card would wait (docs/gpu.md)
        "gradient_checkpointing_kwargs": {"use_reentrant": not fully_sharded()},
        "max_grad_norm": 1.0,
        "auto_find_batch_size": False,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "eval_strategy": "no",
        "eval_accumulation_steps": None,
        "torch_empty_cache_steps": None,
        "include_num_input_tokens_seen": "no",
        "logging_steps": 1,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,  # a loss that isn't finite is shown as it is
        "save_strategy": "steps",
        "save_total_limit": 2,
        "report_to": "none",
        "seed": seed,
        "data_seed": seed,
    }


def supervised_loss(params: ModelParams) -> str:
    """TRL's loss_type for sft. TRL's own chunked loss goes round unsloth's, which is chunked too."""
    return "nll" if params.backend == "unsloth" else "chunked_nll"


def supervised_length(params: ModelParams) -> int | None:
    """TRL's max_length for sft and dpo, where no row is longer. unsloth puts its model's in place of none."""
    return params.max_length if params.backend == "unsloth" else None


def check_fields(arguments: Any, wanted: Mapping[str, Any]) -> None:
    """Raises UserError with each field of a built trainer's `arguments` that isn't what it was asked to be."""
    changed = [
        f"{name} is {_plain(getattr(arguments, name, None))!r}, wanted {_plain(value)!r}"
        for name, value in wanted.items()
        if _plain(getattr(arguments, name, None)) != _plain(value)
    ]
    if changed:
        raise UserError(
            f"{type(arguments).__name__}: the trainer was built with other fields than it was given, by TRL or by the "
            f"backend: {'; '.join(changed)}. Install the locked releases (`make`, `make gpu`), or set model.backend: "
            "transformers"
        )


def _plain(value: Any) -> Any:
    """A field's value as it is written: transformers turns names into enums, and "none" into an empty list."""
    if isinstance(value, Enum):
        return value.value
    return [] if value == "none" else value


def save_adapter(model: Any, path: Path) -> None:
    """Write a PEFT adapter whose bytes depend on its weights and config alone."""
    # the embeddings aren't trained; left to find that out, PEFT asks the Hub for the base model's config
    model.save_pretrained(path, safe_serialization=True, save_embedding_layers=False)
    (path / "README.md").unlink(missing_ok=True)
    _sort_targets(path)


def save_trained(trainer: Any, path: Path) -> None:
    """Write a trainer's adapter to the main process's `path`; each of several processes gives its part of it."""
    if count() == 1:
        save_adapter(trainer.model, path)
        return
    gathering = Path(trainer.args.output_dir) / "gathered"
    trainer.save_model(str(gathering))
    main_only(lambda: copy_adapter(gathering, path))


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
