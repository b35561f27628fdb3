"""From an adapter to the files of an export, and from the files to the proof that they are the same model.

Everything of an export stands in one folder: adapter/ (PEFT), merged/ (16-bit safetensors), merged-nf4/, gguf/.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.llama_server import serve
from questions_gen.training import export_checks as checks
from questions_gen.training.backend import (
    ModelParams,
    base_files,
    base_location,
    free_memory,
    load_model,
    load_tokenizer,
)
from questions_gen.training.gguf_export import write_gguf
from questions_gen.training.merge import merge
from questions_gen.training.nf4 import require_4bit, write_nf4

Format = Literal["safetensors", "safetensors-nf4", "gguf-f16", "gguf-q8_0", "gguf-q4_k_m"]

FOLDERS = {"adapter": "adapter", "safetensors": "merged", "safetensors-nf4": "merged-nf4"}
"""Where a format that transformers loads stands."""

GGUF_NAME = "questions-gen"
"""The title that a GGUF file bears."""


def copy_adapter(base: Path, adapter: Path, target: Path) -> None:
    """Copy a PEFT adapter; it names its base by the Hub's id, or not at all, but never by a folder of ours."""
    target.mkdir(parents=True)
    shutil.copyfile(adapter / "adapter_model.safetensors", target / "adapter_model.safetensors")
    name, revision = base_location(base)
    config = files.read_json(adapter / "adapter_config.json")
    place = {"base_model_name_or_path": name if revision else None, "revision": revision}
    files.write_json(target / "adapter_config.json", {**config, **place})


def write_formats(formats: Sequence[Format], params: ModelParams, base: Path, adapter: Path, exported: Path) -> None:
    """Write adapter/ and merged/, from which the other formats are made, and those.

    Raises UserError for what can't be exported.
    """
    import torch

    torch.set_num_threads(params.threads)
    copy_adapter(base, adapter, exported / FOLDERS["adapter"])
    merged = exported / FOLDERS["safetensors"]
    merge(base_files(base), adapter, merged)
    for name in formats:
        if name.startswith("gguf-"):
            write_gguf(merged, gguf_file(exported, name), gguf_kind(name), GGUF_NAME, threads=params.threads)
        elif name != "safetensors":
            write_nf4(merged, exported / FOLDERS[name], params.dtype)


def gguf_kind(format_name: str) -> Any:
    return format_name.removeprefix("gguf-")


def gguf_file(exported: Path, format_name: str) -> Path:
    return exported / "gguf" / f"model-{gguf_kind(format_name)}.gguf"


def check_formats(
    formats: Sequence[Format], params: ModelParams, base: Path, adapter: Path, exported: Path, *, smoke_tokens: int
) -> dict[str, Any]:
    """{"formats": {format: numbers}, "smoke": …, "chat_template_alike": …}; the last two are null without a GGUF.

    The reference is never quantised: an adapter that was trained on 4-bit weights is merged into the 16-bit ones,
    and it is the merging that is checked here. Raises UserError for a file that isn't the model that was trained.
    """
    plain = params.model_copy(update={"backend": "transformers", "load_in_4bit": False})
    tokenizer = load_tokenizer(base)
    references = references_of(plain, base, adapter, tokenizer)
    numbers = {name: check_format(name, references, plain, base, exported) for name in ("adapter", *formats)}
    told: dict[str, Any] = {"formats": numbers, "smoke": None, "chat_template_alike": None}
    if ggufs := [name for name in formats if name not in FOLDERS]:
        longest = max(len(reference.prompt) for reference in references)
        file = gguf_file(exported, ggufs[0])
        with serve(file, threads=params.threads, context=longest + smoke_tokens) as base_url:
            told["chat_template_alike"] = checks.check_tokenizer(base_url, tokenizer)
            told["smoke"] = checks.write_one_problem(base_url, smoke_tokens)
    return told


def references_of(params: ModelParams, base: Path, adapter: Path, tokenizer: Any) -> list[checks.Continuation]:
    """What the adapter on its base model says after the fixed prompts."""
    model = load_model(params, base, adapter=adapter)
    return [checks.continue_greedily(model, checks.prompt_ids(tokenizer, messages)) for messages in checks.PROMPTS]


def check_format(
    name: str, references: Sequence[checks.Continuation], params: ModelParams, base: Path, exported: Path
) -> dict[str, Any]:
    """How far one format is from the references. Raises UserError for one beyond its limits."""
    free_memory()  # a model may hold itself in a cycle: the last one goes before the next is loaded
    if name in FOLDERS:
        told = checks.likeliest_of_model(_load(name, params, base, exported), references)
    else:
        context = max(len(reference.prompt) + len(reference.tokens) for reference in references)
        with serve(gguf_file(exported, name), threads=params.threads, context=context) as base_url:
            told = checks.likeliest_of_server(base_url, references)
    limit = checks.limit_of(name, params)
    return checks.judged(name, checks.compare(references, told, limit.tie), limit)


def _load(name: str, params: ModelParams, base: Path, exported: Path) -> Any:
    """The exported model of a format that transformers loads."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = exported / FOLDERS[name]
    device = "auto" if torch.cuda.is_available() else "cpu"
    dtype = getattr(torch, params.dtype)
    try:
        if name == "adapter":
            return load_model(params, base, adapter=folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, device_map=device).eval()
    except Exception as error:  # whatever the library that reads the format raises for a damaged file
        raise UserError(f"export.formats: {name} can't be loaded again ({type(error).__name__}: {error})") from error
    if name == "safetensors-nf4":
        require_4bit(model)
    return model
