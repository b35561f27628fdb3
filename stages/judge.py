"""judge: the teacher's scores of a few problems of each model, by the same question as in teach."""

from collections import Counter
from hashlib import sha256
from pathlib import Path

from questions_gen import files
from questions_gen.params import Count, Section
from questions_gen.schema import Completion, Evaluated, Language
from questions_gen.stage import Context, Log, Stage
from questions_gen.teacher.answers import Evaluation, summarise
from questions_gen.teacher.client import Dropped
from questions_gen.teacher.prompts import TeacherParams
from questions_gen.teacher.session import Teacher, consult


class JudgeParams(Section):
    samples: Count
    """Problems of each model: new ones, written without thinking, that have a statement."""


async def score(teacher: Teacher, completion: Completion) -> Evaluation | str:
    """The evaluation, or the reason why there is none."""
    try:
        return await teacher.evaluate(completion.statement)
    except Dropped as error:
        return error.reason


def questions(evaluation: Path, judge: JudgeParams) -> list[Completion]:
    """The problems that the teacher scores: one of each prompt first, in an order by hash, so that all topics come."""
    rows = files.read_records(evaluation / "rows.jsonl", Evaluated)
    sampled: Counter[str] = Counter()
    ranked = []
    for completion in (row.completion for row in rows if row.test == "new" and not row.thinking):
        if completion.statement.strip():
            place = sha256(completion.prompt_id.encode()).hexdigest()
            ranked.append((sampled[completion.prompt_id], place, completion))
        sampled[completion.prompt_id] += 1
    ranked.sort(key=lambda entry: entry[:2])
    return [completion for *_, completion in ranked[: judge.samples]]


def work(
    context: Context,
    *,
    teacher: TeacherParams,
    judge: JudgeParams,
    language: Language,
    evaluation: Path,
    judgement: Path,
) -> Log:
    chosen = questions(evaluation, judge)
    judged = consult(teacher, context.run.teacher, context.home, score, chosen, language=language, label="judge")
    context.tracker.log_metrics(judged.counts)
    context.tracker.log_table("teacher_calls", judged.calls)
    pairs = list(zip(chosen, judged.results, strict=True))
    scored = sorted((completion.id, result) for completion, result in pairs if isinstance(result, Evaluation))
    dropped = [{"id": completion.id, "reason": result} for completion, result in pairs if isinstance(result, str)]
    files.write_rows(judgement / "evaluations.jsonl", [result.row(problem) for problem, result in scored])
    files.write_rows(judgement / "dropped.jsonl", sorted(dropped, key=lambda row: row["id"]))
    files.write_rows(judgement / "answers.jsonl", judged.answers)
    reasons = Counter(row["reason"] for row in dropped)
    return Log({**summarise([result for _, result in scored]), "dropped": dict(sorted(reasons.items()))})


def stage(item: str) -> Stage:
    return Stage(
        "judge",
        params={"teacher": TeacherParams, "judge": JudgeParams, "language": Language},
        inputs={"evaluation": Path("data/evaluation") / item},
        outputs={"judgement": Path("data/judgement") / item},
        work=work,
        item=item,
    )
