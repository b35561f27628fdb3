"""export: trained adapters as files that others can load, each checked before it counts.

models/export/<stage> holds adapter/ (PEFT), merged/ (16-bit safetensors), merged-nf4/ (4 bits), gguf/ with Ollama's
Modelfiles, checks.json and the model card, README.md; models/export/dataset.md is the card of data/mixed.
"""

import shutil
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from questions_gen import files
from questions_gen.params import Count, Section, Seed, Told
from questions_gen.stage import Context, Log, Stage
from questions_gen.training.backend import ModelParams, load_tokenizer
from questions_gen.training.card import Estimate, Run, model_card
from questions_gen.training.dataset_card import dataset_card
from questions_gen.training.export import Format, check_formats, write_formats
from questions_gen.training.export_checks import PROMPTS
from questions_gen.training.modelfile import modelfile

TRAINED = ("sft", "grpo", "distill")
"""Stages that train, in their order: each goes on from the adapter of the one before."""


class ExportParams(Section):
    models: Annotated[list[Literal["sft", "grpo", "distill"]], Field(min_length=1)]
    """Whose adapters are exported: names of stages."""
    formats: Annotated[list[Format], Field(min_length=1)]
    """What is written beside each adapter."""
    smoke_tokens: Count
    """Longest problem that the exported GGUF is asked for."""

    @model_validator(mode="after")
    def _nothing_twice(self) -> Self:
        for name, values in (("models", self.models), ("formats", self.formats)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: one stands twice")
        return self


def work(
    context: Context,
    *,
    export: ExportParams,
    model: ModelParams,
    seed: int,
    sft: Told,
    grpo: Told,
    distill: Told,
    propose: Told,
    base: Path,
    sft_adapter: Path,
    grpo_adapter: Path,
    distill_adapter: Path,
    mixed: Path,
    mix_log: Path,
    summary: Path,
    intervals: Path,
    manifest: Path,
    exported: Path,
) -> Log:
    adapters = {"sft": sft_adapter, "grpo": grpo_adapter, "distill": distill_adapter}
    params = {"sft": sft, "grpo": grpo, "distill": distill}
    sources = files.read_json(manifest)["sources"]
    measures = _measures(files.read_json(summary), files.read_json(intervals))
    metrics = {}
    for stage in export.models:
        folder, adapter = exported / stage, adapters[stage]
        write_formats(export.formats, model, base, adapter, folder)
        _write_modelfiles(folder, base, propose["sampling"], model.max_length)
        checks = check_formats(export.formats, model, base, adapter, folder, smoke_tokens=export.smoke_tokens)
        if "safetensors" not in export.formats:
            shutil.rmtree(folder / "merged")
        files.write_json(folder / "checks.json", checks)
        run = Run(
            stage=stage,
            sources=sources,
            lora=files.read_json(adapter / "adapter_config.json"),
            params={name: params[name] for name in TRAINED[: TRAINED.index(stage) + 1]},
            seed=seed,
            measures=measures,
            checks=checks,
            prompt=PROMPTS[0][-1].content,
        )
        files.write_text(folder / "README.md", model_card(run, folder))
        metrics[stage] = checks["formats"]
    files.write_text(exported / "dataset.md", dataset_card(sources, files.read_json(mix_log)["metrics"], mixed))
    return Log(metrics=metrics)


def _measures(summary: dict[str, Any], intervals: dict[str, Any]) -> dict[str, dict[str, Estimate | None]]:
    """Model → measure → its estimate; of what has no interval, as a loss, the number of the summary."""
    return {
        model: {name: {"mean": value} for name, value in summary["models"][model].items()}
        | intervals["models"][model]["measures"]
        for model in ("base", *TRAINED)
    }


def _write_modelfiles(folder: Path, base: Path, sampling: dict[str, Any], context: int) -> None:
    """One for each GGUF file, since each names its file."""
    tokenizer = load_tokenizer(base)
    for path in sorted((folder / "gguf").glob("*.gguf")):
        name = f"Modelfile-{path.stem.removeprefix('model-')}"
        files.write_text(path.with_name(name), modelfile(path.name, tokenizer, sampling, context))


STAGE = Stage(
    "export",
    params={
        "export": ExportParams,
        "model": ModelParams,
        "seed": Seed,
        **dict.fromkeys((*TRAINED, "propose"), Told),
    },
    inputs={
        "base": Path("models/base"),
        **{f"{stage}_adapter": Path("models") / stage for stage in TRAINED},
        "mixed": Path("data/mixed"),
        "mix_log": Path("logs/mix.json"),
        "summary": Path("metrics/summary.json"),
        "intervals": Path("metrics/intervals.json"),
        "manifest": Path("data/raw/manifest.json"),
    },
    outputs={"exported": Path("models/export")},
    work=work,
)
