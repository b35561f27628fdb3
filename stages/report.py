"""report: what a run did, as one summary, its intervals, the scores behind them, plots, and a page. Cheap, and the only
metrics that Git keeps. The page holds every evaluated problem and may be large: DVC keeps it, and not Git.
"""

from pathlib import Path
from typing import Any

from questions_gen import files, measures
from questions_gen.measures import Score
from questions_gen.params import Name, Told
from questions_gen.problem import Index
from questions_gen.report.page import SETTINGS, Results, page
from questions_gen.report.plots import PLOTS, plots
from questions_gen.report.scores import write_scores
from questions_gen.report.summary import LOG_ADDRESSES, MODELS, intervals, rounded, summarise
from questions_gen.report.tables import show_models
from questions_gen.reviews import REVIEWS, agreement, read_reviews
from questions_gen.schema import Evaluated
from questions_gen.stage import Context, Log, Stage


def log_path(address: str) -> Path:
    """Where the stage of this address writes its log: evaluate@sft → logs/evaluate/sft.json."""
    return Path("logs") / f"{address.replace('@', '/')}.json"


def work(
    context: Context,
    *,
    profile: str,
    manifest: Path,
    history: Path,
    reviews: Path,
    summary: Path,
    interval: Path,
    score: Path,
    html: Path,
    **named: Any,
) -> Log:
    """`named` are the told sections, the plots by name, and the inputs by what they are of (see STAGE)."""
    logs = {address: files.read_json(named[f"log of {address}"]) for address in LOG_ADDRESSES}
    rows = {model: files.read_records(named[f"rows of {model}"] / "rows.jsonl", Evaluated) for model in MODELS}
    marks = {model: teacher_marks(named[f"judgement of {model}"]) for model in MODELS}
    seen = Index()
    seen.add(row["statement"] for row in files.iterate_rows(history / "problems.jsonl"))
    scores: dict[str, list[Score]] = {model: measures.score(rows[model], marks[model], seen) for model in MODELS}
    numbers = summarise(logs, scores)
    said = agreement(read_reviews(reviews))
    numbers["stages"]["reviews"] = {name: rounded(value) for name, value in said.items()}
    told = intervals(logs, scores)
    files.write_json(summary, numbers)
    files.write_json(interval, told)
    files.write_text(score, write_scores(scores))
    for name, text in plots(logs, {model: found["measures"] for model, found in told["models"].items()}).items():
        files.write_text(named[name], text)
    results = Results(
        profile=profile,
        params={section: named[section] for section in SETTINGS},
        sources=files.read_json(manifest)["sources"],
        logs=logs,
        summary=numbers,
        intervals=told,
        rows=rows,
        marks=marks,
    )
    files.write_text(html, page(results))
    show_models(numbers)
    return Log(numbers)


def teacher_marks(judgement: Path) -> dict[str, dict[str, Any]]:
    """Id of a completion → the teacher's evaluation of it."""
    return {row["problem_id"]: row for row in files.read_rows(judgement / "evaluations.jsonl")}


STAGE = Stage(
    "report",
    params={"profile": Name, **dict.fromkeys(SETTINGS, Told)},
    inputs={
        "manifest": Path("data/raw/manifest.json"),
        "reviews": REVIEWS,
        "history": Path("data/history"),
        **{f"log of {address}": log_path(address) for address in LOG_ADDRESSES},
        **{f"rows of {model}": Path("data/evaluation") / model for model in MODELS},
        **{f"judgement of {model}": Path("data/judgement") / model for model in MODELS},
    },
    outputs={
        "summary": Path("metrics/summary.json"),
        "interval": Path("metrics/intervals.json"),
        "score": Path("metrics/scores.csv"),
        "html": Path("report/index.html"),
        **{name: Path(f"plots/{name}.csv") for name in PLOTS},
    },
    work=work,
)
