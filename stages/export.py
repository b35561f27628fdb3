"""export: the last adapter as files that others can load, each checked before it counts.

models/export holds adapter/ (PEFT), merged/ (16-bit safetensors), gguf/, checks.json and the model card, README.md.
"""

import shutil
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from questions_gen import files
from questions_gen.params import Count, Section
from questions_gen.stage import Context, Log, Stage
from questions_gen.training.backend import ModelParams
from questions_gen.training.card import Run, model_card
from questions_gen.training.export import check_formats, copy_adapter, write_formats
from questions_gen.training.export_checks import PROMPTS

EXPORTED = "distill"
"""The stage whose adapter is exported: the last one that trains."""


class ExportParams(Section):
    formats: Annotated[list[Literal["safetensors", "gguf-f16", "gguf-q8_0"]], Field(min_length=1)]
    """What is written beside the adapter."""
    smoke_tokens: Count
    """Longest problem that the exported GGUF is asked for."""

    @model_validator(mode="after")
    def _no_format_twice(self) -> Self:
        if len(set(self.formats)) < len(self.formats):
            raise ValueError("formats: one stands twice")
        return self


def work(
    context: Context,
    *,
    export: ExportParams,
    model: ModelParams,
    base: Path,
    adapter: Path,
    summary: Path,
    manifest: Path,
    exported: Path,
) -> Log:
    exported.mkdir(parents=True)
    copy_adapter(base, adapter, exported / "adapter")
    write_formats(export.formats, model, base, adapter, exported)
    checks = check_formats(export.formats, model, base, adapter, exported, smoke_tokens=export.smoke_tokens)
    if "safetensors" not in export.formats:
        shutil.rmtree(exported / "merged")
    files.write_json(exported / "checks.json", checks)
    run = Run(
        stage=EXPORTED,
        sources=files.read_json(manifest)["sources"],
        lora=files.read_json(adapter / "adapter_config.json"),
        summary=files.read_json(summary),
        checks=checks,
        prompt=PROMPTS[0][-1].content,
    )
    files.write_text(exported / "README.md", model_card(run, exported))
    for name, numbers in checks["formats"].items():
        context.tracker.log_metrics({f"{name}/{key}": value for key, value in numbers.items()})
    return Log(metrics=checks["formats"])


STAGE = Stage(
    "export",
    params={"export": ExportParams, "model": ModelParams},
    inputs={
        "base": Path("models/base"),
        "adapter": Path("models") / EXPORTED,
        "summary": Path("metrics/summary.json"),
        "manifest": Path("data/raw/manifest.json"),
    },
    outputs={"exported": Path("models/export")},
    work=work,
)
