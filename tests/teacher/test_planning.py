"""What is planned is what is asked."""

from functools import partial
from pathlib import Path

import pytest

from questions_gen.teacher.lessons import Selection, teach_one
from questions_gen.teacher.limits import cost, most
from questions_gen.teacher.planning import make_plan
from questions_gen.teacher.prompts import evaluation_request
from questions_gen.teacher.session import consult
from stages import teach
from tests.fake_teacher import FakeTeacher
from tests.pipeline.test_teach import PARAMS, TEACH, write_proposals
from tests.rewards.judges import judge
from tests.teacher.test_client import teacher_run


@pytest.mark.parametrize("compare", [False, True])
@pytest.mark.parametrize("answered", [0, 2, 6])
def test_as_many_requests_as_are_then_sent(tmp_path: Path, answered: int, compare: bool) -> None:
    items, _ = teach.questions(write_proposals(tmp_path / "proposals"), TEACH)
    ask = partial(teach_one, selection=Selection(judge(), margin=-1.0, compare=compare))
    with FakeTeacher() as server:
        run = teacher_run(server.base_url)
        consult(PARAMS, run, tmp_path, ask, items[:answered], label="teach")
        before = len(server.bodies)
        plan = make_plan(PARAMS, tmp_path, ask, items)
        assert len(server.bodies) == before, "a plan asks nobody"
        counts = consult(PARAMS, run, tmp_path, ask, items, label="teach").counts
        assert plan.requests == len(server.bodies) - before
    assert plan.stored == counts.get("stored", 0) == before
    assert plan.most_requests == plan.requests, "one sample each"
    assert (plan.tokens.total > 0) == (plan.requests > 0)


def test_tokens_are_not_below_what_is_billed(tmp_path: Path) -> None:
    async def evaluate(teacher, statement: str) -> None:
        await teacher.evaluate(statement)

    plan = make_plan(PARAMS.model_copy(update={"samples": 3}), tmp_path, evaluate, ["p", "q"])
    assert (plan.requests, plan.most_requests) == (2, 6)
    charge = most(evaluation_request(PARAMS, "p").body)
    assert plan.tokens.completion == 2 * PARAMS.max_tokens
    assert plan.tokens.prompt == 2 * charge.prompt
    assert cost(plan.tokens, None) == 0
