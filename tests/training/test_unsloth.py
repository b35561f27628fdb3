"""The backend unsloth, held to the real package's source: it can't be imported without a GPU, but it can be read."""

import ast
import dataclasses
import os
import re
import subprocess
import sys
import textwrap
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement

from questions_gen import files
from questions_gen.params import load_params, load_yaml
from questions_gen.stage import RolloutsRun
from questions_gen.training import grpo, sft
from questions_gen.training.backend import (
    LoraParams,
    ModelParams,
    load_model,
    save_adapter,
    supervised_length,
    supervised_loss,
)

from .. import fake_hub
from ..conftest import ROOT, tiny_problems
from ..fake_hub import FakeHub
from ..qwen import write_qwen

hub = fake_hub.hub  # the fixture

PACKAGES = ("unsloth", "unsloth_zoo")
UNSLOTH = Path(find_spec("unsloth").submodule_search_locations[0])


@cache
def source(name: str) -> ast.Module:
    return ast.parse((UNSLOTH / name).read_text(encoding="utf-8"))


def method(file: str, owner: str, function: str) -> ast.FunctionDef:
    (found,) = [
        inner
        for node in source(file).body
        if isinstance(node, ast.ClassDef) and node.name == owner
        for inner in node.body
        if isinstance(inner, ast.FunctionDef) and inner.name == function
    ]
    return found


def parameters(function: str) -> list[str]:
    """The names that a method of FastLanguageModel takes; what it would swallow by `**kwargs` isn't among them."""
    where = ("models/loader.py", "FastLanguageModel")
    if function == "get_peft_model":
        wrapper = method(*where, function)
        assert "functools.wraps(FastLlamaModel.get_peft_model)" in map(ast.unparse, wrapper.decorator_list)
        where = ("models/llama.py", "FastLlamaModel")
    found = method(*where, function)
    return [argument.arg for argument in [*found.args.args, *found.args.kwonlyargs]]


class Recorder:
    """unsloth.FastLanguageModel with the real signatures: every call is held to them, and done by transformers."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def note(self, name: str, arguments: dict[str, Any]) -> None:
        known = parameters(name)
        assert set(arguments) <= set(known), f"{name} of unsloth doesn't take {sorted(set(arguments) - set(known))}"
        self.calls.append((name, arguments))

    def from_pretrained(self, **arguments: Any) -> tuple[Any, None]:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        self.note("from_pretrained", arguments)
        folder = Path(arguments["model_name"])
        config = files.read_json(folder / "adapter_config.json") if (folder / "adapter_config.json").exists() else None
        base = config["base_model_name_or_path"] if config else folder  # unsloth loads the base that an adapter names
        self.base = Path(base)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=arguments["dtype"])
        return (PeftModel.from_pretrained(model, folder, is_trainable=True) if config else model), None

    def get_peft_model(self, model: Any, **arguments: Any) -> Any:
        from peft import LoraConfig, get_peft_model

        self.note("get_peft_model", arguments)
        config = {name: arguments[name] for name in ("r", "lora_alpha", "lora_dropout", "target_modules", "bias")}
        return get_peft_model(model, LoraConfig(**config, task_type="CAUSAL_LM"))

    def for_training(self, model: Any, **arguments: Any) -> Any:
        self.note("for_training", arguments)
        return model.train()

    def for_inference(self, model: Any, **arguments: Any) -> Any:
        self.note("for_inference", arguments)
        return model.eval()


@pytest.fixture
def unsloth(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setitem(sys.modules, "unsloth", SimpleNamespace(FastLanguageModel=recorder))
    return recorder


@pytest.fixture(scope="module")
def profile() -> dict[str, Any]:
    return load_params({"model": ModelParams, "lora": LoraParams}, ROOT / "conf/qwen3-14b.yaml")


def test_the_real_profile_is_loaded_as_it_says_at_the_pinned_commit(
    unsloth: Recorder, profile: dict[str, Any], hub: FakeHub, tmp_path: Path
) -> None:
    import torch

    written = write_qwen(tmp_path / "written")
    commit = hub.put("model", "org/qwen", {path.name: path.read_bytes() for path in written.iterdir()})
    hub.put("model", "org/qwen", {"config.json": b"{}"})  # main has moved on
    base = tmp_path / "base"
    files.write_json(base / "base.json", {"kind": "hub", "repo_id": "org/qwen", "revision": commit})

    model = load_model(profile["model"], base, lora=profile["lora"], seed=7)
    save_adapter(model, tmp_path / "new")
    (loading, loaded), (making, made), (training, mode) = unsloth.calls
    assert (loading, making, training) == ("from_pretrained", "get_peft_model", "for_training")
    assert Path(loaded.pop("model_name")).name == commit
    assert loaded == {
        "max_seq_length": 2048, "dtype": torch.bfloat16, "load_in_4bit": True, "trust_remote_code": False,
        "use_gradient_checkpointing": "unsloth", "use_exact_model_name": True, "random_state": 7,
    }  # fmt: skip
    assert made == {
        "r": 32, "lora_alpha": 32, "lora_dropout": 0.0, "target_modules": profile["lora"].targets, "bias": "none",
        "use_gradient_checkpointing": "unsloth", "random_state": 7,
    }  # fmt: skip
    assert mode == {"use_gradient_checkpointing": "unsloth"}

    unsloth.calls.clear()
    again = load_model(profile["model"], base, adapter=tmp_path / "new", lora=profile["lora"], engine_memory=0.4)
    save_adapter(again, tmp_path / "again")
    assert [name for name, _ in unsloth.calls] == ["from_pretrained", "for_training"], "an adapter was attached twice"
    asked = unsloth.calls[0][1]
    assert (asked["fast_inference"], asked["gpu_memory_utilization"], asked["max_lora_rank"]) == (True, 0.4, 32)
    assert unsloth.base.name == commit
    assert list(again.peft_config) == ["default"]
    assert files.digest(tmp_path / "new") == files.digest(tmp_path / "again")
    assert files.read_json(tmp_path / "new/adapter_config.json")["base_model_name_or_path"] == "org/qwen"

    unsloth.calls.clear()
    frozen = load_model(profile["model"], base, adapter=tmp_path / "new")
    assert [name for name, _ in unsloth.calls] == ["from_pretrained", "for_inference"]
    assert not frozen.training


def changed_defaults() -> dict[str, set[Any]]:
    """Field of a TRL config → the defaults that unsloth gives it, as its source writes them."""
    (patch,) = [
        node
        for node in source("models/rl.py").body
        if isinstance(node, ast.FunctionDef) and node.name == "_patch_trl_rl_trainers_impl"
    ]
    found: dict[str, set[Any]] = {}
    for node in ast.walk(patch):
        if not isinstance(node, ast.Assign):
            continue
        (target,) = node.targets
        if ast.unparse(target) == "replacements":
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                found.setdefault(key.value, set()).add(ast.unparse(value))
        elif ast.unparse(target).startswith("replacements["):
            found.setdefault(target.slice.value, set()).add(ast.unparse(node.value))
    return found


LEFT = {"router_aux_loss_coef": "no model of ours is a mixture of experts"}
"""Fields whose default unsloth changes and that we leave to it."""


def test_every_default_that_unsloth_changes_is_set_again() -> None:
    from trl import DPOConfig, GRPOConfig, SFTConfig

    values = load_params(
        {"sft": sft.SupervisedParams, "grpo": grpo.GrpoParams, "model": ModelParams}, ROOT / "conf/qwen3-14b.yaml"
    )
    engine = RolloutsRun(server=None, gpu_memory=0.4)
    supervised = sft.trainer_arguments(values["sft"], values["model"], 1, Path("out"))
    policy = grpo.trainer_arguments(values["grpo"], values["model"], engine, 1, Path("out"))
    changed = changed_defaults()
    assert {"optim", "loss_type", "beta", "warmup_steps", "mask_truncated_completions"} <= set(changed)
    for config, ours in (
        (SFTConfig, {*supervised, "loss_type"}),
        (DPOConfig, {*supervised, "loss_type", "beta"}),
        (GRPOConfig, {*policy, "chat_template_kwargs"}),
    ):
        fields = {field.name for field in dataclasses.fields(config)}
        assert set(changed) & fields - set(LEFT) <= ours, config.__name__
        assert ours <= fields
    assert supervised_loss(values["model"]) == ast.literal_eval(max(changed["loss_type"], key=len)) == "nll"


def test_unsloth_keeps_a_batch_that_is_smaller_than_a_group() -> None:
    """It would raise per_device_train_batch_size to the group's size, but for a generation_batch_size that is set."""
    text = (UNSLOTH / "models/rl.py").read_text()
    place = text.index("per_device_train_batch_size = num_generations")
    assert "if steps_per_generation is None and generation_batch_size is None:" in text[place - 1500 : place]


def locked(name: str) -> dict[str, str]:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    pins = {normal(package): version for package, version in (line.split("==") for line in lines)}
    assert len(pins) == len(lines)
    return pins


def test_unsloth_is_given_the_length_that_it_would_put_in_place_of_none() -> None:
    """Seen on a GPU: a trainer that was built with max_length None had the model's."""
    text = (Path(find_spec("unsloth").submodule_search_locations[0]) / "models/rl.py").read_text()
    assert "args.max_length = min(_unsloth_explicit_max_length, model_max_length)" in text
    model = load_params({"model": ModelParams}, ROOT / "conf/qwen3-14b.yaml")["model"]
    assert model.backend == "unsloth"
    assert supervised_length(model) == model.max_length
    assert supervised_length(model.model_copy(update={"backend": "transformers"})) is None


def test_the_locked_releases_are_those_that_unsloth_takes() -> None:
    cpu, gpu = locked("requirements.lock"), locked("requirements-gpu.lock")
    assert not set(cpu) & set(gpu), "a package stands in both locks"
    pins = cpu | gpu
    extra = load_toml(ROOT / "pyproject.toml")["project"]["optional-dependencies"]["gpu"]
    for package in PACKAGES:
        assert f"{package}=={pins[normal(package)]}" in extra
        assert metadata.version(package) == pins[normal(package)]
        for need in map(Requirement, metadata.requires(package)):
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                assert normal(need.name) in pins, f"{package} needs {need}"
                assert need.specifier.contains(pins[normal(need.name)]), f"{package} needs {need}"


def load_toml(path: Path) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(path.read_text())


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_unsloth_comes_before_what_it_patches_and_says_what_it_lacks(workspace: Path) -> None:
    """In each stage with a model. The real package, in a process of its own: its import changes the environment."""
    params = load_yaml(Path("params.yaml"))
    params["model"]["backend"] = "unsloth"
    files.write_text(Path("params.yaml"), files.to_json(params))
    for adapter in ("sft", "grpo"):
        Path("models", adapter).mkdir()
    for folder in ("data/teacher", "data/proposals"):
        Path(folder).mkdir()
    files.write_rows(Path("data/teacher/dropped.jsonl"), [])
    files.write_rows(Path("data/mixed/evaluation.jsonl"), tiny_problems(24))
    files.write_rows(Path("data/teacher/conversations.jsonl"), files.read_rows(Path("data/mixed/train.jsonl")))
    script = """
        import sys
        from questions_gen.errors import UserError
        from questions_gen.stage import run
        from stages.__main__ import find_stage

        class Watch:
            def find_spec(self, name, path=None, target=None):
                if name == "unsloth":
                    print("first" if not {"trl", "transformers", "peft"} & set(sys.modules) else "late")

        sys.meta_path.insert(0, Watch())
        for name in (["sft"], ["grpo"], ["propose"], ["distill"], ["evaluate", "grpo"]):
            try:
                run(find_stage(*name))
            except UserError as error:
                print(error)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=workspace,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["src", *sys.path])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = [line for line in result.stdout.splitlines() if "nsloth" in line or line in ("first", "late")]
    said = r"model\.backend: unsloth can't be used here \(.*\); it needs a GPU .* Set model\.backend: transformers .*"
    assert lines[::2] == ["first"] * 5, result.stdout + result.stderr
    assert all(re.fullmatch(said, line) for line in lines[1::2]), result.stdout
