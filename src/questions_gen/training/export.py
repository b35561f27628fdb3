"""From an adapter to the files of an export, and from the files to the proof that they are the same model."""

import gc
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from questions_gen import files
from questions_gen.llama_server import serve
from questions_gen.training import export_checks as checks
from questions_gen.training.backend import ModelParams, base_files, base_location, load_model, load_tokenizer
from questions_gen.training.gguf_export import write_gguf
from questions_gen.training.merge import merge

GGUF_NAME = "questions-gen"
"""The title that a GGUF file bears."""


def copy_adapter(base: Path, adapter: Path, target: Path) -> None:
    """Copy a PEFT adapter; it names its base by the Hub's id, or not at all, but never by a folder of ours."""
    target.mkdir()
    shutil.copyfile(adapter / "adapter_model.safetensors", target / "adapter_model.safetensors")
    name, revision = base_location(base)
    config = files.read_json(adapter / "adapter_config.json")
    place = {"base_model_name_or_path": name if revision else None, "revision": revision}
    files.write_json(target / "adapter_config.json", {**config, **place})


def write_formats(formats: Sequence[str], params: ModelParams, base: Path, adapter: Path, exported: Path) -> None:
    """Write merged/, from which the GGUF files are made, and gguf/. Raises UserError for what can't be exported."""
    import torch

    torch.set_num_threads(params.threads)
    merged = exported / "merged"
    merge(base_files(base), adapter, merged)
    for name in formats:
        if name != "safetensors":
            write_gguf(merged, gguf_file(exported, name), name.removeprefix("gguf-"), GGUF_NAME)


def gguf_file(exported: Path, format_name: str) -> Path:
    return exported / "gguf" / f"model-{format_name.removeprefix('gguf-')}.gguf"


def check_formats(
    formats: Sequence[str], params: ModelParams, base: Path, adapter: Path, exported: Path, *, smoke_tokens: int
) -> dict[str, Any]:
    """{"formats": {format: numbers}, "smoke": …, "chat_template_alike": …}; the last two are null without a GGUF.

    The reference is never quantised: an adapter that was trained on 4-bit weights is merged into the 16-bit ones,
    and it is the merging that is checked here. Raises UserError for a file that isn't the model that was trained.
    """
    plain = params.model_copy(update={"backend": "transformers", "load_in_4bit": False})
    tokenizer = load_tokenizer(base)
    prompts = [checks.prompt_ids(tokenizer, messages) for messages in checks.PROMPTS]
    model = load_model(plain, base, adapter=adapter)
    references = [checks.continue_greedily(model, prompt) for prompt in prompts]
    del model
    gc.collect()  # before the next one is loaded: a model may hold itself in a cycle
    result: dict[str, Any] = {"formats": {}, "smoke": None, "chat_template_alike": None}
    context = max(map(len, prompts)) + max(checks.TOKENS, smoke_tokens)
    for name in formats:
        if name == "safetensors":
            told = checks.likeliest_of_model(exported / "merged", plain, references)
            result["formats"][name] = checks.judged(name, checks.compare(references, told), plain)
            continue
        with serve(gguf_file(exported, name), threads=params.threads, context=context) as base_url:
            told = checks.likeliest_of_server(base_url, references)
            result["formats"][name] = checks.judged(name, checks.compare(references, told), plain)
            if result["smoke"] is None:
                result["chat_template_alike"] = checks.check_tokenizer(base_url, tokenizer)
                result["smoke"] = checks.write_one_problem(base_url, smoke_tokens)
    return result
