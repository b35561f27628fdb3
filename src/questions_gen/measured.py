"""What tracked runs took: the peak memory and the seconds of a stage with the very params that are planned."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from questions_gen.errors import UserError

DATABASE = "mlflow.db"


class Measured(NamedTuple):
    peak_bytes: float
    seconds: float


def last_run(home: Path, uri: str | None, stage: str, params: Mapping[str, str], peak: str) -> Measured | None:
    """Of the last run of `stage` (its address) that ended well with `params` (by dotted name, as MLflow has them).

    `peak` names the metric, in GiB. None where no run was tracked. Raises UserError for runs that can't be read.
    """
    if uri is None and not (home / DATABASE).exists():
        return None
    logging.getLogger("alembic").setLevel(logging.ERROR)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # MLflow's own would try for minutes
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        client = MlflowClient(uri or f"sqlite:///{home / DATABASE}")
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        wanted = f"tags.stage = '{stage}' and attributes.status = 'FINISHED'"
        runs = client.search_runs(experiments, wanted, order_by=["attributes.start_time DESC"])
    except MlflowException as error:
        place = DATABASE if uri is None else "run.tracking.uri"
        raise UserError(
            f"{place}: its runs can't be read ({type(error).__name__}); is it MLflow's, and there?"
        ) from None
    for run in runs:
        if dict(run.data.params) == dict(params) and peak in run.data.metrics:
            return Measured(run.data.metrics[peak] * 2**30, run.data.metrics["wall_seconds"])
    return None
