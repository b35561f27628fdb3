"""check: every section of params.yaml and the rules between sections, all errors at once, before any work.

The other stages depend on its constant output, so a bare `dvc repro` stops here, and an edit of params.yaml that
is valid reruns this stage and nothing for its sake.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from questions_gen import files
from questions_gen.params import PARAMS_FILE, Name, ParamsError, Told, load_yaml, parse_params
from questions_gen.params import did_you_mean as did_you_mean
from questions_gen.sources import LOCAL
from questions_gen.stage import CHECKED, Context, Log, RunParams, Stage
from stages import distill, evaluate, export, fetch, grpo, judge, mix, propose, report, sft, teach

STAGES: tuple[Stage, ...] = (
    fetch.STAGE,
    mix.STAGE,
    sft.STAGE,
    grpo.STAGE,
    propose.STAGE,
    teach.STAGE,
    distill.STAGE,
    evaluate.stage("base"),
    judge.stage("base"),
    report.STAGE,
    export.STAGE,
)
SECTIONS: dict[str, Any] = {
    "profile": Name,
    **{name: kind for stage in STAGES for name, kind in stage.params.items() if kind != Told},
    "run": RunParams,
}
"""All that may stand in params.yaml."""

ROOM = {
    "mix.max_tokens": 0,
    "grpo.sampling.max_new_tokens": 1,
    "propose.sampling.max_new_tokens": 1,
    "evaluate.sampling.max_new_tokens": 1,
    "evaluate.thinking.max_new_tokens": 1,
    "export.smoke_tokens": 1,
}
"""Key → how many tokens it must stay below model.max_length: what is generated follows a prompt."""


def find_problems(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with the values of a params file, one line each: its sections, then the rules between them."""
    try:
        parse_params(dict(values), SECTIONS, whole=True)
        problems = []
    except ParamsError as error:
        problems = error.problems
    return problems + _limits(values) + _sources(values) + _teacher(values) + _rollouts(values) + _launch(values)


def _limits(values: Mapping[str, Any]) -> list[str]:
    most = _get(values, "model.max_length")
    found = {key: _get(values, key) for key in ROOM}
    return [
        f"{key}: must be {'below' if ROOM[key] else 'at most'} model.max_length, {most} (found {value})"
        for key, value in found.items()
        if type(value) is int and type(most) is int and value + ROOM[key] > most
    ]


def _sources(values: Mapping[str, Any]) -> list[str]:
    """A name stands for one source of its group, and a held-out set is taken from a source of problems."""
    problems = []
    for group in ("problems", "chat", "evaluation_sets"):
        names = [source.get("name") for source in _rows(values, f"fetch.{group}")]
        problems += [
            f"fetch.{group}.{place}.name: {name!r} is the name of fetch.{group}.{names.index(name)} already"
            for place, name in enumerate(names)
            if isinstance(name, str) and names.index(name) < place
        ]
        problems += [
            f"fetch.{group}.{place}.path: DVC watches {LOCAL} alone; move the file there (found {source.get('path')!r})"
            for place, source in enumerate(_rows(values, f"fetch.{group}"))
            if source.get("kind") == "file" and Path(str(source.get("path"))).parent != LOCAL
        ]
    known = [source.get("name") for source in _rows(values, "fetch.problems")]
    for place, held in enumerate(_rows(values, "fetch.evaluation_sets")):
        origin = held.get("source")
        if held.get("kind") == "held_out" and isinstance(origin, str) and origin not in known:
            hint = did_you_mean(origin, known) or f"; there are {', '.join(map(str, known))}"
            problems.append(f"fetch.evaluation_sets.{place}.source: fetch.problems has no {origin!r}{hint}")
    return problems


def _teacher(values: Mapping[str, Any]) -> list[str]:
    teacher, server = values.get("teacher"), _get(values, "run.teacher")
    if not (isinstance(teacher, dict) and isinstance(server, dict)):
        return []
    if teacher.get("embedded", ...) is not None or server.get("base_url", ...) is not None:
        return []
    return ["run.teacher.base_url: null, and so is teacher.embedded: name one of them, or nobody can teach"]


def _rollouts(values: Mapping[str, Any]) -> list[str]:
    """vLLM on a server gets whole 16-bit weights after each step, which only plain transformers can give it."""
    if _get(values, "grpo.rollouts") != "vllm-server":
        return []
    other = "or set grpo.rollouts to transformers or vllm-colocate"
    problems = []
    if _get(values, "run.rollouts.server") is None:
        problems.append(f"run.rollouts.server: null, but grpo.rollouts is vllm-server: name its address, {other}")
    if _get(values, "model.backend") == "unsloth":
        problems.append(f"model.backend: unsloth samples in an engine of its own; set it to transformers, {other}")
    if _get(values, "model.load_in_4bit") is True:
        problems.append(f"model.load_in_4bit: 4-bit weights can't be sent to a server; set it to false, {other}")
    return problems


def _launch(values: Mapping[str, Any]) -> list[str]:
    """fsdp2 shards every tensor that is trained, and what the 4-bit and 8-bit library works on has to be whole."""
    if _get(values, "run.launch.engine") != "fsdp2":
        return []
    problems = []
    if _get(values, "model.load_in_4bit") is True:
        problems.append("model.load_in_4bit: run.launch.engine fsdp2 shards 16-bit weights alone; set it to false")
    for key in ("sft.optimizer", "grpo.optimizer", "distill.optimizer"):
        if "8bit" in str(_get(values, key)):
            problems.append(f"{key}: run.launch.engine fsdp2 has no 8-bit optimizer; set it to adamw_torch")
    return problems


def _get(values: Any, key: str) -> Any:
    """The value of a dotted key; None where there is none."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _rows(values: Mapping[str, Any], key: str) -> list[dict]:
    """The list at a dotted key; something else in it stands as an empty row."""
    found = _get(values, key)
    return [row if isinstance(row, dict) else {} for row in found] if isinstance(found, list) else []


def check_file(path: Path = PARAMS_FILE) -> None:
    """Raises ParamsError with all that is wrong."""
    problems = find_problems(load_yaml(path))
    if problems:
        raise ParamsError(path, problems)


def work(context: Context, *, checked: Path, **sections: Any) -> Log:
    files.write_text(checked, "params.yaml is valid\n")
    return Log()


STAGE = Stage(
    "check",
    params={name: kind for name, kind in SECTIONS.items() if name != "run"},  # every stage reads `run` anyway
    inputs={},
    outputs={"checked": CHECKED},
    work=work,
    before=check_file,
)
