"""teach: the teacher scores, improves and varies the student's problems; what holds is what distill trains on.

Every answer is kept before it is used, so a run that stops goes on where it was. A part is never made into data.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.params import Count, Section
from questions_gen.schema import Completion, Prompt
from questions_gen.stage import Context, Log, Stage
from questions_gen.teacher.answers import summarise
from questions_gen.teacher.lessons import Lesson, Proposal, select, teach_one
from questions_gen.teacher.prompts import TeacherParams
from questions_gen.teacher.session import consult


class TeachParams(Section):
    variations_every: Count
    """Problems from one whose variations are asked for to the next."""


def count(lessons: Sequence[Lesson]) -> dict[str, Any]:
    """What was kept, what was dropped and why, and what the gate says of the problems that were kept."""
    conversations = [conversation for lesson in lessons for conversation in lesson.conversations]
    verdicts = [verdict for lesson in lessons for verdict in lesson.verdicts]
    dropped = Counter(row["reason"] for lesson in lessons for row in lesson.dropped)
    return {
        "proposals": len(lessons),
        "conversations": len(conversations),
        "tasks": dict(sorted(Counter(conversation.task for conversation in conversations).items())),
        "scores": summarise([lesson.evaluation for lesson in lessons if lesson.evaluation is not None]),
        "dropped": dict(sorted(dropped.items())),
        "gate": {
            "n": len(verdicts),
            "passed": sum(not reasons for reasons in verdicts),
            "reasons": dict(sorted(Counter(reason for reasons in verdicts for reason in reasons).items())),
        },
    }


def questions(proposals: Path, teach: TeachParams) -> tuple[list[Proposal], list[Lesson]]:
    """What the teacher is asked about, and what is dropped before."""
    asked = files.read_records(proposals / "prompts.jsonl", Prompt)
    return select(asked, files.read_records(proposals / "completions.jsonl", Completion), teach.variations_every)


def work(context: Context, *, teacher: TeacherParams, teach: TeachParams, proposals: Path, lessons: Path) -> Log:
    selected, refused = questions(proposals, teach)
    taught = consult(teacher, context.run.teacher, context.home, teach_one, selected, label="teach")
    context.tracker.log_metrics(taught.counts)
    context.tracker.log_table("teacher_calls", taught.calls)
    made = [*taught.results, *refused]
    metrics = count(made)
    if not metrics["conversations"]:
        raise UserError(
            f"teach: nothing is left of {len(made)} proposals to train on; dropped: {metrics['dropped']}; "
            "change teacher.model or the student's proposals (propose.*)"
        )
    conversations = [conversation for lesson in made for conversation in lesson.conversations]
    evaluations = [lesson.evaluation.row(lesson.problem_id) for lesson in made if lesson.evaluation is not None]
    dropped = [row for lesson in made for row in lesson.dropped]
    files.write_rows(lessons / "conversations.jsonl", sorted(conversations, key=lambda conversation: conversation.id))
    files.write_rows(lessons / "evaluations.jsonl", sorted(evaluations, key=lambda row: row["problem_id"]))
    files.write_rows(lessons / "dropped.jsonl", sorted(dropped, key=lambda row: row["id"]))
    files.write_rows(lessons / "answers.jsonl", taught.answers)
    return Log(metrics)


STAGE = Stage(
    "teach",
    params={"teacher": TeacherParams, "teach": TeachParams},
    inputs={"proposals": Path("data/proposals")},
    outputs={"lessons": Path("data/teacher")},
    work=work,
)
