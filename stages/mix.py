"""mix: raw rows to conversations, decontaminated, deduplicated and split; and the difficulty model."""

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

from pydantic import Field, model_validator

from questions_gen import files, mixing
from questions_gen.duplicates import EXACT_UP_TO
from questions_gen.errors import UserError
from questions_gen.lines import Lines
from questions_gen.mixing import Source
from questions_gen.params import Count, Section, Seed, Share
from questions_gen.rewards import difficulty
from questions_gen.schema import Problem
from questions_gen.sifting import Screen, Sifted, sift
from questions_gen.stage import Context, Log, Stage
from questions_gen.training.lengths import TokenCounter


class TaskShares(Section):
    """Shares of the problems; they are normalised."""

    problem: Share
    """Topic and concepts → a new problem."""
    solve: Share
    """A problem → its solution."""

    @model_validator(mode="after")
    def _some(self) -> "TaskShares":
        if self.problem + self.solve <= 0:
            raise ValueError("at least one share must be above 0")
        return self


class MixParams(Section):
    tasks: TaskShares
    chat_share: Annotated[float, Field(ge=0, lt=1)]
    """Share of dialogues in everything: int(n × s / (1 − s)) of them for n rows of problems."""
    chat_seed: Seed
    """Which dialogues are taken; `seed` draws the tasks and shuffles."""
    near_duplicate: Annotated[float, Field(gt=0, le=1)]
    """Similarity from which on two problems are one."""
    contamination_ngram: Count
    """Words in a row that no row may share with an evaluation problem."""
    max_tokens: Count
    """Longer conversations are dropped, never cut."""
    validation_share: Annotated[float, Field(gt=0, lt=1)]
    """Of the problems, and of the dialogues."""


def read_sources(raw: Path, group: Literal["problems", "chat", "evaluation"]) -> list[Source]:
    """The sources of one group that the manifest names. Raises UserError for one without rows."""
    entries = [entry for entry in files.read_json(raw / "manifest.json")["sources"] if entry["group"] == group]
    sources = []
    for entry in entries:
        rows = Lines(raw / group / f"{entry['name']}.jsonl")
        if not rows:
            raise UserError(f"the source {group}/{entry['name']}: 0 rows; check it in the section fetch, or remove it")
        sources.append(Source(group, entry["name"], entry["schema"], entry["licence"], rows))
    return sources


def work(context: Context, *, mix: MixParams, seed: int, raw: Path, base: Path, mixed: Path) -> Log:
    problems, chat, held_out = (read_sources(raw, group) for group in ("problems", "chat", "evaluation"))
    if not held_out:
        raise UserError("fetch.evaluation_sets: there is none; name one, so that nothing of it is trained on")
    if not chat and mix.chat_share > 0:
        raise UserError(f"mix.chat_share: {mix.chat_share} asked for, but fetch.chat is empty; add a source or set 0.0")
    evaluation, unread = mixing.read_evaluation(held_out)
    mixture = mixing.mixture(
        problems,
        chat,
        tasks=mix.tasks.model_dump(),
        chat_share=mix.chat_share,
        chat_seed=mix.chat_seed,
        seed=seed,
    )
    signed = sum(len(source.rows) for source in problems) > EXACT_UP_TO
    screen = Screen(mixture, evaluation, mix.near_duplicate, mix.contamination_ngram, signed)
    with TemporaryDirectory(dir=mixed.parent, prefix=".spool-") as folder:
        spool = Path(folder, "rows.jsonl")
        sifted = sift(
            screen,
            lengths=TokenCounter(base),
            max_tokens=mix.max_tokens,
            processes=context.run.data.processes,
            memory=context.run.data.memory,
            spool=spool,
        )
        dropped = [*unread, *((row.id, row.reason) for row in sifted.dropped)]
        mixing.check_kept(sifted.kept, [(row.id, row.reason) for row in sifted.dropped])
        rows, labelled = write_mixed(sifted, spool, mixed, mix.validation_share, seed)
    model = difficulty.fit(labelled)
    model.save(mixed / "difficulty.json")
    files.write_rows(mixed / "evaluation.jsonl", evaluation)
    files.write_rows(mixed / "dropped.jsonl", ({"id": name, "reason": reason} for name, reason in sorted(dropped)))
    counts = {"mixed": len(mixture), "train": rows["train"], "validation": rows["validation"]}
    context.tracker.log_metrics(counts)
    return Log(
        {
            **mixing.summary([*problems, *chat, *held_out], mixture.taken(), sifted.kept, dropped),
            "tasks": dict(sorted(sifted.tasks.items())),
            "chat": mixing.chat_summary(mixture.taken(), sifted.kept, mix.chat_share),
            "rows": counts,
            "problems": {"training": rows["problems"], "evaluation": len(evaluation)},
            "difficulty": model.quality,
        }
    )


def write_mixed(
    sifted: Sifted, spool: Path, mixed: Path, validation_share: float, seed: int
) -> tuple[Counter[str], list[Problem]]:
    """Write train, validation and problems; return their numbers of rows and what the difficulty is fitted on."""
    stay = list(sifted.stay())
    sides: dict[bool, set[str]] = {True: set(), False: set()}
    for row in stay:
        sides[row.task == "chat"].add(row.source_id)
    held_out = mixing.held_out(sides[True], sides[False], validation_share, seed)
    sample = difficulty.sample(row.source_id for row in stay if row.labelled)
    counts: Counter[str] = Counter()
    labelled = []
    with ExitStack() as stack:
        names = ("train", "validation", "problems")
        handles = {name: stack.enter_context(files.replacing(mixed / f"{name}.jsonl")) for name in names}
        for row, conversation, problem in sifted.lines(spool):
            side = "validation" if row.source_id in held_out else "train"
            written = {side: conversation, **({"problems": problem} if problem else {})}
            for name, line in written.items():
                handles[name].write(line)
            counts.update(written.keys())
            if row.source_id in sample:
                labelled.append(Problem.model_validate_json(problem).model_copy(update={"solution": None}))
    return counts, labelled


STAGE = Stage(
    "mix",
    params={"mix": MixParams, "seed": Seed},
    inputs={"raw": Path("data/raw"), "base": Path("models/base")},
    outputs={"mixed": Path("data/mixed")},
    work=work,
)
