"""teach: the teacher scores, improves and varies the student's problems; what holds is what distill trains on.

Every answer is kept before it is used, so a run that stops goes on where it was. A part is never made into data.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from questions_gen import files
from questions_gen.history import History
from questions_gen.params import Count, NotNegative, Section
from questions_gen.rewards.combine import RewardParams, load_judge
from questions_gen.rewards.difficulty import rank_correlation
from questions_gen.schema import Completion, Language, Problem, Prompt
from questions_gen.stage import Context, Log, Stage
from questions_gen.teacher.answers import summarise
from questions_gen.teacher.lessons import Lesson, Proposal, Selection, select, teach_one
from questions_gen.teacher.prompts import TeacherParams
from questions_gen.teacher.session import consult
from questions_gen.teacher.store import Answer


class TeachParams(Section):
    variations_every: Count
    """Problems from one whose variations are asked for to the next."""
    margin: NotNegative
    """By how much an improvement's total must exceed the original's, both judged by the rewards."""
    compare: bool
    """Ask the teacher too which of the two is better, in both orders; it must prefer the improvement each time."""


def count(lessons: Sequence[Lesson], answers: Sequence[Answer]) -> dict[str, Any]:
    """What was kept and by how much it is better, what was dropped and why, and what it took."""
    conversations = [conversation for lesson in lessons for conversation in lesson.conversations]
    preferences = [preference for lesson in lessons for preference in lesson.preferences]
    dropped = Counter(row["reason"] for lesson in lessons for row in lesson.dropped)
    usage = [answer.usage for answer in answers]
    return {
        "proposals": len(lessons),
        "conversations": len(conversations),
        "tasks": dict(sorted(Counter(conversation.task for conversation in conversations).items())),
        "preferences": len(preferences),
        "gain": fmean(p.chosen_total - p.rejected_total for p in preferences) if preferences else None,
        "scores": summarise([lesson.evaluation for lesson in lessons if lesson.evaluation is not None]),
        "agreement": agreement(lessons),
        "dropped": dict(sorted(dropped.items())),
        "tokens": {name: sum(used.get(f"{name}_tokens", 0) for used in usage) for name in ("prompt", "completion")},
    }


def agreement(lessons: Sequence[Lesson]) -> float | None:
    """Spearman's rank correlation of the teacher's overall score and the rewards' total over the proposals.

    None for fewer than three, or where one of the two gives all of them the same.
    """
    judged = scored(lessons)
    scores = [lesson.evaluation.overall for lesson in judged]
    totals = [lesson.verdict.total for lesson in judged]
    if len(judged) < 3 or len(set(scores)) == 1 or len(set(totals)) == 1:
        return None
    return rank_correlation(scores, totals)


def scored(lessons: Sequence[Lesson]) -> list[Lesson]:
    """Those whose proposal the teacher and the rewards have judged."""
    return [lesson for lesson in lessons if lesson.evaluation is not None and lesson.verdict is not None]


def score_row(lesson: Lesson) -> dict[str, Any]:
    return {**lesson.evaluation.row(lesson.problem_id), "total": lesson.verdict.total}


def selection(teach: TeachParams, rewards: RewardParams, mixed: Path, language: Language) -> Selection:
    """Novelty is counted against the training problems, as in evaluate."""
    known = History(rewards.history_size)
    known.add(problem.statement for problem in files.read_records(mixed / "problems.jsonl", Problem))
    judge = load_judge(rewards, mixed, known, language=language)
    return Selection(judge, teach.margin, teach.compare)


def questions(proposals: Path, teach: TeachParams) -> tuple[list[Proposal], list[Lesson]]:
    """What the teacher is asked about, and what is dropped before."""
    asked = files.read_records(proposals / "prompts.jsonl", Prompt)
    return select(asked, files.read_records(proposals / "completions.jsonl", Completion), teach.variations_every)


def work(
    context: Context,
    *,
    teacher: TeacherParams,
    teach: TeachParams,
    rewards: RewardParams,
    language: Language,
    mixed: Path,
    proposals: Path,
    lessons: Path,
) -> Log:
    selected, refused = questions(proposals, teach)
    ask = partial(teach_one, selection=selection(teach, rewards, mixed, language))
    taught = consult(teacher, context.run.teacher, context.home, ask, selected, language=language, label="teach")
    context.tracker.log_metrics(taught.counts)
    context.tracker.log_table("teacher_calls", taught.calls)
    made = [*taught.results, *refused]
    conversations = [conversation for lesson in made for conversation in lesson.conversations]
    preferences = [preference for lesson in made for preference in lesson.preferences]
    dropped = [row for lesson in made for row in lesson.dropped]
    files.write_rows(lessons / "conversations.jsonl", sorted(conversations, key=lambda conversation: conversation.id))
    files.write_rows(lessons / "preferences.jsonl", sorted(preferences, key=lambda preference: preference.id))
    files.write_rows(
        lessons / "evaluations.jsonl", sorted(map(score_row, scored(made)), key=lambda row: row["problem_id"])
    )
    files.write_rows(lessons / "dropped.jsonl", sorted(dropped, key=lambda row: row["id"]))
    files.write_rows(lessons / "answers.jsonl", taught.answers)
    return Log(count(made, taught.answers))


STAGE = Stage(
    "teach",
    params={"teacher": TeacherParams, "teach": TeachParams, "rewards": RewardParams, "language": Language},
    inputs={"mixed": Path("data/mixed"), "proposals": Path("data/proposals")},
    outputs={"lessons": Path("data/teacher")},
    work=work,
)
