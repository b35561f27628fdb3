"""An attempt's messages as an MLflow run. The same for one that is under way and for one that was kept.

`Attempt` finds or makes the run of the pipeline and makes a new one below it. An attempt that is sent again because a
process died half-way replaces what had been sent of it.
"""

import os
import re
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from filelock import FileLock

from questions_gen import files
from questions_gen.mlflow_writer import links, models, traces
from questions_gen.mlflow_writer.journal import Message

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "questions-gen"
CALLS = "teacher_calls"
"""The table whose rows are shown as traces, too."""
MAX_PARAMS, MAX_METRICS = 100, 1000
"""What MLflow takes in one call."""
MAX_TAG, MAX_DIGEST = 5000, 36
"""Characters that MLflow takes."""
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # it may hold a password
}
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""With a server; values of the user's environment win. MLflow's own would try for minutes."""


def connect(home: Path, uri: str | None) -> "MlflowClient":
    """A client of the server `uri`, or of the database in the main checkout, which is made if it isn't there.

    Raises what MLflow does if that can't be used, and OSError for a server that isn't there.
    """
    if uri:
        _look_for(uri)
    os.environ |= ENVIRONMENT
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    import mlflow

    address = uri or f"sqlite:///{home / 'mlflow.db'}"
    with _alone(home):
        mlflow.set_tracking_uri(address)  # the traces know no other way
        client = mlflow.MlflowClient(address, registry_uri=address)  # the environment may name another registry
        if client.get_experiment_by_name(EXPERIMENT) is None:
            artifacts = None if uri else (home / "mlartifacts").as_uri()
            client.create_experiment(EXPERIMENT, artifact_location=artifacts)
    return client


def _look_for(uri: str) -> None:
    """Fail in a moment, and without loading MLflow, where nobody listens."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https") and parts.hostname and not getproxies().get(parts.scheme):
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname, port), timeout=10).close()


def _alone(home: Path) -> FileLock:
    """For what must be made once: the database, the experiment, a pipeline's run, a registered version."""
    (home / ".locks").mkdir(parents=True, exist_ok=True)
    return FileLock(home / ".locks" / "mlflow.lock")


class Attempt:
    """The run of one attempt, and that of its pipeline above it."""

    def __init__(self, client: "MlflowClient", home: Path, description: Message):
        self._client, self._home, self._description = client, home, description
        self._experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
        self._sent = self._sent_before()
        if self._sent:
            return
        with _alone(home):
            self._parent = self._find_parent()
        client.update_run(self._parent, status="RUNNING")
        hashes = {f"hash.{path}": digest for path, digest in description["inputs"].items()}
        own = {"attempt": description["attempt"], "mlflow.parentRunId": self._parent}
        tags = {**description["tags"], **hashes, **own}
        self._run = client.create_run(self._experiment, description["time"], tags, description["name"]).info.run_id
        _log_params(client, self._run, description["params"])
        self._log_inputs(description["inputs"])

    def _sent_before(self) -> bool:
        """Whether all of it had been sent. A part is taken back."""
        for run in self._search(f"tags.attempt = '{self._description['attempt']}'"):
            if run.info.end_time is not None:  # set last of all
                return True
            self._delete_traces(run.info.run_id)
            self._client.delete_run(run.info.run_id)
        return False

    def _delete_traces(self, run: str) -> None:
        while found := self._client.search_traces(locations=[self._experiment], run_id=run, include_spans=False):
            self._client.delete_traces(self._experiment, trace_ids=[trace.info.trace_id for trace in found])

    def _search(self, condition: str) -> list[Any]:
        return list(self._client.search_runs([self._experiment], condition))

    def _find_parent(self) -> str:
        """The id of the pipeline's run, made now if this is its first attempt."""
        key, profile = self._description["identity"], self._description["tags"]["profile"]
        found = self._search(f"tags.identity = '{key}'")
        if found:
            return found[0].info.run_id
        tags = {"identity": key, "profile": profile}
        parent = self._client.create_run(
            self._experiment, self._description["time"], tags, f"{profile} {key[:8]}"
        ).info.run_id
        _log_params(self._client, parent, self._description["pipeline_params"])
        return parent

    def write(self, messages: Sequence[Message]) -> bool:
        """Write them in their order, the metrics together. True with the attempt's end: what follows isn't written."""
        if self._sent:
            return True
        end = next((number for number, message in enumerate(messages) if message["kind"] == "end"), None)
        messages = messages if end is None else messages[: end + 1]
        self._log_metrics([message for message in messages if message["kind"] == "metrics"])
        for message in messages:
            self._write_one(message)
        return end is not None

    def _write_one(self, message: Message) -> None:
        client, run = self._client, self._run
        match message["kind"]:
            case "tags":
                self._tag(message["tags"])
            case "table":
                self._log_table(message["table"], message["rows"])
            case "file":
                client.log_text(run, message["text"], message["path"])
            case "datasets":
                self._log_datasets(message["datasets"])
            case "links":
                links.write(client, self._experiment, self._parent, run, message["hashes"])
            case "model":
                with _alone(self._home):
                    models.register(client, run, message)
            case "end":
                self._tag(message["tags"])
                client.set_terminated(self._parent, message["status"], message["time"])
                client.set_terminated(run, message["status"], message["time"])

    def _tag(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self._client.log_batch(self._run, tags=[RunTag(name, value[:MAX_TAG]) for name, value in tags.items()])

    def _log_metrics(self, messages: Sequence[Message]) -> None:
        from mlflow.entities import Metric

        rows = [
            Metric(re.sub(r"[^\w .:/-]", "_", name)[:250], value, message["time"], message["step"])
            for message in messages
            for name, value in message["metrics"].items()
        ]
        for first in range(0, len(rows), MAX_METRICS):
            self._client.log_batch(self._run, metrics=rows[first : first + MAX_METRICS])

    def _log_table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """As a table that the run's page shows; without rows there is none."""
        if rows:
            columns = {column: [row.get(column) for row in rows] for column in rows[0]}
            self._client.log_table(self._run, columns, f"{name}.json")
        if name == CALLS:
            traces.write(self._experiment, self._run, self._description["name"], rows)

    def _log_inputs(self, inputs: Mapping[str, str]) -> None:
        """Those in data/ as datasets, by reference to DVC."""
        self._log_datasets(
            [
                {"name": path, "digest": digest, "source": f"dvc://{path}?sha256={digest}"}
                for path, digest in inputs.items()
                if path.startswith("data/")
            ]
        )

    def _log_datasets(self, datasets: Sequence[Mapping[str, str]]) -> None:
        """As MLflow's MetaDataset with an HTTPDatasetSource would be: a reference, no schema and no rows."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        context = [InputTag("mlflow.data.context", self._description["name"])]
        rows = [
            DatasetInput(
                Dataset(row["name"], row["digest"][:MAX_DIGEST], "http", files.to_json({"url": row["source"]})), context
            )
            for row in datasets
        ]
        if rows:
            self._client.log_inputs(self._run, rows)


def _log_params(client: "MlflowClient", run: str, params: Mapping[str, str]) -> None:
    from mlflow.entities import Param

    rows = [Param(name, value) for name, value in params.items()]
    for first in range(0, len(rows), MAX_PARAMS):
        client.log_batch(run, params=rows[first : first + MAX_PARAMS])


def place(uri: str | None) -> str:
    """Where the runs go, without the user and password that an address may hold."""
    return f"the server {urlsplit(uri).hostname}" if uri else "mlflow.db"


def cause(error: Exception, uri: str | None) -> str:
    """What went wrong, on one line, without the user and password that an address may hold."""
    if isinstance(error, ImportError):
        return f"can't be imported ({error})"
    return f"{place(uri)} can't be used ({summary(error)})"


def summary(error: Exception) -> str:
    line = (str(error).strip().splitlines() or [""])[0][:200]
    return f"{type(error).__name__}: {re.sub(r'//[^/]*@', '//', line)}"
