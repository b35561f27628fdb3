"""`questions-gen`: choose a profile, score problems. Run it in the folder of a checkout.

    questions-gen profile list
    questions-gen profile use qwen3-14b sft.steps=200
    questions-gen score problems.jsonl --json
    questions-gen teacher plan | record | stats | verify | show KEY | seal | prune

Exit codes: 0 fine · 1 a problem's gate is closed, or stored answers are damaged · 2 bad input, which the error names.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from questions_gen.errors import UserError

if TYPE_CHECKING:
    from questions_gen.schema import Completion, Prompt, Verdict
    from questions_gen.stage import TeacherRun
    from questions_gen.teacher.prompts import TeacherParams

MIXED = Path("data/mixed")
JSON_LINES = (".jsonl", ".ndjson", ".json", ".jsonl.gz")
STATEMENT_KEYS = ("statement", "problem")

app = typer.Typer(
    help="Train models that write mathematics problems, and score what they write.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
profile = typer.Typer(help="The files of values that make params.yaml.", no_args_is_help=True)
app.add_typer(profile, name="profile")


teacher = typer.Typer(help="The teacher's stored answers: they were paid for once.", no_args_is_help=True)
app.add_typer(teacher, name="teacher")


@contextmanager
def _told() -> Iterator[None]:
    """End with code 2 and one message for what the user can mend."""
    try:
        yield
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None


@profile.command("list")
@_told()
def list_profiles() -> None:
    """Show the profiles; * marks the one that params.yaml was made from."""
    from questions_gen.params import PARAMS_FILE, load_yaml
    from questions_gen.profiles import profiles, summary

    current = load_yaml(PARAMS_FILE).get("profile") if PARAMS_FILE.exists() else None
    for name, path in profiles().items():
        typer.echo(f"{'*' if name == current else ' '} {name:<16} {summary(path.read_text(encoding='utf-8'))}")


@profile.command("use")
@_told()
def use_profile(
    name: str,
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="sft.steps=20: dotted keys, YAML values")
    ] = None,
) -> None:
    """Write params.yaml from conf/NAME.yaml, with single values changed. Nothing is written if a value is wrong."""
    from questions_gen.files import write_text
    from questions_gen.params import PARAMS_FILE, ParamsError
    from questions_gen.profiles import find_profile, set_value, values_of

    path = find_profile(name)
    text = path.read_bytes().decode()
    for change in changes or ():
        text = set_value(text, change)
    if problems := _find_problems(values_of(text)):
        raise ParamsError(path, problems)
    write_text(PARAMS_FILE, text)
    typer.echo(f"{PARAMS_FILE} is now {name}{' with ' + ', '.join(changes) if changes else ''}; next: dvc repro")


def _find_problems(values: dict) -> list[str]:
    """What the stages' own sections say of `values`. The stages belong to the checkout, not to the package."""
    _find_stages()
    from stages.check import find_problems

    return find_problems(values)


def _find_stages() -> None:
    """Make the checkout's stages importable."""
    if not Path("stages/check.py").exists():
        raise UserError("stages/check.py: no such file; run this in the folder of a Questions-Gen checkout")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))


def _teacher_work(most: bool = False) -> "tuple[TeacherParams, TeacherRun, list[tuple[str, Any, list]]]":
    """Params, how to ask, and for each stage that asks: its address, its work and the items of it.

    `most`: as if every improvement were good enough to be compared with its original.
    """
    _find_stages()
    from questions_gen.params import load_params
    from questions_gen.report.summary import MODELS
    from questions_gen.stage import RunParams
    from questions_gen.teacher.lessons import teach_one
    from stages import judge, teach

    sections = {**teach.STAGE.params, **judge.stage("base").params, "run": RunParams}
    params = load_params(sections)
    work: list[tuple[str, Any, list]] = []
    proposals = teach.STAGE.inputs["proposals"]
    if _is_made(proposals, "teach"):
        chosen = teach.selection(params["teach"], params["rewards"], teach.STAGE.inputs["mixed"])
        chosen = replace(chosen, margin=-1.0) if most else chosen
        work.append(("teach", partial(teach_one, selection=chosen), teach.questions(proposals, params["teach"])[0]))
    for model in MODELS:
        stage = judge.stage(model)
        if _is_made(stage.inputs["evaluation"], stage.address):
            work.append((stage.address, judge.score, judge.questions(stage.inputs["evaluation"], params["judge"])))
    return params["teacher"], params["run"].teacher, work


def _is_made(path: Path, address: str) -> bool:
    if not path.exists():
        typer.echo(f"{address:<16} can't be told: {path} isn't there yet; `dvc repro` makes it", err=True)
    return path.exists()


@teacher.command("plan")
@_told()
def teacher_plan() -> None:
    """Print what teach and judge would ask for as things are: requests, tokens, cost. Nothing is asked."""
    from questions_gen.stage import home
    from questions_gen.teacher.limits import cost
    from questions_gen.teacher.planning import make_plan

    params, run, work = _teacher_work(most=True)
    for address, function, items in work:
        plan = make_plan(params, home(), function, items)
        money = f", cost at most {cost(plan.tokens, run.prices):.2f}" if run.prices else ""
        again = f" ({plan.most_requests} if answers have the wrong form)" if plan.most_requests > plan.requests else ""
        typer.echo(
            f"{address:<16} {plan.stored} answers stored, {plan.requests} to ask for{again}: at most "
            f"{plan.tokens.prompt} + {plan.tokens.completion} tokens{money}"
        )
    if not run.prices:
        typer.echo("run.teacher.prices: null, so no cost is worked out")


@teacher.command("record")
@_told()
def teacher_record() -> None:
    """Ask for every answer that teach and judge lack, and store it. No output of a stage is written."""
    from questions_gen.stage import home
    from questions_gen.teacher.session import consult

    params, run, work = _teacher_work()
    run = run.model_copy(update={"mode": "record"})
    for address, function, items in work:
        counts = consult(params, run, home(), function, items, label=address).counts
        typer.echo(f"{address:<16} {counts.get('stored', 0)} answers stored before, {counts.get('asked', 0)} asked for")


@teacher.command("prune")
@_told()
def teacher_prune() -> None:
    """Shorten the journal by rows that are never looked up: sealed and replaced answers, old failures."""
    from questions_gen.stage import home
    from questions_gen.teacher.sealing import prune

    typer.echo(f"{prune(home())} rows are gone; every answer is still stored")


@teacher.command("stats")
@_told()
def teacher_stats() -> None:
    """Count what is stored: answers, failures by reason, tokens."""
    from questions_gen.stage import home
    from questions_gen.teacher.sealing import stats

    for name, value in stats(home()).items():
        shown = ", ".join(f"{key} {count}" for key, count in value.items()) if isinstance(value, dict) else value
        typer.echo(f"{name:<12} {shown}")


@teacher.command("verify")
@_told()
def teacher_verify() -> None:
    """Check that every stored row is whole and stands under its request's key. Ends with code 1 if one isn't."""
    from questions_gen.stage import home
    from questions_gen.teacher.sealing import verify

    whole, damaged = verify(home())
    for damage in damaged:
        typer.echo(f"{damage.path}, line {damage.line}: {damage.cause}")
    typer.echo(f"{whole} rows are whole, {len(damaged)} are not")
    if damaged:
        raise typer.Exit(1)


@teacher.command("show")
@_told()
def teacher_show(key: Annotated[str, typer.Argument(help="the key, or as much of it as tells it apart")]) -> None:
    """Print a stored request and its answer."""
    from questions_gen.stage import home
    from questions_gen.teacher.sealing import find

    typer.echo(find(home(), key).model_dump_json(indent=2))


@teacher.command("seal")
@_told()
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
    typer.echo(f"{count} answers are sealed in {SEALED}; next: git add {SEALED}.dvc, commit, dvc push")


@app.command()
@_told()
def score(
    file: Annotated[Path, typer.Argument(help="JSON lines with statement, problem or text; else text: one problem")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a problem")] = False,
) -> None:
    """Print the verdict on each problem of FILE: the gate, the rewards, the total, as `evaluate` judges them.

    Ends with code 1 if the gate of one is closed.
    """
    completions = read_completions(file)
    verdicts = _judge(completions)
    for completion, verdict in zip(completions, verdicts, strict=True):
        typer.echo(_json_line(completion, verdict) if as_json else _text_line(completion, verdict))
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(1)


def read_completions(file: Path) -> "list[Completion]":
    """The problems of a file, as if a model had written them. Raises UserError for a file without any."""
    from questions_gen import files

    if file.name.endswith(JSON_LINES):
        rows = [_row_text(row, f"{file}, row {n}") for n, row in enumerate(files.iterate_rows(file), 1)]
    else:
        try:
            rows = [{"id": file.name, "text": file.read_bytes().decode()}]
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{file}: can't be read as text ({error})") from None
    if not any(row["text"].strip() for row in rows):
        raise UserError(f"{file}: no problem in it")
    return [_completion(number, row) for number, row in enumerate(rows, 1)]


def _row_text(row: dict[str, Any], place: str) -> dict[str, Any]:
    """The row with its `text`, which is made of the statement and the answer where it isn't given."""
    from questions_gen.prompts import written_problem

    key = next((key for key in ("text", *STATEMENT_KEYS) if isinstance(row.get(key), str)), None)
    if key is None:
        raise UserError(f"{place}: needs a text under one of the keys text, {', '.join(STATEMENT_KEYS)}")
    answer = row.get("answer")
    return row if key == "text" else {**row, "text": written_problem(row[key], None if answer is None else str(answer))}


def _completion(number: int, row: dict[str, Any]) -> "Completion":
    from questions_gen.answers import parse_completion

    reason = "length" if row.get("finish_reason") == "length" else "stop"
    name = str(row.get("id", number))
    return parse_completion(id=name, prompt_id=str(number), text=row["text"], finish_reason=reason, tokens=0, seed=0)


def _judge(completions: "list[Completion]") -> "list[Verdict]":
    """Each problem is a group of its own, so diversity isn't judged; the history is the training problems."""
    from questions_gen.files import read_records
    from questions_gen.history import History
    from questions_gen.params import load_params
    from questions_gen.rewards.combine import RewardParams, load_judge
    from questions_gen.schema import Problem

    if not MIXED.exists():
        raise UserError(f"{MIXED}: no such folder, and problems are judged against it; `dvc repro mix` makes it")
    params = load_params({"rewards": RewardParams})["rewards"]
    known = History(params.history_size)
    known.add(problem.statement for problem in read_records(MIXED / "problems.jsonl", Problem))
    return load_judge(params, MIXED, known).judge(completions, [_prompt(c) for c in completions])


def _prompt(completion: "Completion") -> "Prompt":
    """A prompt that asks for no answer: a problem of one's own is judged without it."""
    from questions_gen.schema import Message, Prompt

    return Prompt(id=completion.prompt_id, task="problem", messages=(Message(role="user", content="A problem."),))


def _json_line(completion: "Completion", verdict: "Verdict") -> str:
    from questions_gen.files import to_json

    return to_json({"id": completion.id, **verdict.model_dump(mode="json")})


def _text_line(completion: "Completion", verdict: "Verdict") -> str:
    rewards = "  ".join(f"{name} {'-' if value is None else f'{value:.2f}'}" for name, value in verdict.rewards.items())
    gate = "passed" if verdict.passed else f"closed ({', '.join(verdict.reasons)})"
    return f"{completion.id}: total {verdict.total:.2f}  gate {gate}  {rewards}  similarity {verdict.similarity:.2f}"
