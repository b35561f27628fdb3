"""report: what the logs of a run say, as one summary and as plots. Cheap, and the only metrics that Git keeps."""

from pathlib import Path

from questions_gen import files
from questions_gen.report.plots import PLOTS, plots
from questions_gen.report.summary import LOG_ADDRESSES, rounded, summarise
from questions_gen.report.tables import show_models
from questions_gen.reviews import REVIEWS, agreement, read_reviews
from questions_gen.stage import Context, Log, Stage


def log_path(address: str) -> Path:
    """Where the stage of this address writes its log: evaluate@sft → logs/evaluate/sft.json."""
    return Path("logs") / f"{address.replace('@', '/')}.json"


def work(context: Context, *, reviews: Path, summary: Path, **paths: Path) -> Log:
    """`paths` are the logs by their stage's address, and the plots by name."""
    logs = {address: files.read_json(paths[address]) for address in LOG_ADDRESSES}
    numbers = summarise(logs)
    said = agreement(read_reviews(reviews))
    numbers["stages"]["reviews"] = {name: rounded(value) for name, value in said.items()}
    files.write_json(summary, numbers)
    for name, text in plots(logs).items():
        files.write_text(paths[name], text)
    show_models(numbers)
    return Log(numbers)


STAGE = Stage(
    "report",
    params={},
    inputs={"reviews": REVIEWS, **{address: log_path(address) for address in LOG_ADDRESSES}},
    outputs={"summary": Path("metrics/summary.json"), **{name: Path(f"plots/{name}.csv") for name in PLOTS}},
    work=work,
)
