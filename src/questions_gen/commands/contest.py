"""`questions-gen contest`: a sheet of problems with hints, answers and what is known of each."""

import random
import re
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from questions_gen.commands.asking import split_list
from questions_gen.commands.checkout import refuse_outs
from questions_gen.commands.generate import TRIES, SeedOption, ThinkOption
from questions_gen.commands.output import AsJson
from questions_gen.commands.told import told
from questions_gen.commands.writer import ModelOption
from questions_gen.errors import UserError

if TYPE_CHECKING:
    from questions_gen.commands.judging import Assessor
    from questions_gen.commands.sampling import Sample
    from questions_gen.commands.writer import Writer
    from questions_gen.schema import Language, Problem, Prompt

Level = Literal["any", "easy", "medium", "hard"]
THIRDS: dict[str, tuple[float, float]] = {"easy": (0, 1 / 3), "medium": (1 / 3, 2 / 3), "hard": (2 / 3, 1)}
"""Which part of the training problems, by their difficulty reward, a level is as hard as."""
MOST_SCORED = 500
"""Training problems whose difficulty is looked at for that."""
OTHER_LEVEL = "other_level"
HINTS = 2
HINT = {
    "en": "Give one short hint for this problem. Do not solve it, and do not give its answer.\nProblem: ",
    "zh": "请给下面这道题一个简短的提示，不要解题，也不要给出答案。\n题目：",
}
"""What is asked, in the language of the run, before the statement."""


@told()
def contest(
    output: Annotated[Path, typer.Option(help="the folder of the sheet")],
    problems: Annotated[int, typer.Option(min=1, max=100, help="how many")] = 6,
    level: Annotated[Level, typer.Option(help="as hard as that third of the training problems")] = "any",
    topics: Annotated[
        list[str] | None,
        typer.Option(help="taken in turn; several times, or with semicolons; left out: as in the training problems"),
    ] = None,
    tries: Annotated[
        int | None, typer.Option(min=1, help="most samples", show_default=f"{TRIES} times --problems")
    ] = None,
    think: ThinkOption = False,
    seed: SeedOption = None,
    model: ModelOption = None,
    as_json: AsJson = False,
) -> None:
    """Write a contest: only problems that pass the gate, are new and are of the level, with hints and answers.

    OUTPUT gets contest.json, contest.md, contest.tex, and contest.pdf where a LaTeX is installed. Ends with code 1 if
    there are fewer problems than asked for, or no PDF came out of an installed LaTeX.
    """
    from questions_gen.commands.judging import MIXED, Assessor, asked_language
    from questions_gen.commands.writer import open_writer

    asked_topics = split_list("--topics", topics)
    refuse_outs("--output", output)
    if output.exists() and not output.is_dir():
        raise UserError(f"--output: {output} is a file; name a folder")
    assessor = Assessor()
    if not assessor.knows:
        raise UserError(f"{MIXED} isn't here, and problems are held against it; `dvc pull {MIXED}` fetches it")
    language = asked_language()
    first = secrets.randbelow(2**31 - 2**20) if seed is None else seed
    with open_writer(model, think=think) as writer:
        made = _choose(writer, assessor, problems, level, asked_topics, tries or TRIES * problems, first, language)
        chosen = [sample for sample, why in made if not why]
        chosen.sort(key=lambda sample: sample.assessment.verdict.rewards["difficulty"])
        rows = [_with_hints(writer, sample, language) for sample in chosen]
    sheet = {
        "model": writer.name,
        "seed": first,
        "level": level,
        "tried": len(made),
        "rejected": dict(sorted(Counter(reason for _, why in made for reason in why).items())),
        "problems": rows,
    }
    said = f"{len(rows)} of {problems} problems after {len(made)} samples; rejected: {sheet['rejected'] or 'none'}"
    typer.echo(f"{writer.name}, seed {first}: {said}", err=True)
    whole = _write(output, sheet, language) if rows else False
    if as_json:
        from questions_gen.files import to_json

        typer.echo(to_json(sheet, indent=2))
    elif rows:
        typer.echo(f"{output}: {', '.join(sorted(path.name for path in output.glob('contest.*')))}")
    if len(rows) < problems or not whole:
        raise typer.Exit(1)


def _choose(
    writer: "Writer",
    assessor: "Assessor",
    count: int,
    level: Level,
    topics: Sequence[str],
    most: int,
    seed: int,
    language: "Language",
) -> "list[tuple[Sample, tuple[str, ...]]]":
    """Every sample with the reasons why it isn't in the contest: none for `count` of them, or fewer after `most`."""
    from questions_gen.commands.judging import MIXED
    from questions_gen.commands.sampling import Show, sample
    from questions_gen.files import read_records
    from questions_gen.schema import Problem

    known = read_records(MIXED / "problems.jsonl", Problem)
    low, high = _bounds(assessor, known, level)
    wanted = {number: topics[number % len(topics)] if topics else None for number in range(count)}
    made: list[tuple[Sample, tuple[str, ...]]] = []
    for one in sample(writer, assessor, _prompts(wanted, known, most, seed, language), seed=seed, show=Show()):
        why = one.assessment.reasons
        if not why and not low <= one.assessment.verdict.rewards["difficulty"] <= high:
            why = (OTHER_LEVEL,)
        made.append((one, why))
        if not why:
            del wanted[int(one.prompt.id.partition("-")[2]) - 1]
            typer.echo(f"problem {count - len(wanted)} of {count}", err=True)
    return made


def _prompts(
    wanted: dict[int, str | None], known: "Sequence[Problem]", most: int, seed: int, language: "Language"
) -> "Iterator[Prompt]":
    """Ask in turn for each place that is still `wanted`, with the concepts of a training problem of its topic."""
    from questions_gen.prompts import problem_messages
    from questions_gen.schema import Prompt

    draw = random.Random(seed)
    for number in range(most):
        if not wanted:
            return
        place = list(wanted)[number % len(wanted)]
        topic = wanted[place]
        models = [problem for problem in known if topic in (None, problem.topic)]
        source = draw.choice(models) if models else None
        topic = source.topic if source and topic is None else topic
        concepts = source.concepts if source else ()
        yield Prompt(
            id=f"problem-{place + 1}",
            task="problem",
            messages=problem_messages(topic, concepts, language),
            topic=topic,
            concepts=concepts,
        )


def _bounds(assessor: "Assessor", known: "Sequence[Problem]", level: Level) -> tuple[float, float]:
    """The difficulty rewards between which a problem is of the level."""
    import numpy as np

    if level == "any":
        return 0.0, 1.0
    every = max(1, -(-len(known) // MOST_SCORED))
    scores = [assessor.judge.difficulty_model.score(problem.statement) for problem in known[::every]]
    if len(set(scores)) < 3:
        raise UserError(f"--level: the run's difficulty model can't tell problems apart, so none is {level}; use any")
    low, high = np.quantile(scores, THIRDS[level])
    return (0.0 if level == "easy" else float(low)), (1.0 if level == "hard" else float(high))


def _with_hints(writer: "Writer", sample: "Sample", language: "Language") -> dict[str, Any]:
    """The sample's row with the hints that the model gives, and how many of them were dropped, by reason."""
    from questions_gen.answers import split_thinking
    from questions_gen.schema import Message

    statement, answer = sample.completion.statement, sample.completion.answer
    messages = (Message(role="user", content=f"{HINT[language]}{statement}"),)
    hints: list[str] = []
    dropped: Counter[str] = Counter()
    for number in range(HINTS):
        text, reason, _ = writer.stream(messages, sample.completion.seed + number, lambda text: None)
        hint = split_thinking(text)[1].strip()
        fault = "cut_off" if reason == "length" else _fault(hint, statement, answer, hints)
        if fault:
            dropped[fault] += 1
        else:
            hints.append(hint)
    return {**sample.row(), "hints": hints, "hints_dropped": dict(sorted(dropped.items()))}


def _fault(hint: str, statement: str, answer: str | None, others: Sequence[str]) -> str | None:
    """Why a hint is none, or None."""
    if not hint:
        return "empty"
    if hint in others:
        return "repeated"
    if answer and _holds(hint, answer) and not _holds(statement, answer):
        return "answer_given_away"
    return None


def _holds(text: str, answer: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text) is not None


def _write(output: Path, sheet: dict[str, Any], language: "Language") -> bool:
    """Write the sheet's files; whether there is a PDF, or no LaTeX to make one."""
    from questions_gen import files
    from questions_gen.commands.sheet import ENGINES, engine, latex, make_pdf, markdown

    source = latex(sheet["problems"], language)
    files.write_json(output / "contest.json", sheet)
    files.write_text(output / "contest.md", markdown(sheet["problems"], language))
    files.write_text(output / "contest.tex", source)
    target = output / "contest.pdf"
    target.unlink(missing_ok=True)  # an older one of other problems
    program = engine(language)
    if program is None:
        typer.echo(
            f"no PDF: none of {', '.join(ENGINES[language])} is installed; contest.tex is for one of them", err=True
        )
        return True
    failure = make_pdf(source, target, program)
    if failure:
        typer.echo(f"no PDF: {program} failed on {output / 'contest.tex'} ({failure})", err=True)
    return failure is None
