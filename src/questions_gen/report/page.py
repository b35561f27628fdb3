"""The report page: one HTML file that asks nothing of any network, and runs nothing but its own small script.

Its parts stand beside this file: page.html (a Jinja template with autoescape), page.css, page.js. A model's text comes
in escaped, or by way of latex.py; should either ever fail, the content security policy names the page's own script and
style by their hash, and the browser runs no other.
"""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from questions_gen.report import latex
from questions_gen.report.charts import Chart, Table
from questions_gen.report.drawing import shown
from questions_gen.report.plots import DIMENSIONS
from questions_gen.report.tables import cell
from questions_gen.schema import Evaluated

FOLDER = Path(__file__).parent

SETTINGS = {
    "model": ("backend", "dtype", "load_in_4bit", "max_length"),
    "lora": ("r", "alpha", "dropout"),
    "mix": ("tasks", "chat_share", "near_duplicate", "contamination_ngram"),
    "rewards": ("weights", "similarity_limit", "penalty_factor"),
    "sft": ("steps", "batch_size", "accumulation", "learning_rate"),
    "grpo": ("rounds", "steps", "groups", "group_size", "learning_rate", "loss", "beta", "sampling"),
    "propose": ("problems",),
    "teacher": ("model", "structured", "temperature"),
    "teach": ("variations_every", "margin", "compare"),
    "distill": ("objective", "steps", "batch_size", "accumulation", "learning_rate"),
    "evaluate": ("prompts", "samples", "sampling"),
    "judge": ("samples",),
}
"""The params that are told: those that say what was done, and not how fast."""

TESTS = {
    "new": "New problems",
    "variation": "Variations of held-out problems",
    "own_variation": "Variations of the model's own problems",
    "control": "Controls: texts that no model wrote",
}
"""In the order of the page."""

METRICS = {
    "validation_loss": "Validation loss (nats a token)",
    "gate_pass_rate": "Passes the gate (share)",
    "total": "Total reward",
    "difficulty": "Difficulty reward",
    "novelty": "Novelty reward",
    "rigor": "Rigor reward",
    "diversity": "Diversity reward",
    "novelty_training": "Novelty to the training data",
    "copies": "Copies of known problems (count)",
    "contamination_rate": "Copies or too near to one (share)",
    "teacher_overall": "Teacher's mark (of 5)",
}
"""What a metric of the summary is called; one that isn't here goes by its own name."""


@dataclass(frozen=True)
class Results:
    """What a report tells of a run."""

    profile: str
    params: Mapping[str, Mapping[str, Any]]
    """Sections of params.yaml, those of SETTINGS at least."""
    sources: Sequence[Mapping[str, Any]]
    """Entries of data/raw/manifest.json."""
    table: Table
    charts: Sequence[Chart]
    rows: Mapping[str, Sequence[Evaluated]]
    """Model → its rows of data/evaluation."""
    scores: Mapping[str, Mapping[str, Mapping[str, Any]]]
    """Model → id of a completion → the teacher's evaluation of it, where there is one."""


@dataclass(frozen=True)
class Question:
    """A prompt, with what each model answered."""

    test: str
    cell: str
    thinking: bool
    asked: str | None
    """The prompt, where all models got the same."""
    answers: Mapping[str, Sequence[Evaluated]]


def page(results: Results) -> str:
    """The whole page. Equal results give equal bytes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "latex": lambda text: Markup(latex.html(text)),
        "formula": lambda text: Markup(latex.formula(text)),
        "shown": shown,
        "cell": cell,
    }
    style, script = ((FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    every = questions(results.rows)
    return environment.get_template("page.html").render(
        policy=policy(style, script),
        style=Markup(style),
        script=Markup(script),
        results=results,
        models=list(results.table),
        settings=settings(results.params),
        sources=[(entry, origin(entry)) for entry in results.sources],
        metrics=[(METRICS.get(name, name), name, common_n(results.table, name)) for name in names(results.table)],
        charts=[(chart, Markup(chart.svg)) for chart in results.charts],
        questions=every,
        asked=asked,
        tests=TESTS,
        cells=sorted({question.cell for question in every}),
        dimensions=DIMENSIONS,
    )


def names(table: Table) -> list[str]:
    """The metrics, in order."""
    return list(dict.fromkeys(name for measures in table.values() for name in measures))


def common_n(table: Table, name: str) -> int | None:
    """Of how many problems a metric was counted, where that is the same for all models."""
    counts = {measure.n for measures in table.values() if (measure := measures[name])}
    return counts.pop() if len(counts) == 1 else None


def policy(style: str, script: str) -> str:
    """The content security policy: nothing may be loaded, and nothing run or styled but these two texts."""
    allowed = f"script-src {_hash(script)}; style-src {_hash(style)}"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def settings(params: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Section → its told params, each with its value."""
    return [(section, [(key, _value(params[section][key])) for key in keys]) for section, keys in SETTINGS.items()]


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_value(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return {"True": "yes", "False": "no", "None": "none"}.get(str(value), str(value))


def origin(entry: Mapping[str, Any]) -> str:
    """Where a source came from, as its entry of the manifest says."""
    place = entry["from"]
    if "source" in place:
        return f"held out of {place['source']}"
    if place.get("repo_id"):
        parts = [place["repo_id"], *(place[key] for key in ("config", "split") if place.get(key))]
        return " · ".join([*parts, *([f"revision {entry['revision']}"] if entry["revision"] else [])])
    if place.get("package"):
        return " ".join(filter(None, ("package", place["package"], entry["version"])))
    return place["path"]


def questions(rows: Mapping[str, Sequence[Evaluated]]) -> list[Question]:
    """The prompts in the page's order, with each model's answers to them."""
    grouped: dict[tuple, dict[str, list[Evaluated]]] = defaultdict(lambda: defaultdict(list))
    for model, evaluated in rows.items():
        for row in evaluated:
            grouped[row.test, row.cell, row.thinking, row.prompt.id][model].append(row)
    order = list(TESTS)
    return [
        Question(test, cell, thinking, _asked(answers), answers)
        for (test, cell, thinking, _), answers in sorted(
            grouped.items(), key=lambda item: (order.index(item[0][0]), *item[0][1:])
        )
    ]


def asked(row: Evaluated) -> str:
    return "\n\n".join(message.content for message in row.prompt.messages)


def _asked(answers: Mapping[str, Sequence[Evaluated]]) -> str | None:
    prompts = {asked(row) for rows in answers.values() for row in rows}
    return prompts.pop() if len(prompts) == 1 else None
