"""The report page: one HTML file that asks nothing of any network, and runs nothing but its own small script.

Its parts stand beside this file: page.html (a Jinja template with autoescape), page.css, page.js. A model's text comes
in escaped, or by way of latex.py; should either ever fail, the content security policy names the page's own script and
style by their hash, and the browser runs no other.
"""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from questions_gen.measures import DIMENSIONS, MEASURES, Estimate
from questions_gen.report import latex
from questions_gen.report.charts import charts
from questions_gen.report.comparison import ARROWS
from questions_gen.report.drawing import shown
from questions_gen.report.plots import Estimates, alone
from questions_gen.report.summary import HEADLINES, MODELS, REWARDS, Logs, Summary
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
    "evaluate": ("prompts", "samples", "variations", "controls", "sampling", "thinking"),
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

NAMES = {
    "validation_loss": "Validation loss, nats a token",
    "gate_pass_rate": "Passes the gate",
    "total": "Total reward",
    "difficulty": "Difficulty",
    "novelty": "Novelty",
    "rigor": "Rigor",
    "diversity": "Diversity in a group",
    "set_diversity": "Diversity of the whole set",
    "novelty_training": "Novelty to the training data",
    "novelty_history": "Novelty to the problems seen in grpo",
    "copies": "Copies of known problems",
    "contamination_rate": "Copies, or too near to a known problem",
    "topic_adherence": "Keeps the topic that was asked for",
    "tokens": "Length, tokens",
    "thinking_gate_pass_rate": "Passes the gate, with thinking",
    "thinking_total": "Total reward, with thinking",
    "thinking_tokens": "Length with thinking, tokens",
    "variation_success": "Variations that pass",
    "held_out_variation_success": "Variations of held-out problems that pass",
    "own_variation_success": "Variations of own problems that pass",
    **{f"teacher_{name}": f"Teacher: {name.replace('_', ' ')}, of 5" for name in DIMENSIONS},
    "teacher_overall": "Teacher: overall, of 5",
    "teacher_approval": "Teacher approves: overall at least 4",
    "balance": "Balance of the teacher's dimensions",
}
"""What a measure is called; a share where no unit is named."""


@dataclass(frozen=True)
class Results:
    """What a report tells of a run."""

    profile: str
    params: Mapping[str, Mapping[str, Any]]
    """Sections of params.yaml, those of SETTINGS at least."""
    sources: Sequence[Mapping[str, Any]]
    """Entries of data/raw/manifest.json."""
    logs: Logs
    summary: Summary
    intervals: Mapping[str, Any]
    """As in metrics/intervals.json."""
    rows: Mapping[str, Sequence[Evaluated]]
    """Model → its rows of data/evaluation."""
    marks: Mapping[str, Mapping[str, Mapping[str, Any]]]
    """Model → id of a completion → the teacher's evaluation of it, where there is one."""

    @property
    def estimates(self) -> Estimates:
        return {model: self.intervals["models"][model]["measures"] for model in MODELS}


@dataclass(frozen=True)
class Line:
    """A row of a table: a number for each model."""

    name: str
    estimates: Mapping[str, Estimate | None]
    """None where it wasn't measured."""
    gains: Mapping[str, Mapping[str, Any]]
    """Model → its Difference to the model before it, where that can be told from chance."""
    undone: str = "–"
    """What is said of a model of which it wasn't tried at all."""

    @property
    def n(self) -> int | None:
        """How many completions were counted, where that is the same for all models."""
        counts = {found["n"] for found in self.estimates.values() if found}
        return counts.pop() if len(counts) == 1 else None


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
    lines = list(measured(results))
    return environment.get_template("page.html").render(
        policy=policy(style, script),
        style=Markup(style),
        script=Markup(script),
        results=results,
        models=MODELS,
        tables=[
            ("The main measures", "Measure", lines[: len(HEADLINES) + 1]),
            ("All other measures", "Measure", lines[len(HEADLINES) + 1 :]),
            ("Passes the gate, by test and topic or kind", "Test and topic or kind", list(by_cell(results.intervals))),
        ],
        charts=[(chart, Markup(chart.svg)) for chart in charts(results.logs, results.estimates)],
        questions=every,
        asked=asked,
        tests=TESTS,
        cells=sorted({question.cell for question in every}),
        dimensions=DIMENSIONS,
        rewards=REWARDS,
        settings=settings(results.params),
        sources=[(entry, origin(entry)) for entry in results.sources],
    )


def measured(results: Results) -> Iterator[Line]:
    """The validation loss and every measure, those of the summary first."""
    losses = {model: alone(results.summary["models"][model]["validation_loss"]) for model in MODELS}
    yield Line(f"{NAMES['validation_loss']} ↓", losses, {})
    for name in (*HEADLINES, *(name for name in MEASURES if name not in HEADLINES)):
        gains = {
            model: gain
            for model, told in results.intervals["gains"].items()
            if (gain := told["measures"][name]) and gain["verdict"] != "can't tell"
        }
        found = {model: results.estimates[model][name] for model in MODELS}
        undone = "not supported" if MEASURES[name].thinking else "–"
        yield Line(f"{NAMES[name]} {ARROWS[MEASURES[name].better]}".strip(), found, gains, undone)


def by_cell(intervals: Mapping[str, Any]) -> Iterator[Line]:
    """The gate's pass rate of each cell of each test; what wasn't done by any model is left out."""
    tested = {model: told["cells"] for model, told in intervals["models"].items()}
    for test in ("new", "variation", "own_variation"):
        for place in sorted({place for cells in tested.values() for place in cells[test]}):
            for key, how in (("without_thinking", ""), ("with_thinking", ", with thinking")):
                told = {model: cells[test].get(place, {}).get(key) or {} for model, cells in tested.items()}
                if any(told.values()):
                    found = {model: measures.get("gate_pass_rate") for model, measures in told.items()}
                    yield Line(f"{TESTS[test]}: {place}{how}", found, {})


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
