"""Stage fetch: the raw corpora and the base model, pinned, with a manifest of what exactly they are.

data/raw/problems, chat and evaluation hold one JSON lines file a source, each row as its source wrote it.
models/base holds a converted model, or a pointer to one of the Hub, which isn't copied.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from questions_gen import files, sources
from questions_gen.gguf_import import import_gguf
from questions_gen.params import Section, Seed
from questions_gen.sources import EvaluationSource, HeldOut, ModelSource, PackageModel, RowSource
from questions_gen.stage import Context, Log, Stage


class FetchParams(Section):
    """What the pipeline starts from."""

    model: ModelSource
    problems: tuple[RowSource, ...]
    chat: tuple[RowSource, ...]
    evaluation_sets: tuple[EvaluationSource, ...]
    """Texts that the training must not have seen: held-out rows of a source of problems, or sources of their own."""

    @model_validator(mode="after")
    def _groups(self) -> Self:
        if not self.problems:
            raise ValueError("problems: at least one source is needed")
        for group in ("problems", "chat", "evaluation_sets"):
            for position, item in enumerate(getattr(self, group)):
                if not isinstance(item, HeldOut) and (item.schema_ == "sharegpt") != (group == "chat"):
                    raise ValueError(f"{group}.{position}.schema: dialogues are sharegpt, problems another schema")
        return self


def fetch(context: Context, *, fetch: FetchParams, seed: int, local: Path, raw: Path, base: Path) -> Log:
    """Write `raw` and `base`. `local` is an input so that DVC watches it; params.yaml names the files in it."""
    entries = [*_write_rows(fetch, seed, raw), _write_model(fetch.model, base)]
    entries.sort(key=lambda entry: (entry["group"], entry["name"]))
    files.write_json(raw / "manifest.json", {"sources": entries})
    counts = {f"{entry['group']}/{entry['name']}": entry["rows"] for entry in entries if entry["rows"]}
    context.tracker.log_metrics(counts)
    return Log(metrics={"rows": counts})


def _write_rows(params: FetchParams, seed: int, raw: Path) -> Iterator[dict[str, Any]]:
    """Write every source; yield its entry of the manifest."""
    problems = {
        item.name: (item, sources.open_rows(item, f"fetch.problems.{position}"))
        for position, item in enumerate(params.problems)
    }
    taken: dict[str, set[int]] = defaultdict(set)
    for position, item in enumerate(params.evaluation_sets):
        key = f"fetch.evaluation_sets.{position}"
        if isinstance(item, HeldOut):
            source, rows = problems[item.source]
            chosen = sources.hold_out(rows, item, seed, taken[item.source], key)
            taken[item.source] |= chosen
            yield sources.write_source(raw, "evaluation", source, rows.only(chosen), held_out=item)
        else:
            yield sources.write_source(raw, "evaluation", item, sources.open_rows(item, key))
    for name, (source, rows) in problems.items():
        yield sources.write_source(raw, "problems", source, rows.without(taken[name]))
    for position, item in enumerate(params.chat):
        yield sources.write_source(raw, "chat", item, sources.open_rows(item, f"fetch.chat.{position}"))


def _write_model(model: ModelSource, base: Path) -> dict[str, Any]:
    if isinstance(model, PackageModel):
        import_gguf(sources.package_file(model.package, model.path, "fetch.model"), base)
        files.write_json(base / "base.json", {"kind": "local"})
        made = {"version": sources.package_version(model.package), "sha256": files.digest(base / "model.safetensors")}
    else:
        revision = sources.hub_revision("model", model.repo_id, model.revision, "fetch.model")
        files.write_json(base / "base.json", {"kind": "hub", "repo_id": model.repo_id, "revision": revision})
        made = {"revision": revision}
    return sources.manifest_entry("model", model, name="base", **made)


STAGE = Stage(
    "fetch",
    params={"fetch": FetchParams, "seed": Seed},
    inputs={"local": sources.LOCAL},
    outputs={"raw": Path("data/raw"), "base": Path("models/base")},
    work=fetch,
)
