"""What tracked runs took: the peak memory and the seconds of a stage with the very params that are planned."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

DATABASE = "mlflow.db"


class Measured(NamedTuple):
    peak_bytes: float
    seconds: float


def last_run(home: Path, uri: str | None, stage: str, params: Mapping[str, str], peak: str) -> Measured | None:
    """Of the last run of `stage` (its address) that ended well with `params` (by dotted name, as MLflow has them).

    `peak` names the metric, in GiB. None where no run was tracked. A server that can't be reached is an OSError.
    """
    if uri is None and not (home / DATABASE).exists():
        return None
    import logging

    logging.getLogger("alembic").setLevel(logging.ERROR)
    from mlflow import MlflowClient

    client = MlflowClient(uri or f"sqlite:///{home / DATABASE}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    wanted = f"tags.stage = '{stage}' and attributes.status = 'FINISHED'"
    for run in client.search_runs(experiments, wanted, order_by=["attributes.start_time DESC"]):
        if dict(run.data.params) == dict(params) and peak in run.data.metrics:
            return Measured(run.data.metrics[peak] * 2**30, run.data.metrics["wall_seconds"])
    return None
