"""What is planned is what was measured, within 20 %; what can't fit is refused with what to change."""

from pathlib import Path

import pytest

from benchmarks import plan as bench
from questions_gen import files, planning
from questions_gen.commands.plan import find_device, find_shape
from questions_gen.params import load_yaml
from questions_gen.profiles import profiles
from stages.check import find_problems

PLANNED = [name for name in profiles() if name != "qwen3-tiny"]
WITHIN = 0.2


def values_of(profile: str) -> dict:
    return load_yaml(Path(f"conf/{profile}.yaml"))


def test_recorded_peaks_on_the_cpu() -> None:
    record = files.read_json(bench.RECORD)
    assert [bench.case_of(row) for row in record["cases"]] == list(bench.CASES), "`make bench-plan` measures them again"
    assert {row.name: row.error for row in bench.cpu_rows(record) if abs(row.error) > WITHIN} == {}


def test_recorded_peaks_on_a_card() -> None:
    rows = bench.card_rows()
    assert len(rows) > 8
    assert {row.name: row.error for row in rows if abs(row.error) > WITHIN} == {}


def test_the_page_has_the_tables_of_the_record() -> None:
    text = bench.PAGE.read_text(encoding="utf-8")
    assert bench.page(text, files.read_json(bench.RECORD)) == text, "`python -m benchmarks.plan --page` writes them"


def test_a_model_measured_now() -> None:
    """As large as its computation allows here: most of it is activations."""
    case = bench.Case("narrow", "sft", 4, 192)
    (row,) = bench.measure((case,))
    assert bench.estimated(case) == pytest.approx(row["peak_bytes"], rel=WITHIN)
    assert row["peak_bytes"] > 1.3 * row["libraries_bytes"], "else it is the libraries alone that are compared"


@pytest.mark.parametrize("profile", PLANNED)
@pytest.mark.parametrize("gpu", ["GiB=4", "GiB=12", "RTX4090", "A100-40", "H100"])
def test_changes_lower_the_peak_and_are_accepted(profile: str, gpu: str) -> None:
    values = values_of(profile)
    shape, device = find_shape(values), find_device(gpu, values["model"]["backend"])
    made = planning.estimates(values, shape, device)
    assert all(e.total == sum(e.memory.values()) and min(e.memory.values()) >= 0 for e in made)
    for stage in {e.stage for e in made if not planning.fits(e, device)}:
        remedy = planning.remedy(values, shape, device, stage)
        changed = planning.changed(values, [remedy.changes])
        assert find_problems(changed) == []
        again = [e for e in planning.estimates(changed, shape, device) if e.stage == stage]
        assert max(e.total for e in again) == remedy.total
        assert all(planning.fits(e, device) for e in again) == remedy.fits
        if remedy.changes:
            assert remedy.total < max(e.total for e in made if e.stage == stage)


def test_the_14b_profile_fits_the_card_it_is_for_and_sft_is_saved_for_a_small_one() -> None:
    values = values_of("qwen3-14b-2026")
    shape = find_shape(values)
    device = find_device("H100", "unsloth")
    assert all(planning.fits(e, device) for e in planning.estimates(values, shape, device))
    remedy = planning.remedy(values, shape, find_device("RTX4090", "unsloth"), "sft")
    assert remedy.fits
    assert remedy.changes["model.load_in_4bit"] is True


def test_a_longer_text_a_larger_batch_and_a_lack_of_recomputation_take_more() -> None:
    values = values_of("qwen3-14b")
    shape, device = find_shape(values), find_device("H100", "unsloth")

    def peak(stage: str, **changes: object) -> float:
        changed = planning.changed(values, [{key.replace("__", "."): value for key, value in changes.items()}])
        return max(e.total for e in planning.estimates(changed, shape, device) if e.stage == stage)

    for stage, change in [
        ("sft", {"sft__batch_size": 4}),
        ("sft", {"model__gradient_checkpointing": False}),
        ("sft", {"model__load_in_4bit": False}),
        ("grpo", {"grpo__groups": 8}),
        ("propose", {"propose__batch_size": 16}),
        ("distill", {"lora__r": 128}),
    ]:
        assert peak(stage, **change) > peak(stage), change


def test_time_is_told_of_known_cards_alone() -> None:
    values = values_of("qwen3-14b")
    shape = find_shape(values)
    known, unknown = (planning.estimates(values, shape, find_device(gpu, "unsloth")) for gpu in ("H100", "GiB=80"))
    assert all(e.seconds > 0 for e in known if e.tokens)
    assert all(e.seconds is None for e in unknown)


def test_as_many_questions_as_the_seed_has() -> None:
    asked = planning.asked_problems(values_of("qwen3-14b"))
    assert len(asked["teach"]) == 30
    assert sum(one.vary for one in asked["teach"]) == 10
    assert [len(asked[f"judge@{model}"]) for model in ("base", "sft", "grpo", "distill")] == [50] * 4
