"""The model card of an export (README.md on the Hugging Face Hub), made from the run's own records.

It says nothing that differs between equal runs: no commit, time or path of a machine.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from questions_gen import files
from questions_gen.errors import UserError

HUB_LICENCES = {"apache-2.0", "mit", "cc-by-4.0", "cc-by-sa-4.0", "cc0-1.0", "bsd-3-clause", "gpl-3.0", "openrail"}
"""Those we may meet, of the identifiers that the Hub accepts; another one is `other` with its name."""

TRAINING = {
    "sft": "supervised training on problems and their solutions",
    "grpo": "group-relative policy optimisation with rewards",
    "distill": "training on what a teacher model improved",
}
"""What a stage does, in the order of the stages."""

Estimate = Mapping[str, Any]
"""mean, and where they are known low and high, the ends of its 95 % interval, and n, the completions behind it."""


@dataclass(frozen=True)
class Run:
    """What a card tells about."""

    stage: str
    """Whose adapter it is."""
    sources: Sequence[Mapping[str, Any]]
    """Entries of data/raw/manifest.json."""
    lora: Mapping[str, Any]
    """adapter_config.json."""
    params: Mapping[str, Mapping[str, Any]]
    """The sections of params.yaml that trained it, first to last."""
    seed: int
    measures: Mapping[str, Mapping[str, Estimate | None]]
    """Model → measure → its estimate; None where it wasn't measured."""
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
        return f"Questions-Gen, {self.base_name.split('/')[-1]}, {self.stage}"


def model_card(run: Run, exported: Path) -> str:
    """The card of the files in `exported`, which are all there already."""
    header = yaml.safe_dump(front_matter(run), sort_keys=False, allow_unicode=True)
    parts = [
        f"# {run.title}",
        "Writes competition mathematics problems. A LoRA adapter, trained by the Questions-Gen pipeline: "
        + ", then ".join(TRAINING[stage] for stage in run.params)
        + f". This is the model after the stage `{run.stage}`.",
        "## How to use",
        _how_to_use(run, exported),
        "## Training",
        f"Base model: {place_of(run.base)}, licence {run.base['licence']}.",
        table(("LoRA", "value"), _lora_rows(run.lora)),
        "The values of `params.yaml` that each training stage ran with:",
        table(("parameter", "value"), [("seed", run.seed), *_param_rows(run.params)]),
        "## Data",
        table(("source", "used for", "from", "licence", "rows"), [_source_row(e) for e in run.sources if e["rows"]]),
        "## Metrics",
        "Of problems sampled for the same prompts with the same seeds. `gate_pass_rate` is the share that passes the "
        "gate, `total` the gated, weighted mean of the rewards, `set_diversity` 1 − the highest similarity of a "
        "problem to another one of the set, `contamination_rate` the share that is a copy of a known problem or too "
        "near to one, `variation_success` the share of variations that are what was asked for, `teacher_overall` the "
        "teacher's mean mark out of 5, `teacher_approval` the share with at least 4, `balance` the lowest of "
        "the teacher's five mean marks over the highest. In brackets: the 95 % interval, where enough was measured "
        "for one. A dash is a number that wasn't measured.",
        _metrics_table(run.measures),
        "## Checks",
        _checks_text(run.checks),
        "## Files",
        table(("file", "bytes", "sha256"), file_rows(exported)),
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
    header: dict[str, Any] = licence_fields([run.base["licence"]])
    if run.base["kind"] == "hub":
        header["base_model"] = run.base["from"]["repo_id"]
    if datasets := sorted({entry["from"]["repo_id"] for entry in run.sources if is_hub_dataset(entry)}):
        header["datasets"] = datasets
    header |= {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["mathematics", "problem-generation", "lora", "peft", "gguf"],
    }
    told = {name: estimate for name, estimate in run.measures[run.stage].items() if _measured(estimate)}
    if told:
        result = {
            "task": {"type": "text-generation"},
            "dataset": {"type": "held-out", "name": "Held-out problems"},
            "metrics": [_metric(name, told[name]) for name in sorted(told)],
        }
        header["model-index"] = [{"name": run.title, "results": [result]}]
    return header


def licence_fields(licences: Iterable[str]) -> dict[str, Any]:
    """`license` of a card's metadata, one or several; one that the Hub doesn't know is `other` with its name."""
    names = sorted({licence.lower() for licence in licences})
    unknown = [name for name in names if name not in HUB_LICENCES]
    if unknown:
        return {"license": "other", "license_name": "-".join(" ".join(names).split())}
    return {"license": names[0] if len(names) == 1 else names}


def is_hub_dataset(entry: Mapping[str, Any]) -> bool:
    return entry["group"] != "model" and "repo_id" in entry["from"]


def place_of(entry: Mapping[str, Any]) -> str:
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
    return entry["name"], used, place_of(entry), entry["licence"], f"{entry['rows']:,}"


def _lora_rows(lora: Mapping[str, Any]) -> list[tuple[str, Any]]:
    targets = ", ".join(sorted(lora["target_modules"]))
    return [("r", lora["r"]), ("alpha", lora["lora_alpha"]), ("dropout", lora["lora_dropout"]), ("targets", targets)]


def _param_rows(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Every value of nested sections, by its dotted name."""
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        inner = isinstance(value, Mapping)
        rows += _param_rows(value, f"{prefix}{name}.") if inner else [(f"{prefix}{name}", value)]
    return rows


def _metric(name: str, estimate: Estimate) -> dict[str, Any]:
    """A metric as the Hub's model index has it; its interval stands among the arguments, which are free."""
    metric = {"type": name, "value": estimate["mean"]}
    if estimate.get("low") is None:
        return metric
    return {**metric, "args": {"interval_95": [estimate["low"], estimate["high"]], "n": estimate["n"]}}


def _measured(estimate: Estimate | None) -> bool:
    return estimate is not None and estimate["mean"] is not None


def _metrics_table(measures: Mapping[str, Mapping[str, Estimate | None]]) -> str:
    names = list(dict.fromkeys(name for numbers in measures.values() for name in numbers))
    rows = [(name, *(_cell(numbers.get(name)) for numbers in measures.values())) for name in names]
    return table(("", *measures), rows)


def _cell(estimate: Estimate | None) -> str:
    if not _measured(estimate):
        return "–"
    if estimate.get("low") is None:
        return f"{estimate['mean']:.4g}"
    return f"{estimate['mean']:.4g} ({estimate['low']:.4g} to {estimate['high']:.4g})"


def _checks_text(checks: Mapping[str, Any]) -> str:
    header = ("format", "same likeliest token", "or as likely", "same text", "largest log-probability difference")
    rows = [
        (
            name,
            f"{numbers['argmax_agreement']:.1%} of {numbers['positions']}",
            f"{numbers['ties']} more (together at least {numbers['agreement_limit']:.0%})",
            f"{numbers['greedy_matches']} of {numbers['prompts']} prompts",
            f"{numbers['largest_logprob_difference']} nats (at most {numbers['difference_limit']})",
        )
        for name, numbers in checks["formats"].items()
    ]
    told = (
        "Each file was loaded again and compared with the adapter on its base model in transformers, along greedy "
        f"continuations of fixed prompts.\n\n{table(header, rows)}"
    )
    if smoke := checks["smoke"]:
        told += f"\n\nWhat the GGUF wrote when asked once, unedited (ended by: {smoke['finish_reason']}):\n\n"
        told += "\n".join(f"> {line}".rstrip() for line in (smoke["text"] or smoke["thinking"]).splitlines())
    return told


def _how_to_use(run: Run, exported: Path) -> str:
    base = f'"{run.base_name}"' if run.base["kind"] == "hub" else "base"
    ways = [
        f"The adapter, with peft on the base model{'' if run.base['kind'] == 'hub' else ' (`base`: its folder)'}:\n\n"
        "```python\nfrom peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n\n"
        f'model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained({base}), "adapter")\n```'
    ]
    for name, told in (("merged", "The merged model"), ("merged-nf4", "In 4 bits, with bitsandbytes")):
        if (exported / name).exists():
            ways.append(
                f"{told}, with transformers:\n\n```python\nfrom transformers import pipeline\n\n"
                f'writer = pipeline("text-generation", "{name}")\nprompt = {run.prompt!r}\n'
                'messages = [{"role": "user", "content": prompt}]\n'
                'print(writer(messages, max_new_tokens=512)[0]["generated_text"][-1]["content"])\n```'
            )
    for path in sorted((exported / "gguf").glob("*.gguf")):
        name, kind = path.relative_to(exported).as_posix(), path.stem.removeprefix("model-")
        ways.append(
            f"`{name}`: with llama.cpp `llama-server -m {name}`, whose chat endpoint uses the template in the file; "
            f"with Ollama `ollama create questions-gen -f gguf/Modelfile-{kind}`, then `ollama run questions-gen`."
        )
    return "\n\n".join(ways)


def file_rows(exported: Path) -> list[tuple[str, str, str]]:
    paths = sorted(path for path in exported.rglob("*") if path.is_file() and path.name != "README.md")
    return [
        (path.relative_to(exported).as_posix(), f"{path.stat().st_size:,}", f"`{files.digest(path)}`") for path in paths
    ]


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
