"""gpu-check on a tiny Qwen3 on the CPU, by the same code; and the tables of docs/gpu.md are those of the files."""

import json
import math
from pathlib import Path

import pytest

from benchmarks import gpu_check
from benchmarks.gpu.cases import CASES, profile
from benchmarks.gpu.model import SHAPES, matrix_parameters
from benchmarks.gpu.table import kernels, render, targets
from tests.conftest import ROOT

CASES_OF_A_CPU = ["sft-nf4", "sft-nf4-plain", "sft-bf16-kept", "grpo-nf4", "export", "sft-bf16-unsloth"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("gpu-check")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return gpu_check.check(
            "qwen3-tiny", CASES_OF_A_CPU, folder, folder / "out.json", run=gpu_check.in_this_process
        ) | {
            "file": json.loads((folder / "out.json").read_text()),
            "left": sorted(path.name for path in folder.iterdir()),
        }


def test_each_case_trains_on_whole_rows_with_the_profiles_batch(results: dict) -> None:
    asked = profile("qwen3-tiny")
    for name in ("sft-nf4", "sft-nf4-plain", "sft-bf16-kept"):
        case = results["cases"][name]
        assert case["lengths"] == [asked["model"].max_length]
        assert case["batch_size"] * case["accumulation"] == asked["sft"].batch_size * asked["sft"].accumulation
        assert all(map(math.isfinite, case["loss"]))
        assert case["tokens_per_second"] > 0


def test_ours_and_the_plain_script_do_the_same_work(results: dict) -> None:
    ours, plain = (results["cases"][name]["loss"] for name in ("sft-nf4", "sft-nf4-plain"))
    assert ours[0] == pytest.approx(plain[0], rel=0.01)


def test_recomputed_activations_count_as_work(results: dict) -> None:
    cases, matrices = results["cases"], results["matrix_parameters"]
    assert cases["sft-nf4"]["flops_per_token"] == 6 * matrices
    assert cases["sft-bf16-kept"]["flops_per_token"] == 4 * matrices


def test_a_policy_step_is_the_sum_of_its_parts(results: dict) -> None:
    case, grpo = results["cases"]["grpo-nf4"], profile("qwen3-tiny")["grpo"]
    assert case["completions"] == grpo.groups * grpo.group_size
    assert case["rollout_tokens"] <= case["completions"] * grpo.sampling.max_new_tokens
    assert case["training_seconds"] > 0
    parts = case["rollout_seconds"] + case["reward_seconds"] + case["training_seconds"]
    assert parts == pytest.approx(case["step_seconds"])


def test_the_export_is_checked(results: dict) -> None:
    assert results["cases"]["export"]["checks"]["safetensors"]["positions"] > 0


def test_what_this_machine_can_not_run_is_said_so(results: dict) -> None:
    assert results["cases"]["sft-bf16-unsloth"] == {"skipped": "unsloth needs a GPU, and to be installed"}
    assert "`sft-bf16-unsloth`: unsloth needs a GPU" in render(results["file"])
    assert gpu_check.refused("sft-bf16-ddp", 300.0) == {"skipped": "2 cards are needed"}


def test_the_cases_leave_nothing_but_the_base_model(results: dict) -> None:
    assert results["left"] == ["base", "out.json"]


def test_a_case_that_fails_is_an_error_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_check.sys, "executable", "false")
    assert gpu_check.in_a_process("export", "qwen3-tiny", tmp_path, 60)["error"] == "exit code 1"


def test_no_time_left_is_said_so() -> None:
    assert gpu_check.refused("export", 3.0) == {"skipped": "no time was left"}
    assert gpu_check.refused("export", 300.0) is None


def test_the_real_shape_is_qwen3_14b() -> None:
    """13.2 billion parameters outside the embedding and 0.78 in the head: 14.8 with the embedding, as its card says."""
    embedding = SHAPES["qwen3-14b"]["vocab_size"] * SHAPES["qwen3-14b"]["hidden_size"]
    assert matrix_parameters("qwen3-14b") + embedding == pytest.approx(14.77e9, rel=0.001)
    assert {case.work for case in CASES.values()} == {"sft", "plain", "grpo", "export"}


PAGE = ROOT / "docs/gpu.md"
FILES = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "docs/gpu").glob("*.json"))}


@pytest.mark.parametrize("name", FILES)
def test_the_tables_of_the_page_are_those_of_the_files(name: str) -> None:
    assert render(FILES[name]) in PAGE.read_text(encoding="utf-8")


def test_the_targets_and_the_kernels_of_the_page_follow_from_the_files() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert targets(FILES) in page
    for name in ("sft-bf16", "sft-bf16-plain"):
        assert kernels(FILES["backends"]["cases"][name]) in page


def test_an_error_is_quoted_without_what_lies_where_on_the_machine() -> None:
    log = """Traceback (most recent call last):
  File "/home/someone/x.py", line 1, in <module>
[rank1]: RuntimeError: mixed torch.Tensor and DTensor
FileNotFoundError: no such file: /home/someone/base
  0%|          | 0/4 [00:05<?, ?it/s]
"""
    assert gpu_check.said(log) == "[rank1]: RuntimeError: mixed torch.Tensor and DTensor"
    assert gpu_check.said("") == ""
