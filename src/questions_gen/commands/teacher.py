"""`questions-gen teacher`: the teacher's stored answers, which were paid for once."""

import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from questions_gen.commands.checkout import find_stages
from questions_gen.commands.output import AsJson
from questions_gen.commands.told import told
from questions_gen.errors import UserError

if TYPE_CHECKING:
    from questions_gen.schema import Language
    from questions_gen.stage import TeacherRun
    from questions_gen.teacher.prompts import TeacherParams

app = typer.Typer(help="The teacher's stored answers: they were paid for once.", no_args_is_help=True)


def teacher_work(
    most: bool = False, tell: bool = True
) -> "tuple[TeacherParams, TeacherRun, Language, list[tuple[str, Any, list]]]":
    """Params, how to ask, in which language, and for each stage that asks: its address, its work and the items of it.

    `most`: as if every improvement were good enough to be compared with its original. `tell` of stages whose input
    isn't made yet; they are left out.
    """
    find_stages()
    from questions_gen.params import load_params
    from questions_gen.report.summary import MODELS
    from questions_gen.stage import RunParams
    from questions_gen.teacher.lessons import teach_one
    from stages import judge, teach

    sections = {**teach.STAGE.params, **judge.stage("base").params, "run": RunParams}
    params = load_params(sections)
    work: list[tuple[str, Any, list]] = []
    proposals = teach.STAGE.inputs["proposals"]
    if _is_made(proposals, "teach", tell):
        chosen = teach.selection(params["teach"], params["rewards"], teach.STAGE.inputs["mixed"], params["language"])
        chosen = replace(chosen, margin=-1.0) if most else chosen
        work.append(("teach", partial(teach_one, selection=chosen), teach.questions(proposals, params["teach"])[0]))
    for model in MODELS:
        stage = judge.stage(model)
        if _is_made(stage.inputs["evaluation"], stage.address, tell):
            work.append((stage.address, judge.score, judge.questions(stage.inputs["evaluation"], params["judge"])))
    return params["teacher"], params["run"].teacher, params["language"], work


def _is_made(path: Path, address: str, tell: bool) -> bool:
    if tell and not path.exists():
        typer.echo(f"{address:<16} can't be told: {path} isn't there yet; `dvc repro` makes it", err=True)
    return path.exists()


@app.command("plan")
@told()
def teacher_plan(as_json: AsJson = False) -> None:
    """Print what teach and judge would ask for as things are: requests, tokens, cost. Nothing is asked."""
    from questions_gen.files import to_json
    from questions_gen.stage import home
    from questions_gen.teacher.limits import cost
    from questions_gen.teacher.planning import make_plan

    params, run, language, work = teacher_work(most=True)
    for address, function, items in work:
        plan = make_plan(params, home(), function, items, language=language)
        if as_json:
            most = cost(plan.tokens, run.prices) if run.prices else None
            told_of = {**asdict(plan), "tokens": plan.tokens._asdict(), "cost": most}
            typer.echo(to_json({"stage": address, **told_of}))
            continue
        money = f", cost at most {cost(plan.tokens, run.prices):.2f}" if run.prices else ""
        again = f" ({plan.most_requests} if answers have the wrong form)" if plan.most_requests > plan.requests else ""
        typer.echo(
            f"{address:<16} {plan.stored} answers stored, {plan.requests} to ask for{again}: at most "
            f"{plan.tokens.prompt} + {plan.tokens.completion} tokens{money}"
        )
    if not run.prices and not as_json:
        typer.echo("run.teacher.prices: null, so no cost is worked out")


@app.command("record")
@told()
def teacher_record(as_json: AsJson = False) -> None:
    """Ask for every answer that teach and judge lack, and store it. No output of a stage is written."""
    from questions_gen.files import to_json
    from questions_gen.stage import home
    from questions_gen.teacher.session import consult

    params, run, language, work = teacher_work()
    run = run.model_copy(update={"mode": "record"})
    for address, function, items in work:
        counts = consult(params, run, home(), function, items, label=address, language=language).counts
        stored, asked = counts.get("stored", 0), counts.get("asked", 0)
        if as_json:
            typer.echo(to_json({"stage": address, "stored": stored, "asked": asked}))
        else:
            typer.echo(f"{address:<16} {stored} answers stored before, {asked} asked for")


@app.command("prune")
@told()
def teacher_prune() -> None:
    """Shorten the journal by rows that are never looked up: sealed and replaced answers, old failures."""
    from questions_gen.stage import home
    from questions_gen.teacher.sealing import prune

    typer.echo(f"{prune(home())} rows are gone; every answer is still stored")


@app.command("stats")
@told()
def teacher_stats(as_json: AsJson = False) -> None:
    """Count what is stored: answers, failures by reason, tokens."""
    from questions_gen.files import to_json
    from questions_gen.stage import home
    from questions_gen.teacher.sealing import stats

    counted = stats(home())
    if as_json:
        typer.echo(to_json(counted))
        return
    for name, value in counted.items():
        shown = ", ".join(f"{key} {count}" for key, count in value.items()) if isinstance(value, dict) else value
        typer.echo(f"{name:<12} {shown}")


@app.command("verify")
@told()
def teacher_verify(as_json: AsJson = False) -> None:
    """Check that every stored row is whole and stands under its request's key. Ends with code 1 if one isn't."""
    from questions_gen.files import to_json
    from questions_gen.stage import home
    from questions_gen.teacher.sealing import verify

    whole, damaged = verify(home())
    if as_json:
        typer.echo(to_json({"whole": whole, "damaged": [{**d._asdict(), "path": str(d.path)} for d in damaged]}))
    else:
        for damage in damaged:
            typer.echo(f"{damage.path}, line {damage.line}: {damage.cause}")
        typer.echo(f"{whole} rows are whole, {len(damaged)} are not")
    if damaged:
        raise typer.Exit(1)


@app.command("show")
@told()
def teacher_show(key: Annotated[str, typer.Argument(help="the key, or as much of it as tells it apart")]) -> None:
    """Print a stored request and its answer."""
    from questions_gen.stage import home
    from questions_gen.teacher.sealing import find

    typer.echo(find(home(), key).model_dump_json(indent=2))


@app.command("seal")
@told()
def teacher_seal() -> None:
    """Sort the stored answers into data/teacher_store and version them with DVC; `dvc push` then shares them."""
    import subprocess

    from questions_gen.stage import home
    from questions_gen.teacher.sealing import seal
    from questions_gen.teacher.store import SEALED

    root = home()
    count = seal(root)
    done = subprocess.run([sys.executable, "-m", "dvc", "add", "--quiet", str(SEALED)], cwd=root)
    if done.returncode:
        raise UserError(f"{SEALED}: the answers are sealed, but `dvc add {SEALED}` failed; run it in {root}")
    added = f"{SEALED}.dvc {SEALED.parent}/.gitignore"
    typer.echo(f"{count} answers are sealed in {SEALED}; next: git add {added}, commit, dvc push")
