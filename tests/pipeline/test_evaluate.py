"""evaluate as a whole, on a tiny random model: which rows there are, without and with a template that thinks."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from questions_gen import files
from questions_gen.params import load_params
from questions_gen.rewards.combine import RewardParams
from questions_gen.schema import Completion, Evaluated, Prompt
from questions_gen.stage import Context, Log, NoTracker, RunParams, TrackingRun
from questions_gen.training.backend import ModelParams
from stages import evaluate
from stages.evaluate import Asked, EvaluateParams, chosen_variations, own_problems
from tests.conftest import TEMPLATE, tiny_problems, write_tiny_mixed

THINKS = TEMPLATE + "{% if enable_thinking is defined and enable_thinking %}<think>\n{% endif %}"
PLAIN = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_new_tokens": 24, "thinking": False}
PARAMS = EvaluateParams(
    prompts=2,
    samples=2,
    variations=1,
    controls=3,
    batch_size=32,
    sampling=PLAIN,
    thinking={**PLAIN, "max_new_tokens": 32, "thinking": True},
)


def run_evaluate(base: Path, root: Path, adapter: Path | None = None, **changes: object) -> tuple[Log, list[Evaluated]]:
    params = load_params({"rewards": RewardParams, "model": ModelParams, "run": RunParams})
    run = params["run"].model_copy(update={"tracking": TrackingRun(enabled=False, uri=None)})
    if not (root / "mixed").exists():
        write_tiny_mixed(root / "mixed")
    log = evaluate.work(
        Context(run, NoTracker(), root / "checkpoints", root),
        evaluate=PARAMS.model_copy(update=changes),
        rewards=params["rewards"],
        language="en",
        model=params["model"].model_copy(update={"max_length": 512, "threads": 1}),
        seed=1,
        base=base,
        mixed=root / "mixed",
        adapter=adapter or base / "base.json",
        evaluation=root / "evaluation",
    )
    return log, files.read_records(root / "evaluation/rows.jsonl", Evaluated)


@pytest.fixture(scope="module")
def plain(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Log, list[Evaluated]]:
    return run_evaluate(tiny_base, tmp_path_factory.mktemp("plain"))


def test_every_test_has_its_rows(plain):
    log, rows = plain
    # 3 prompts of the seed's and 2 of the one topic, twice each; 3 variations; 3 of its own; 3 real and 3 fake
    assert Counter(row.test for row in rows) == {"new": 10, "variation": 3, "own_variation": 3, "control": 6}
    assert log.metrics["rows"] == {"new": 10, "variation": 3, "own_variation": 3, "control": 6}
    assert {row.cell for row in rows if row.test == "new"} == {"calculus", "algebra", "geometry", "number theory"}
    assert {row.cell for row in rows if row.test == "own_variation"} == {
        "context_change", "parameter_change", "practical_application",
    }  # fmt: skip
    assert len({row.completion.id for row in rows}) == len(rows)
    assert all(row.prompt.id == row.completion.prompt_id for row in rows)
    assert all(row.nearest for row in rows if row.completion.statement)


def test_own_variations_are_of_what_it_wrote(plain):
    _, rows = plain
    written = {row.completion.statement.strip() for row in rows if row.test == "new"}
    assert {row.prompt.original for row in rows if row.test == "own_variation"} <= written
    held_out = {problem.statement for problem in tiny_problems(24)[20:]}
    assert {row.prompt.original for row in rows if row.test == "variation"} <= held_out


def test_the_controls_are_the_ceiling_and_the_floor(plain):
    """Tiny problems repeat one another, so a real one may be near to another; none is a copy of itself."""
    _, rows = plain
    real, fake = ([row for row in rows if row.cell == cell] for cell in ("real", "fake"))
    assert {row.completion.statement for row in real} <= {problem.statement for problem in tiny_problems(24)[20:]}
    assert not any("no_answer" in row.verdict.reasons for row in (*real, *fake))
    assert all(row.nearest != row.completion.statement for row in real)
    assert sum(row.verdict.total for row in fake) < sum(row.verdict.total for row in real)


def test_a_template_without_thinking_is_said_to_be_not_supported_and_has_no_rows(plain):
    log, rows = plain
    assert log.metrics["with_thinking"] == "not supported"
    assert not any(row.thinking for row in rows)


def test_with_thinking_the_same_prompts_are_asked_again(tiny_base, tmp_path, plain):
    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    for path in base.glob("chat_template*"):
        path.unlink()
    config = files.read_json(base / "tokenizer_config.json")
    files.write_json(base / "tokenizer_config.json", {**config, "chat_template": THINKS})
    log, rows = run_evaluate(base, tmp_path)
    thought = [row for row in rows if row.thinking]
    assert log.metrics["with_thinking"] == "done"
    assert {row.test for row in thought} == {"new"}
    assert Counter(row.prompt.id for row in thought) == Counter(
        row.prompt.id for row in rows if row.test == "new" and not row.thinking
    )
    assert all(row.completion.text.startswith("<think>") for row in thought), "the template opened it"
    assert max(row.completion.tokens for row in thought) == 32
    unthinking = [row.completion.text for row in rows if row.test in ("new", "variation") and not row.thinking]
    assert unthinking == [row.completion.text for row in plain[1] if row.test in ("new", "variation")]


def test_an_adapter_has_the_same_prompts_and_no_controls_and_equal_runs_equal_bytes(tiny_base, tmp_path, plain):
    from tests.training.tiny_models import write_adapter

    adapter = write_adapter(tmp_path / "adapter", tiny_base)
    first = run_evaluate(tiny_base, tmp_path, adapter)
    written = (tmp_path / "evaluation/rows.jsonl").read_bytes()
    again = run_evaluate(tiny_base, tmp_path, adapter)
    assert (tmp_path / "evaluation/rows.jsonl").read_bytes() == written
    assert first[0] == again[0]
    tests = [(row.test, row.prompt.id) for row in plain[1] if row.test in ("new", "variation")]
    assert [(row.test, row.prompt.id) for row in first[1] if row.test in ("new", "variation")] == tests
    assert not any(row.test == "control" for row in first[1])


def test_originals_that_leave_no_room_are_passed_over_and_counted():
    originals = {"long": "x" * 900, "short": "Find $x$.", "other": "Find $y$."}
    chosen, too_long = chosen_variations(
        "variation", originals, 1, lambda p: len(p.messages[0].content), room=500, language="en"
    )
    assert too_long == 1
    assert {one.prompt.original for one in chosen} == {"Find $x$."}
    assert len(chosen) == 3


def test_own_problems_are_the_first_with_a_statement_of_each_prompt():
    asked = [
        Asked("new", "x", Prompt(id=name, task="problem", messages=[{"role": "user", "content": "?"}])) for name in "ab"
    ]
    written = [
        Completion(id=f"{p}/{n}", prompt_id=p, text=t, statement=t, finish_reason="stop", tokens=1, seed=0)
        for n, (p, t) in enumerate([("a", " "), ("b", "B0"), ("a", "A1"), ("b", "B1"), ("v", "V")])
    ]
    assert own_problems(asked, written) == {"own/b": "B0", "own/a": "A1"}


@pytest.mark.parametrize("key", ["sampling", "thinking"])
def test_both_ways_of_sampling_must_be_what_they_are_called(key):
    values = PARAMS.model_dump()
    values[key]["thinking"] = not values[key]["thinking"]
    with pytest.raises(ValueError, match="both are tested"):
        EvaluateParams.model_validate(values)
