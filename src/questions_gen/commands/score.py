"""`questions-gen score`: the verdict on problems of any origin."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from questions_gen.commands.judging import load_run_judge, reward_params
from questions_gen.commands.output import AsJson
from questions_gen.commands.told import told
from questions_gen.errors import UserError

if TYPE_CHECKING:
    from questions_gen.schema import Completion, Prompt, Verdict

JSON_LINES = (".jsonl", ".ndjson", ".json", ".jsonl.gz")
STATEMENT_KEYS = ("statement", "problem")


@told()
def score(
    file: Annotated[Path, typer.Argument(help="JSON lines with statement, problem or text; else text: one problem")],
    as_json: AsJson = False,
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
    return load_run_judge(reward_params()).judge(completions, [_prompt(c) for c in completions])


def _prompt(completion: "Completion") -> "Prompt":
    """A prompt that asks for no answer: a problem of one's own is judged without it."""
    from questions_gen.schema import Message, Prompt

    return Prompt(id=completion.prompt_id, task="problem", messages=(Message(role="user", content="A problem."),))


def _json_line(completion: "Completion", verdict: "Verdict") -> str:
    from questions_gen.files import to_json

    return to_json({"id": completion.id, **verdict.model_dump(mode="json")})


def _text_line(completion: "Completion", verdict: "Verdict") -> str:
    return f"{completion.id}: {verdict_text(verdict)}"


def verdict_text(verdict: "Verdict") -> str:
    """The verdict in one line."""
    rewards = "  ".join(f"{name} {'-' if value is None else f'{value:.2f}'}" for name, value in verdict.rewards.items())
    gate = "passed" if verdict.passed else f"closed ({', '.join(verdict.reasons)})"
    return f"total {verdict.total:.2f}  gate {gate}  {rewards}  similarity {verdict.similarity:.2f}"
