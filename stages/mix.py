"""mix: raw rows to conversations, decontaminated, deduplicated and split; and the difficulty model."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from questions_gen import files, mixing
from questions_gen.errors import UserError
from questions_gen.mixing import Source
from questions_gen.params import Count, Section, Seed, Share
from questions_gen.rewards import difficulty
from questions_gen.schema import Language
from questions_gen.stage import Context, Log, Stage
from questions_gen.training.lengths import token_lengths


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
        rows = files.read_rows(raw / group / f"{entry['name']}.jsonl")
        if not rows:
            raise UserError(f"the source {group}/{entry['name']}: 0 rows; check it in the section fetch, or remove it")
        sources.append(Source(group, entry["name"], entry["schema"], entry["licence"], rows))
    return sources


def work(context: Context, *, mix: MixParams, language: Language, seed: int, raw: Path, base: Path, mixed: Path) -> Log:
    problems, chat, held_out = (read_sources(raw, group) for group in ("problems", "chat", "evaluation"))
    if not held_out:
        raise UserError("fetch.evaluation_sets: there is none; name one, so that nothing of it is trained on")
    if not chat and mix.chat_share > 0:
        raise UserError(f"mix.chat_share: {mix.chat_share} asked for, but fetch.chat is empty; add a source or set 0.0")
    evaluation, dropped = mixing.read_evaluation(held_out)
    items = mixing.mixture(
        problems,
        chat,
        tasks=mix.tasks.model_dump(),
        chat_share=mix.chat_share,
        chat_seed=mix.chat_seed,
        seed=seed,
        language=language,
    )
    kept, dropped_items = mixing.choose(
        items,
        evaluation,
        near=mix.near_duplicate,
        ngram=mix.contamination_ngram,
        max_tokens=mix.max_tokens,
        lengths=partial(token_lengths, base),
    )
    dropped += [(item.id, reason) for item, reason in dropped_items]
    train, validation = mixing.split([item.conversation for item in kept], mix.validation_share, seed)
    known = [item.problem for item in kept if item.problem]
    model = difficulty.fit(known)
    model.save(mixed / "difficulty.json")
    files.write_rows(mixed / "train.jsonl", train)
    files.write_rows(mixed / "validation.jsonl", validation)
    files.write_rows(mixed / "problems.jsonl", known)
    files.write_rows(mixed / "evaluation.jsonl", evaluation)
    files.write_rows(mixed / "dropped.jsonl", [{"id": name, "reason": reason} for name, reason in sorted(dropped)])
    rows = {"mixed": len(items), "train": len(train), "validation": len(validation)}
    context.tracker.log_metrics(rows)
    return Log(
        {
            **mixing.summary([*problems, *chat, *held_out], items, kept, dropped),
            "chat": mixing.chat_summary(items, kept, mix.chat_share),
            "rows": rows,
            "problems": {"training": len(known), "evaluation": len(evaluation)},
            "difficulty": model.quality,
        }
    )


STAGE = Stage(
    "mix",
    params={"mix": MixParams, "language": Language, "seed": Seed},
    inputs={"raw": Path("data/raw"), "base": Path("models/base")},
    outputs={"mixed": Path("data/mixed")},
    work=work,
)
