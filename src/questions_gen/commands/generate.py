"""`questions-gen generate` and `questions-gen vary`: problems from what was trained, judged as they come."""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from questions_gen.commands.asking import one_line, split_list
from questions_gen.commands.checkout import refuse_outs
from questions_gen.commands.output import AsJson
from questions_gen.commands.told import told
from questions_gen.commands.writer import ModelOption
from questions_gen.errors import UserError
from questions_gen.schema import VariationKind

if TYPE_CHECKING:
    from questions_gen.commands.sampling import Sample
    from questions_gen.schema import Completion, Prompt

TRIES = 10
"""Samples for each problem that --until asks for, where --tries doesn't say another number."""

Kind = Literal[VariationKind, "all"]
SeedOption = Annotated[
    int | None,
    typer.Option(min=0, max=2**31 - 1, help="repeats a run; left out: another one each time", show_default=False),
]
ThinkOption = Annotated[bool, typer.Option("--think", help="let a model that can think do so first")]
OutputOption = Annotated[
    Path | None, typer.Option(help="a file for the accepted problems, as JSON lines", show_default=False)
]


@told()
def generate(
    topic: Annotated[str | None, typer.Option(help="of the problems", autocompletion=lambda: _topics())] = None,
    concepts: Annotated[
        list[str] | None, typer.Option(help="what they are about; several times, or with semicolons")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="samples", show_default="1")] = None,
    until: Annotated[
        int | None, typer.Option(min=1, help="go on until so many are accepted", show_default=False)
    ] = None,
    tries: Annotated[
        int | None, typer.Option(min=1, help="most samples for --until", show_default=f"{TRIES} times --until")
    ] = None,
    think: ThinkOption = False,
    seed: SeedOption = None,
    model: ModelOption = None,
    as_json: AsJson = False,
    output: OutputOption = None,
) -> None:
    """Write problems, and judge each by the gate and the rewards. Rejected ones are shown and counted.

    Ends with code 1 if none was accepted, or with --until fewer than asked for.
    """
    from questions_gen.commands.judging import asked_language
    from questions_gen.prompts import problem_messages
    from questions_gen.schema import Prompt

    if count is not None and until is not None:
        raise UserError("--count and --until: give one; --count samples so many, --until goes on to so many accepted")
    if tries is not None and until is None:
        raise UserError("--tries is for --until; --count says how many samples there are otherwise")
    asked = None if topic is None else one_line("--topic", topic)
    ideas = split_list("--concepts", concepts)
    messages = problem_messages(asked, ideas, asked_language())
    most = (count or 1) if until is None else tries or TRIES * until
    prompts = (
        Prompt(id=f"problem-{n}", task="problem", messages=messages, topic=asked, concepts=ideas)
        for n in range(1, most + 1)
    )
    with _sampled(prompts, model, think, seed, as_json, output, needs_known=until is not None) as (samples, made):
        for _ in samples:
            if until is not None and _accepted(made) >= until:
                break
    if _accepted(made) < (until or 1):
        raise typer.Exit(1)


@told()
def vary(
    file: Annotated[Path, typer.Argument(help="problems, in a form that `score` reads")],
    kind: Annotated[Kind, typer.Option(help="what is changed")] = "all",
    think: ThinkOption = False,
    seed: SeedOption = None,
    model: ModelOption = None,
    as_json: AsJson = False,
    output: OutputOption = None,
) -> None:
    """Write a variation of each problem of FILE, of one kind or of each, and check that it is what it says it is.

    Ends with code 1 if none was accepted.
    """
    from questions_gen.commands.judging import asked_language
    from questions_gen.commands.score import read_completions
    from questions_gen.prompts import variation_messages
    from questions_gen.schema import Prompt

    kinds = get_args(VariationKind) if kind == "all" else (kind,)
    prompts = [
        Prompt(
            id=f"{problem.id}-{k}",
            task="variation",
            messages=variation_messages(k, _statement(file, problem), asked_language()),
            original=problem.statement,
            kind=k,
        )
        for problem in read_completions(file)
        for k in kinds
    ]
    with _sampled(prompts, model, think, seed, as_json, output) as (samples, made):
        for _ in samples:
            pass
    if not _accepted(made):
        raise typer.Exit(1)


def _statement(file: Path, problem: "Completion") -> str:
    if not problem.statement:
        raise UserError(f"{file}: problem {problem.id} has no statement, so there is nothing to vary")
    return problem.statement


@contextmanager
def _sampled(
    prompts: "Iterable[Prompt]",
    model: str | None,
    think: bool,
    seed: int | None,
    as_json: bool,
    output: Path | None,
    *,
    needs_known: bool = False,
) -> "Iterator[tuple[Iterator[Sample], list[Sample]]]":
    """The samples, to be drawn one by one, and the list that they are kept in; told and written when the block ends."""
    from questions_gen.commands.judging import MIXED, Assessor
    from questions_gen.commands.sampling import ShowJson, ShowText, sample, tell_counts, write_accepted
    from questions_gen.commands.writer import open_writer

    if output is not None:
        refuse_outs("--output", output)
        if output.is_dir():
            raise UserError(f"--output: {output} is a folder; name a file")
    assessor = Assessor()
    if not assessor.knows:
        told_of = f"{MIXED} isn't here (`dvc pull {MIXED}` fetches it, `dvc repro mix` makes it)"
        if needs_known:
            raise UserError(f"--until: {told_of}, so nobody can tell which problems are new; use --count")
        typer.echo(f"{told_of}: judged by the gate alone", err=True)
    first = secrets.randbelow(2**31 - 2**20) if seed is None else seed
    made: list[Sample] = []
    with open_writer(model, think=think) as writer:
        try:
            show = ShowJson() if as_json else ShowText()
            yield _kept(sample(writer, assessor, prompts, seed=first, show=show), made), made
        finally:  # also what an interrupted run has made
            write_accepted(output, made)
            tell_counts(made, writer.name, first)


def _kept(samples: "Iterator[Sample]", made: "list[Sample]") -> "Iterator[Sample]":
    for one in samples:
        made.append(one)
        yield one


def _accepted(samples: "list[Sample]") -> int:
    return sum(made.accepted for made in samples)


def _topics() -> list[str]:
    from questions_gen.topics import TOPICS

    return list(TOPICS)
