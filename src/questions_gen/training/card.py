"""The model card of an export (README.md on the Hugging Face Hub), made from the run's own records.

It says nothing that differs between equal runs: no commit, time or path of a machine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from questions_gen import files
from questions_gen.errors import UserError

HUB_LICENCES = {"apache-2.0", "mit", "cc-by-4.0", "cc-by-sa-4.0", "cc0-1.0", "bsd-3-clause", "gpl-3.0", "openrail"}
"""Those we may meet, of the identifiers that the Hub accepts; another one is `other` with its name."""


@dataclass(frozen=True)
class Run:
    """What a card tells about."""

    stage: str
    """Whose adapter it is."""
    sources: Sequence[Mapping[str, Any]]
    """Entries of data/raw/manifest.json."""
    lora: Mapping[str, Any]
    """adapter_config.json."""
    summary: Mapping[str, Mapping[str, Mapping[str, Any]]]
    """metrics/summary.json."""
    checks: Mapping[str, Any]
    prompt: str

    @property
    def base(self) -> Mapping[str, Any]:
        for entry in self.sources:
            if entry["group"] == "model":
                return entry
        raise UserError("data/raw/manifest.json: it names no model; `dvc repro fetch` makes it again")

    @property
    def base_name(self) -> str:
        place = self.base["from"]
        return place.get("repo_id") or Path(place["path"]).stem

    @property
    def title(self) -> str:
        return f"Questions-Gen, {self.base_name.split('/')[-1]}"


def model_card(run: Run, exported: Path) -> str:
    """The card of the files in `exported`, which are all there already."""
    header = yaml.safe_dump(front_matter(run), sort_keys=False, allow_unicode=True)
    parts = [
        f"# {run.title}",
        "Writes competition mathematics problems. A LoRA adapter, trained by the Questions-Gen pipeline: supervised "
        "training, group-relative policy optimisation with rewards, then supervised training on what a teacher model "
        f"improved. This is the model after the stage `{run.stage}`.",
        "## How to use",
        _how_to_use(run, exported),
        "## Training",
        f"Base model: {_place(run.base)}, licence {run.base['licence']}.",
        _table(("LoRA", "value"), _lora_rows(run.lora)),
        "## Data",
        _table(("source", "used for", "from", "licence", "rows"), [_source_row(e) for e in run.sources if e["rows"]]),
        "## Metrics",
        "Of problems sampled for the same prompts with the same seeds. `gate_pass_rate` is the share that passes the "
        "gate, `total` the gated, weighted mean of the rewards, `set_diversity` 1 − the highest similarity of a "
        "problem to another one of the set, `contamination_rate` the share that is a copy of a known problem or too "
        "near to one, `variation_success` the share of variations that are what was asked for, `teacher_overall` the "
        "teacher's mean mark out of 5, `teacher_approval` the share with at least 4, `balance` the lowest of "
        "the teacher's five mean marks over the highest. A dash is a number that wasn't measured.",
        _metrics_table(run.summary),
        "## Checks",
        _checks_text(run.checks),
        "## Files",
        _table(("file", "bytes", "sha256"), _file_rows(exported)),
        "## Limits",
        "- Problems are sampled, not proved: an answer may be wrong, a problem ill-posed or unsolvable. "
        "A person has to check each one before it is used.\n"
        "- The rewards measure form, novelty and signs of difficulty; they don't solve the problem.\n"
        "- A small base model shows that the pipeline works, and no more than that.\n"
        "- Novelty is measured against the data above and the run's own problems, not against all there is.",
    ]
    return f"---\n{header}---\n\n" + "\n\n".join(parts) + "\n"


def front_matter(run: Run) -> dict[str, Any]:
    """The card's metadata, as the Hub's model cards specify it."""
    licence = run.base["licence"].lower()
    header: dict[str, Any] = {"license": licence}
    if licence not in HUB_LICENCES:
        header = {"license": "other", "license_name": "-".join(licence.split())}
    if run.base["kind"] == "hub":
        header["base_model"] = run.base["from"]["repo_id"]
    if datasets := sorted({entry["from"]["repo_id"] for entry in run.sources if _is_hub_dataset(entry)}):
        header["datasets"] = datasets
    header |= {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["mathematics", "problem-generation", "lora", "peft", "gguf"],
    }
    numbers = {name: value for name, value in run.summary["models"][run.stage].items() if value is not None}
    if numbers:
        result = {
            "task": {"type": "text-generation"},
            "dataset": {"type": "held-out", "name": "Held-out problems"},
            "metrics": [{"type": name, "value": value} for name, value in sorted(numbers.items())],
        }
        header["model-index"] = [{"name": run.title, "results": [result]}]
    return header


def _is_hub_dataset(entry: Mapping[str, Any]) -> bool:
    return entry["group"] != "model" and "repo_id" in entry["from"]


def _place(entry: Mapping[str, Any]) -> str:
    place = entry["from"]
    if "repo_id" in place:
        named = [place["repo_id"], *(place[key] for key in ("config", "split") if place.get(key))]
        return f"`{'`, `'.join(named)}`" + (f" at `{entry['revision']}`" if entry["revision"] else "")
    if "package" in place:
        version = f" {entry['version']}" if entry["version"] else ""
        return f"`{place['path']}` of the Python package `{place['package']}`{version}"
    return f"`{place['path']}`"


def _source_row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    used = {"problems": "training", "chat": "training (dialogues)", "evaluation": "evaluation only"}[entry["group"]]
    return entry["name"], used, _place(entry), entry["licence"], f"{entry['rows']:,}"


def _lora_rows(lora: Mapping[str, Any]) -> list[tuple[str, Any]]:
    targets = ", ".join(sorted(lora["target_modules"]))
    return [("r", lora["r"]), ("alpha", lora["lora_alpha"]), ("dropout", lora["lora_dropout"]), ("targets", targets)]


def _metrics_table(summary: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    models = summary["models"]
    names = list(dict.fromkeys(name for numbers in models.values() for name in numbers))
    rows = [(name, *(_cell(numbers.get(name)) for numbers in models.values())) for name in names]
    return _table(("", *models), rows)


def _cell(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _checks_text(checks: Mapping[str, Any]) -> str:
    header = ("format", "same likeliest token", "prompts alike throughout", "largest log-probability difference")
    rows = [
        (
            name,
            f"{numbers['argmax_agreement']:.1%} of {numbers['positions']} (at least {numbers['agreement_limit']:.0%})",
            f"{numbers['greedy_matches']} of {numbers['prompts']}",
            f"{numbers['largest_logprob_difference']} nats (at most {numbers['difference_limit']})",
        )
        for name, numbers in checks["formats"].items()
    ]
    told = (
        "Each file was loaded again and compared with the adapter on its base model in transformers, along greedy "
        f"continuations of fixed prompts.\n\n{_table(header, rows)}"
    )
    if smoke := checks["smoke"]:
        told += f"\n\nWhat the GGUF wrote when asked once, unedited (ended by: {smoke['finish_reason']}):\n\n"
        told += "\n".join(f"> {line}".rstrip() for line in (smoke["text"] or smoke["thinking"]).splitlines())
    return told


def _how_to_use(run: Run, exported: Path) -> str:
    ways = []
    if (exported / "merged").exists():
        ways.append(
            "The merged model, with transformers:\n\n```python\nfrom transformers import pipeline\n\n"
            f'writer = pipeline("text-generation", "merged")\nprompt = {run.prompt!r}\n'
            'messages = [{"role": "user", "content": prompt}]\n'
            'print(writer(messages, max_new_tokens=512)[0]["generated_text"][-1]["content"])\n```'
        )
    for path in sorted((exported / "gguf").glob("*.gguf")):
        name = path.relative_to(exported).as_posix()
        ways.append(f"With llama.cpp: `llama-server -m {name}`; its chat endpoint uses the template in the file.")
    ways.append('The adapter in `adapter/` is PEFT\'s: `PeftModel.from_pretrained(base_model, "adapter")`.')
    return "\n\n".join(ways)


def _file_rows(exported: Path) -> list[tuple[str, str, str]]:
    paths = sorted(path for path in exported.rglob("*") if path.is_file() and path.name != "README.md")
    return [
        (path.relative_to(exported).as_posix(), f"{path.stat().st_size:,}", f"`{files.digest(path)}`") for path in paths
    ]


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
