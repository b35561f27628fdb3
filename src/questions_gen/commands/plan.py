"""`questions-gen plan`: what a profile would take on a GPU, before it is paid for; refuses what can't fit."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from questions_gen.commands.checkout import find_stages
from questions_gen.commands.output import AsJson
from questions_gen.commands.told import told
from questions_gen.errors import UserError

if TYPE_CHECKING:
    from questions_gen.costs import Device, Shape
    from questions_gen.planning import Estimate
    from questions_gen.teacher.planning import Plan

GPUS, MODELS = Path("conf/gpus.json"), Path("conf/models")
CPU_LIBRARIES = 0.65
"""GiB resident in sft and grpo with a model of 100 kB (docs/plan.json, shape "tiny"): the libraries."""
GPU_LIBRARIES = {"transformers": 1.7, "unsloth": 0.8}
"""GiB by backend, what the driver counted on an H100 beside torch's own memory: CUDA's own (docs/gpu)."""


@told()
def plan(
    profile: Annotated[str | None, typer.Option(help="a profile of conf/; default: params.yaml")] = None,
    gpu: Annotated[
        str | None, typer.Option(help="a card of conf/gpus.json, or GiB=24; default: this machine's CPU and memory")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print each stage's memory, time, tokens and cost, and how far the estimate was from what a run took.

    Ends with code 1, and says what to change, if a stage doesn't fit.
    """
    from questions_gen import planning
    from questions_gen.files import to_json

    values = _values(profile)
    device, shape = find_device(gpu, values["model"]["backend"]), find_shape(values)
    made = planning.estimates(values, shape, device)
    runs = _measured(values, made, gpu is not None)
    asked = _teacher(values, as_things_are=profile is None)
    remedies = {
        estimate.stage: planning.remedy(values, shape, device, estimate.stage)
        for estimate in made
        if not planning.fits(estimate, device)
    }
    if as_json:
        for estimate in made:
            typer.echo(to_json(_row(estimate, planning.fits(estimate, device))))
        for address, run in runs.items():
            typer.echo(to_json({"stage": address, **run}))
        for address, told_of in asked.items():
            typer.echo(to_json({"stage": address, **_costs(values, told_of)}))
        for stage, remedy in remedies.items():
            typer.echo(
                to_json({"stage": stage, "change": dict(remedy.changes), "total": remedy.total, "fits": remedy.fits})
            )
    else:
        _show(values, shape, device, made)
        _show_runs(runs)
        _show_teacher(values, asked)
        _show_remedies(remedies, device)
    if remedies:
        raise typer.Exit(1)


def _values(profile: str | None) -> dict[str, Any]:
    """The values to plan for. Raises ParamsError for values that the stage check would refuse."""
    find_stages()
    from questions_gen.params import PARAMS_FILE, ParamsError, load_yaml
    from questions_gen.profiles import find_profile
    from stages.check import find_problems

    path = find_profile(profile) if profile else PARAMS_FILE
    values = load_yaml(path)
    if problems := find_problems(values):
        raise ParamsError(path, problems)
    return values


def find_device(gpu: str | None, backend: str) -> "Device":
    """A card of conf/gpus.json, one of which the memory alone is known (GiB=24), or this machine without one."""
    import os

    from questions_gen.costs import GIB, HEAP_GAPS, Device
    from questions_gen.files import read_json
    from questions_gen.params import did_you_mean

    if gpu is None:
        memory = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        return Device("this machine's CPU", memory, None, None, CPU_LIBRARIES * GIB, HEAP_GAPS)
    name, equals, size = gpu.partition("=")
    if equals and name.lower() == "gib":
        try:
            memory = float(size)
        except ValueError:
            raise UserError(f"--gpu {gpu}: expected a number of GiB, as in GiB=24") from None
        return Device(f"a card of {memory:g} GiB", memory * GIB, None, None, GPU_LIBRARIES[backend] * GIB, 0.0)
    cards = read_json(GPUS)
    if gpu not in cards:
        hint = did_you_mean(gpu, cards) or f"; there are {', '.join(cards)}"
        raise UserError(f"--gpu {gpu}: not in {GPUS}{hint}; GiB=24 plans the memory of any card")
    card = cards[gpu]
    flops, bandwidth = card["tflops"] * 1e12, card["bandwidth_gb"] * 1e9
    return Device(gpu, card["memory_gib"] * GIB, flops, bandwidth, GPU_LIBRARIES[backend] * GIB, 0.0)


def find_shape(values: dict[str, Any]) -> "Shape":
    """Of the base model: from its own config.json where fetch has brought it, else from conf/models.

    Raises UserError, with what to do, where neither is there.
    """
    from questions_gen.costs import read_shape
    from questions_gen.files import read_json

    source = values["fetch"]["model"]
    if source["kind"] == "hub":
        from huggingface_hub import try_to_load_from_cache

        name = source["repo_id"].rpartition("/")[2].lower()
        cached = try_to_load_from_cache(source["repo_id"], "config.json", revision=source["revision"])
        if isinstance(cached, str):
            return read_shape(read_json(Path(cached)), cached)
    else:
        name = Path(source["path"]).name.partition(".")[0].lower()
    path = MODELS / f"{name}.json"
    if not path.exists():
        raise UserError(
            f"{path}: no such file; save the config.json of fetch.model's model there, or run `dvc repro fetch`"
        )
    return read_shape(read_json(path), str(path))


def _measured(values: dict[str, Any], made: "list[Estimate]", on_a_gpu: bool) -> dict[str, dict[str, Any]]:
    """Stage → what its last tracked run with these very params took, and by how much the estimate is off."""
    from pydantic import TypeAdapter

    from questions_gen.measured import last_run
    from questions_gen.params import parse_params
    from questions_gen.stage import home
    from questions_gen.tracking import flatten
    from stages.check import STAGES

    stages = {stage.address: stage for stage in STAGES}
    peak = "peak_cuda_gib" if on_a_gpu else "peak_rss_gib"
    found = {}
    for address in dict.fromkeys(estimate.stage for estimate in made):
        kinds = stages[address].params
        own = {n: TypeAdapter(kinds[n]).dump_python(v, mode="json") for n, v in parse_params(values, kinds).items()}
        run = last_run(home(), values["run"]["tracking"]["uri"], address, flatten(own), peak)
        if run is None:
            continue
        parts = [estimate for estimate in made if estimate.stage == address]
        total = max(part.total - on_a_gpu * part.memory["libraries"] for part in parts)  # torch counts its own alone
        found[address] = {
            "estimate_bytes": total,
            "measured_bytes": run.peak_bytes,
            "error": total / run.peak_bytes - 1,
            "measured_seconds": run.seconds,
        }
    return found


def _teacher(values: dict[str, Any], as_things_are: bool) -> "dict[str, Plan]":
    """Stage that asks → what it would ask. Where its input isn't made yet, as many questions as the params allow, about
    problems as long as they allow; improvements are compared too. `as_things_are`: params.yaml, whose inputs count."""
    from questions_gen.commands.teacher import teacher_work
    from questions_gen.params import parse_params
    from questions_gen.planning import asked_problems
    from questions_gen.schema import Language
    from questions_gen.stage import home
    from questions_gen.teacher.limits import CHARACTERS_A_TOKEN
    from questions_gen.teacher.planning import make_plan
    from questions_gen.teacher.prompts import TeacherParams

    params = parse_params(values, {"teacher": TeacherParams, "language": Language})
    made = (
        {address: (work, items) for address, work, items in teacher_work(most=True, tell=False)[3]}
        if as_things_are
        else {}
    )
    plans = {}
    for address, problems in asked_problems(values).items():
        work, items = made.get(address, (_ask_all, problems))
        longest = "x" * (values["propose"]["sampling"]["max_new_tokens"] * CHARACTERS_A_TOKEN)
        items = items if address in made else [replace(problem, statement=longest) for problem in problems]
        plans[address] = make_plan(params["teacher"], home(), work, items, language=params["language"])
    return plans


async def _ask_all(teacher: Any, problem: Any) -> None:
    """The questions about one problem that teach and judge have, whatever the answers are."""
    from questions_gen.teacher.lessons import KINDS

    evaluation = await teacher.evaluate(problem.statement)
    if problem.improve:
        await teacher.improve(problem.statement, evaluation.feedback)
    for _ in range(problem.compare):
        await teacher.compare(problem.statement, problem.statement)
    for kind in KINDS if problem.vary else ():
        await teacher.vary(kind, problem.statement)


def _costs(values: dict[str, Any], plan: "Plan") -> dict[str, Any]:
    from questions_gen.params import parse_params
    from questions_gen.stage import RunParams
    from questions_gen.teacher.limits import cost

    prices = parse_params(values, {"run": RunParams})["run"].teacher.prices
    return {
        "requests": plan.requests,
        "prompt_tokens": plan.tokens.prompt,
        "completion_tokens": plan.tokens.completion,
        "cost": cost(plan.tokens, prices) if prices else None,
    }


def _row(estimate: "Estimate", fits: bool) -> dict[str, Any]:
    return {
        "stage": estimate.stage,
        "part": estimate.part,
        "memory": dict(estimate.memory),
        "total": estimate.total,
        "fits": fits,
        "tokens": estimate.tokens,
        "seconds": estimate.seconds,
    }


def _show(values: dict[str, Any], shape: "Shape", device: "Device", made: "list[Estimate]") -> None:
    from questions_gen.costs import GIB, TRAINING_SHARE

    typer.echo(
        f"{values['profile']}: {shape.parameters / 1e9:.2f} billion weights on {device.name}, "
        f"{device.memory / GIB:.0f} GiB"
    )
    for estimate in made:
        parts = sorted(((size, name) for name, size in estimate.memory.items() if size >= 0.05 * GIB), reverse=True)
        of_which = ", ".join(f"{name} {size / GIB:.1f}" for size, name in parts)
        tokens = f"{estimate.tokens / 1e3:8.0f} k tokens" if estimate.tokens else " " * 17
        took = "" if estimate.seconds is None else f"  {estimate.seconds / 3600:6.2f} h"
        label = f"{estimate.stage} {estimate.part}"
        typer.echo(f"{label:<24} {estimate.total / GIB:6.1f} GiB{tokens}{took}  ({of_which})")
    if device.flops is None:
        typer.echo("No time is told: the speed of this device isn't known.")
    else:
        typer.echo(
            "Times are of the steps alone, with completions of full length and training at "
            f"{TRAINING_SHARE:.0%} of the card's peak; evaluate is done for four models. docs/planning.md"
        )


def _show_runs(runs: dict[str, dict[str, Any]]) -> None:
    from questions_gen.costs import GIB

    for address, run in runs.items():
        typer.echo(
            f"{address:<24} estimated {run['estimate_bytes'] / GIB:.2f} GiB, measured "
            f"{run['measured_bytes'] / GIB:.2f} GiB, error {run['error']:+.0%}; it took "
            f"{run['measured_seconds'] / 3600:.2f} h"
        )
    if not runs:
        typer.echo(
            "No run with these params was tracked here, so these estimates' error isn't known; those that were "
            "measured are within 20%: docs/planning.md"
        )


def _show_teacher(values: dict[str, Any], asked: "dict[str, Plan]") -> None:
    for address, plan in asked.items():
        told_of = _costs(values, plan)
        money = "" if told_of["cost"] is None else f", cost at most {told_of['cost']:.2f}"
        stored = f"{plan.stored} answers stored, " if plan.stored else ""
        typer.echo(
            f"{address:<24} {stored}{plan.requests} requests, at most {told_of['prompt_tokens']} + "
            f"{told_of['completion_tokens']} tokens{money}"
        )
    if values["run"]["teacher"]["prices"] is None:
        typer.echo("run.teacher.prices: null, so no cost is worked out")


def _show_remedies(remedies: dict[str, Any], device: "Device") -> None:
    from questions_gen.costs import GIB
    from questions_gen.files import to_json
    from questions_gen.planning import MARGIN

    for stage, remedy in remedies.items():
        changes = " ".join(f"{key}={to_json(value)}" for key, value in remedy.changes.items())
        after = f"{changes} would bring it to {remedy.total / GIB:.1f} GiB" if changes else "no param would lower it"
        rest = "" if remedy.fits else "; that is still too much: a smaller model (fetch.model) or a larger card"
        typer.echo(
            f"error: {stage} doesn't fit into {device.memory / GIB:.0f} GiB with {MARGIN:.0%} left free; {after}{rest}",
            err=True,
        )
