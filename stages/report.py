"""report: what a run did, as one summary, as plots and as a page. Cheap, and the only metrics that Git keeps.

The page may be large, since it holds every evaluated problem: DVC keeps it, and not Git.
"""

from pathlib import Path
from typing import Any

from questions_gen import files
from questions_gen.params import Name
from questions_gen.report.charts import charts
from questions_gen.report.page import SETTINGS, Results, page
from questions_gen.report.plots import PLOTS, plots
from questions_gen.report.summary import LOG_ADDRESSES, MODELS, rounded, summarise
from questions_gen.report.tables import show_models, table
from questions_gen.reviews import REVIEWS, agreement, read_reviews
from questions_gen.schema import Evaluated
from questions_gen.stage import Context, Log, Stage

Told = dict[str, Any]
"""A section of params.yaml that is told and not used; the stage that uses it says what may stand in it."""


def log_path(address: str) -> Path:
    """Where the stage of this address writes its log: evaluate@sft → logs/evaluate/sft.json."""
    return Path("logs") / f"{address.replace('@', '/')}.json"


def work(
    context: Context, *, profile: str, manifest: Path, reviews: Path, summary: Path, html: Path, **named: Any
) -> Log:
    """`named` are the told sections, the plots by name, and the inputs by what they are of (see STAGE)."""
    logs = {address: files.read_json(named[f"log of {address}"]) for address in LOG_ADDRESSES}
    numbers = summarise(logs)
    said = agreement(read_reviews(reviews))
    numbers["stages"]["reviews"] = {name: rounded(value) for name, value in said.items()}
    files.write_json(summary, numbers)
    for name, text in plots(logs).items():
        files.write_text(named[name], text)
    measured = table(numbers)
    results = Results(
        profile=profile,
        params={section: named[section] for section in SETTINGS},
        sources=files.read_json(manifest)["sources"],
        table=measured,
        charts=charts(logs, measured),
        rows={model: files.read_records(named[f"rows of {model}"] / "rows.jsonl", Evaluated) for model in MODELS},
        scores={model: scores(named[f"judgement of {model}"]) for model in MODELS},
    )
    files.write_text(html, page(results))
    show_models(numbers)
    return Log(numbers)


def scores(judgement: Path) -> dict[str, dict[str, Any]]:
    """Id of a completion → the teacher's evaluation of it."""
    return {row["problem_id"]: row for row in files.read_rows(judgement / "evaluations.jsonl")}


STAGE = Stage(
    "report",
    params={"profile": Name, **dict.fromkeys(SETTINGS, Told)},
    inputs={
        "manifest": Path("data/raw/manifest.json"),
        "reviews": REVIEWS,
        **{f"log of {address}": log_path(address) for address in LOG_ADDRESSES},
        **{f"rows of {model}": Path("data/evaluation") / model for model in MODELS},
        **{f"judgement of {model}": Path("data/judgement") / model for model in MODELS},
    },
    outputs={
        "summary": Path("metrics/summary.json"),
        "html": Path("report/index.html"),
        **{name: Path(f"plots/{name}.csv") for name in PLOTS},
    },
    work=work,
)
