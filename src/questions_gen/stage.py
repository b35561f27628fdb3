"""The one shape of a stage: checked params and inputs in, work, checked outputs and a log out.

    STAGE = Stage("sft", params={"sft": SftParams}, inputs={"mixed": Path("data/mixed")},
                  outputs={"adapter": Path("models/sft")}, work=sft)

`run` calls `sft(context, sft=<SftParams>, mixed=<Path>, adapter=<Path>)`. The work writes its outputs under
temporary names; they are renamed into place, together with logs/<name>.json, once the work has returned.
"""

import hashlib
import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from filelock import FileLock, Timeout
from pydantic import Field, TypeAdapter, model_validator

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.imports import local_files
from questions_gen.params import Count, Name, NotNegative, Positive, Section, load_params

CHECKED = Path("data/checked/params.txt")
"""Written by the stage `check`; every other stage depends on it."""

VERSIONED = (
    "accelerate", "bitsandbytes", "datasets", "datasketch", "gguf", "openai", "peft", "pylatexenc", "scikit-learn",
    "tokenizers", "torch", "transformers", "trl", "unsloth", "unsloth_zoo", "vllm", "xllamacpp",
)  # fmt: skip
"""Libraries whose release can change a stage's outputs: part of the input hash."""


class Budget(Section):
    """The most that one run of a stage may spend on the teacher; null is without limit."""

    requests: Count | None
    tokens: Count | None
    """Of questions and answers."""
    cost: Positive | None
    """In the currency of the prices."""


class Prices(Section):
    """Money for a million tokens, as the service bills them."""

    prompt: NotNegative
    completion: NotNegative


class TeacherRun(Section):
    mode: Literal["record", "replay", "refresh"]
    """record: ask what isn't stored · replay: never ask · refresh: ask everything again."""
    base_url: str | None
    """OpenAI-compatible endpoint; null starts the embedded server."""
    key_variable: Name
    """The environment variable that holds the API key."""
    concurrency: Count
    """Requests at once. The embedded server has one slot: it is asked one by one."""
    timeout: Positive
    """Seconds for one request."""
    requests_per_minute: Count | None
    tokens_per_minute: Count | None
    """The service's rates, evenly spread; null is without limit."""
    budget: Budget
    prices: Prices | None

    @model_validator(mode="after")
    def _priced(self) -> "TeacherRun":
        if self.budget.cost is not None and self.prices is None:
            raise ValueError("budget.cost needs prices: {prompt: …, completion: …}")
        return self


class RolloutsRun(Section):
    """vLLM, where grpo.rollouts asks for it."""

    server: str | None
    """Address of `trl vllm-serve`, which has a GPU of its own."""
    gpu_memory: Annotated[float, Field(gt=0, lt=1)]
    """Share of a GPU's memory for vLLM beside the training (colocated)."""


class LaunchRun(Section):
    """The processes of sft, grpo and distill. The effective batch stays what the stage's own section says."""

    processes: Count
    """On each host: one a GPU."""
    hosts: Count
    address: Annotated[str, Field(pattern=r"^[^:\s]+:\d+$")] | None
    """host:port of the first host; null with one host."""
    engine: Literal["ddp", "fsdp2", "zero2", "zero3"]
    """ddp: a whole model on each GPU · fsdp2, zero2, zero3: sharded, by conf/launch/<engine>.yaml."""

    @model_validator(mode="after")
    def _found(self) -> "LaunchRun":
        if self.hosts > 1 and self.address is None:
            raise ValueError("address must be host:port of the first host where there are several hosts")
        return self


class TrackingRun(Section):
    enabled: bool
    uri: str | None
    """An MLflow server; null is a SQLite file in the main checkout."""


class DataRun(Section):
    """How mix works through its rows."""

    processes: Count
    memory: Positive
    """GiB that all its processes hold together, at most. Rows that need more are refused before the work."""


class PublishRun(Section):
    """What `questions-gen publish` sends to the Hugging Face Hub."""

    namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None
    """A user or an organisation."""
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """A stage's repository is namespace/model-stage."""
    private: bool
    stages: Annotated[list[Literal["sft", "grpo", "distill"]], Field(min_length=1)]
    artifacts: Annotated[list[Literal["adapter", "merged", "merged-nf4", "gguf"]], Field(min_length=1)]
    """Folders of an export."""
    token_variable: Name
    """The environment variable that holds the token."""


class RunParams(Section):
    """How a run is carried out: nothing here changes a result, and no stage is rerun for it."""

    data: DataRun
    teacher: TeacherRun
    rollouts: RolloutsRun
    launch: LaunchRun
    tracking: TrackingRun
    publish: PublishRun


class Tracker(Protocol):
    """Where a stage's metrics are shown while it works. It can't change an output."""

    def log_metrics(self, values: Mapping[str, float], step: int | None = None) -> None: ...

    def log_table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None: ...


class NoTracker:
    def log_metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Show nothing."""

    def log_table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show nothing."""


@dataclass(frozen=True)
class Context:
    """What a stage's work may use besides its params, inputs and outputs."""

    run: RunParams
    tracker: Tracker
    checkpoints: Path
    """A folder of the main checkout that only a run with equal params, inputs, code and library versions shares."""
    home: Path
    """The main checkout, also in a temporary or queued experiment."""


@dataclass(frozen=True)
class Log:
    """What a stage's work returns: numbers for the report, and one row a training step."""

    metrics: Mapping[str, Any] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Stage:
    name: str
    params: Mapping[str, Any]
    """Section of params.yaml → its Section class (or a plain type, for a single value)."""
    inputs: Mapping[str, Path]
    outputs: Mapping[str, Path]
    work: Callable[..., Log]
    item: str | None = None
    """Which one of a `foreach` stage."""
    before: Callable[[], None] | None = None
    """Run first of all, before the params are read."""
    parallel: bool = False
    """Whether `run.launch` may do the work in several processes."""

    @property
    def address(self) -> str:
        """The name that DVC gives it."""
        return self.name if self.item is None else f"{self.name}@{self.item}"

    @property
    def script(self) -> Path:
        return Path("stages") / f"{self.name}.py"

    @property
    def log(self) -> Path:
        return Path("logs") / (f"{self.name}.json" if self.item is None else f"{self.name}/{self.item}.json")

    @property
    def needs(self) -> list[Path]:
        """Everything that must be there before the work starts."""
        return [*self.inputs.values(), *([CHECKED] if self.name != "check" else [])]


def is_main() -> bool:
    """Whether this is the process that writes: the only one, or rank 0 of several."""
    return os.environ.get("RANK", "0") == "0"


def home() -> Path:
    """The main checkout: DVC says it, also to queued and temporary experiments."""
    return Path(os.environ.get("DVC_ROOT") or ".").resolve()


def input_digests(stage: Stage) -> dict[str, str]:
    """The sha256 of each input, by name."""
    return {name: files.digest(path) for name, path in stage.inputs.items()}


def input_hash(stage: Stage, params: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """sha256 over everything that may change the stage's outputs: its params, inputs' digests, code and libraries."""
    values = {name: TypeAdapter(kind).dump_python(params[name], mode="json") for name, kind in stage.params.items()}
    identity = {
        "stage": stage.address,
        "params": values,
        "inputs": dict(inputs),
        "code": {path.as_posix(): files.digest(path) for path in local_files(stage.script)},
        "versions": library_versions(),
    }
    return hashlib.sha256(files.to_json(identity).encode()).hexdigest()


def library_versions() -> dict[str, str]:
    versions = {}
    for name in VERSIONED:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def run(stage: Stage, start_tracker: Callable[..., Any] | None = None) -> None:
    """Run `stage` in the current folder, a checkout.

    `start_tracker(stage, params, hash, digests)` is a context manager that yields a Tracker.
    Raises UserError for params, inputs or outputs that aren't as declared.
    """
    if stage.before is not None:
        stage.before()
    params = load_params({**stage.params, "run": RunParams})
    settings = params.pop("run")
    for path in stage.needs:
        if not path.exists():
            raise UserError(f"{stage.address}: the input {path} is missing; `dvc repro {stage.address}` makes it")
    if not is_main():
        _help(stage, settings, params)
        return
    with _alone(stage, Path(".locks")):
        digests = input_digests(stage)
        key = input_hash(stage, params, digests)
        checkpoints = _checkpoints(stage, settings, key)
        _forget_finished(checkpoints)
        with (
            _alone(stage, checkpoints),
            _tracker(start_tracker, stage, params, key, digests) as tracker,
            files.disk_errors(stage.address),
        ):
            context = Context(settings, tracker, checkpoints, home())
            with _outputs(stage) as temporary:
                outputs = {name: temporary[name] for name in stage.outputs}
                log = stage.work(context, **params, **stage.inputs, **outputs)
                files.write_json(temporary["log"], {"input_hash": key, "metrics": log.metrics, "steps": log.steps})
                tracker.log_metrics(numbers(log.metrics))
            files.write_text(checkpoints / "finished", "")


def _help(stage: Stage, settings: RunParams, params: Mapping[str, Any]) -> None:
    """Take part in the work of the main process, which alone locks, writes and tracks."""
    checkpoints = _checkpoints(stage, settings, input_hash(stage, params, input_digests(stage)))
    with tempfile.TemporaryDirectory() as folder:
        outputs = {name: Path(folder) / path.name for name, path in stage.outputs.items()}
        stage.work(Context(settings, NoTracker(), checkpoints, home()), **params, **stage.inputs, **outputs)


def _checkpoints(stage: Stage, settings: RunParams, key: str) -> Path:
    """Where the stage goes on from. What one engine saved, another can't read."""
    engine = settings.launch.engine
    own = f"-{engine}" if stage.parallel and engine != "ddp" else ""
    return home() / ".checkpoints" / stage.address / f"{key}{own}"


def numbers(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Every number in nested `metrics`, by its dotted name."""
    found: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            found |= numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[f"{prefix}{name}"] = value
    return found


@contextmanager
def _outputs(stage: Stage) -> Iterator[dict[str, Path]]:
    """Yield temporary paths; rename them into place if the block ends well and all of them were written."""
    final = {**stage.outputs, "log": stage.log}
    staging = Path(".staging") / stage.address
    shutil.rmtree(staging, ignore_errors=True)
    temporary = {name: staging / name / path.name for name, path in final.items()}
    for path in temporary.values():
        path.parent.mkdir(parents=True)
    try:
        yield temporary
        for name, path in temporary.items():
            if not path.exists():
                raise RuntimeError(f"{stage.address}: its work ended without writing {final[name]}")
        for name, path in temporary.items():
            _replace(path, final[name])
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _replace(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    os.replace(source, target)


@contextmanager
def _alone(stage: Stage, folder: Path) -> Iterator[None]:
    """Hold a lock that ends with the process; wait, and say so, while another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{stage.address}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{stage.address}: another process still works on this stage ({lock.lock_file}); waiting for it to end.")
        print("A process left over from a killed run can be killed too: its checkpoints are used.", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _forget_finished(checkpoints: Path) -> None:
    """Remove the checkpoints of other runs of the stage that ended; one that was interrupted may still be resumed."""
    for other in checkpoints.parent.glob("*"):
        if other != checkpoints and (other / "finished").exists():
            shutil.rmtree(other, ignore_errors=True)


@contextmanager
def _tracker(start: Callable[..., Any] | None, *attempt: Any) -> Iterator[Tracker]:
    if start is None:
        yield NoTracker()
    else:
        with start(*attempt) as tracker:
            yield tracker
