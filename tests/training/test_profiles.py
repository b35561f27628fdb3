"""Every profile builds its trainers on a small random Qwen3, and every field of theirs is the profile's or TRL's own.

The backend is transformers, so that no GPU is needed; of the rest nothing is changed. Each key of a profile that TRL
is told stands in one table here with TRL's name for it, written down a second time on purpose.
"""

import dataclasses
import sys
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from questions_gen import prompts
from questions_gen.history import History
from questions_gen.params import load_params
from questions_gen.profiles import profiles
from questions_gen.schema import Preference, Prompt
from questions_gen.stage import RunParams
from questions_gen.training import coordinated, dpo, grpo, sft
from questions_gen.training.backend import LoraParams, ModelParams, load_model, load_tokenizer
from questions_gen.training.grpo import GrpoParams
from questions_gen.training.rollouts import GroupReward
from questions_gen.training.sft import SupervisedParams
from stages.distill import DistillParams

from ..conftest import ROOT, tiny_conversations
from ..qwen import write_qwen

SECTIONS = {
    "model": ModelParams, "lora": LoraParams, "sft": SupervisedParams, "grpo": GrpoParams, "distill": DistillParams,
    "run": RunParams, "seed": int,
}  # fmt: skip
NAMES = sorted(profiles(ROOT / "conf"))

RUNTIME = {"fp16": False, "max_grad_norm": 1.0, "report_to": [], "logging_steps": 1, "logging_first_step": True,
           "logging_nan_inf_filter": False, "eval_strategy": "no", "save_strategy": "steps", "save_total_limit": 2,
           "dataloader_num_workers": 0, "dataloader_pin_memory": False, "auto_find_batch_size": False,
           "ddp_backend": None, "ddp_find_unused_parameters": False,
           "gradient_checkpointing_kwargs": {"use_reentrant": True}}  # fmt: skip
SUPERVISED = {
    "max_steps": "steps", "per_device_train_batch_size": "batch_size",
    "gradient_accumulation_steps": "accumulation", "learning_rate": "learning_rate", "warmup_steps": "warmup_steps",
    "weight_decay": "weight_decay", "lr_scheduler_type": "scheduler", "optim": "optimizer",
    "save_steps": "checkpoint_steps",
}  # fmt: skip
POLICY = {
    "max_steps": "steps", "per_device_train_batch_size": "batch_size", "num_generations": "group_size",
    "per_device_eval_batch_size": "group_size", "learning_rate": "learning_rate", "optim": "optimizer",
    "loss_type": "loss", "beta": "beta", "epsilon": "epsilon", "epsilon_high": "epsilon_high",
    "scale_rewards": "scale_rewards", "save_steps": "checkpoint_steps",
}  # fmt: skip
UNTOLD = {"output_dir", "logging_dir", "run_name", "hub_token", "deepspeed_plugin"}
"""Fields with a place or a secret in them."""


def model_fields(values: dict[str, Any]) -> dict[str, Any]:
    """What follows from the sections model and seed, for every trainer."""
    model, seed = values["model"], values["seed"]
    told = {"use_cpu": True, "bf16": model.dtype == "bfloat16", "gradient_checkpointing": model.gradient_checkpointing}
    return {**RUNTIME, **told, "seed": seed, "data_seed": seed}


def plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def check_all_fields(arguments: Any, expected: dict[str, Any], defaults: Any) -> None:
    """`expected`, and all others as TRL's config has them when it is told nothing but what decides on a device."""
    fields = [field.name for field in dataclasses.fields(arguments) if field.name not in UNTOLD]
    assert set(expected) <= set(fields)
    found = {name: plain(getattr(arguments, name, None)) for name in fields}
    wanted = {name: expected.get(name, plain(getattr(defaults, name, None))) for name in fields}
    assert found == wanted


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_qwen(tmp_path_factory.mktemp("qwen") / "base")


@pytest.mark.parametrize("name", NAMES)
def test_every_field_of_every_trainer_is_the_profile_s(name: str, base: Path, tmp_path: Path) -> None:
    from trl import DPOConfig, GRPOConfig, SFTConfig

    values = load_params(SECTIONS, ROOT / f"conf/{name}.yaml")
    model_params = values["model"].model_copy(update={"backend": "transformers", "threads": 1})
    policy = values["grpo"].model_copy(update={"rollouts": "transformers"})
    seed, told = values["seed"], model_fields(values)
    model = load_model(model_params, base, lora=values["lora"], seed=seed)
    tokenizer, rows = load_tokenizer(base), tiny_conversations(2)
    device = {"output_dir": str(tmp_path), "bf16": told["bf16"], "use_cpu": True}

    lora = model.peft_config["default"]
    assert (lora.r, lora.lora_alpha, lora.lora_dropout) == tuple(
        getattr(values["lora"], key) for key in ("r", "alpha", "dropout")
    )
    assert lora.target_modules == set(values["lora"].targets)

    step = coordinated.supervised(policy.coordinated, policy.optimizer)
    for training in (values["sft"], values["distill"], step):
        trainer = sft.supervised_trainer(training, model_params, seed, model, tokenizer, rows, rows, output=tmp_path)
        expected = {field: getattr(training, key) for field, key in SUPERVISED.items()}
        always = {"max_length": None, "packing": False, "padding_free": False, "completion_only_loss": True,
                  "train_sampling_strategy": "sequential", "eval_on_start": True,
                  "per_device_eval_batch_size": 1}  # fmt: skip
        check_all_fields(trainer.args, {**told, **expected, **always, "loss_type": "chunked_nll"}, SFTConfig(**device))
    assert (step.steps, step.batch_size, step.accumulation, step.learning_rate, step.optimizer) == (
        policy.coordinated.steps, policy.coordinated.batch_size, 1, policy.coordinated.learning_rate, policy.optimizer
    )  # fmt: skip

    distill = values["distill"]
    pair = Preference(
        id="p", messages=rows[0].messages[:-1], chosen="What is $1$?", rejected="Hm.", chosen_total=1, rejected_total=0
    )
    prompt = Prompt(id="q", task="problem", messages=prompts.problem_messages("algebra"))
    reward = GroupReward(
        None, History(1), [prompt], seed, base={}, dynamic=policy.dynamic_weights, failed=tmp_path / "failed.jsonl"
    )
    engine = values["run"].rollouts
    asked = [prompt] * policy.groups
    trainer = grpo.policy_trainer(policy, model_params, engine, seed, model, tokenizer, asked, reward, output=tmp_path)
    expected = {field: getattr(policy, key) for field, key in POLICY.items()}
    completions = policy.groups * policy.group_size
    sampling = policy.sampling
    always = {
        "generation_batch_size": completions, "gradient_accumulation_steps": completions // policy.batch_size,
        "steps_per_generation": completions // policy.batch_size, "num_iterations": 1,
        "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k,
        "max_completion_length": sampling.max_new_tokens,
        "chat_template_kwargs": {"enable_thinking": sampling.thinking},
        "lr_scheduler_type": "constant", "warmup_steps": 0, "weight_decay": 0.0, "shuffle_dataset": False,
        "remove_unused_columns": False, "importance_sampling_level": "token", "mask_truncated_completions": True,
        "disable_dropout": True, "log_completions": False, "use_vllm": False, "vllm_mode": "colocate",
        "vllm_server_base_url": engine.server, "vllm_gpu_memory_utilization": engine.gpu_memory,
        "vllm_max_model_length": model_params.max_length, "vllm_importance_sampling_correction": True,
    }  # fmt: skip
    check_all_fields(trainer.args, {**told, **expected, **always}, GRPOConfig(**device))

    trainer = dpo.preference_trainer(
        distill, distill.beta, model_params, seed, model, tokenizer, [pair], output=tmp_path
    )  # last: it adds an adapter to the model
    expected = {field: getattr(distill, key) for field, key in SUPERVISED.items()}
    always = {"max_length": None, "padding_free": False, "beta": distill.beta, "loss_type": ["sigmoid"],
              "train_sampling_strategy": "sequential", "precompute_ref_log_probs": False,
              "per_device_eval_batch_size": 1}  # fmt: skip
    check_all_fields(trainer.args, {**told, **expected, **always}, DPOConfig(**device))
    assert "unsloth" not in sys.modules, "it is installed, for the tests that read it, and imported by accident"


@pytest.mark.parametrize(
    ("rollouts", "mode", "server"),
    [("vllm-colocate", "colocate", None), ("vllm-server", "server", "http://127.0.0.1:8000")],
)
def test_rollouts_of_vllm_are_asked_of_trl_as_the_profile_says(rollouts: str, mode: str, server: str | None) -> None:
    values = load_params(SECTIONS, ROOT / "conf/qwen3-14b-2026.yaml")
    engine = values["run"].rollouts.model_copy(update={"server": server})
    policy = values["grpo"].model_copy(update={"rollouts": rollouts})
    fields = grpo.trainer_arguments(policy, values["model"], engine, 1, Path("out"))
    assert (fields["use_vllm"], fields["vllm_mode"], fields["vllm_server_base_url"]) == (True, mode, server)
    assert fields["top_k"] == -1, "vLLM's word for all tokens"


def test_vllm_that_is_not_there_is_said_before_anything_is_loaded(base: Path) -> None:
    from questions_gen.errors import UserError
    from questions_gen.training.backend import require_vllm

    with pytest.raises(UserError, match=r"grpo\.rollouts: it needs vLLM.*set grpo\.rollouts: transformers"):
        require_vllm("grpo.rollouts")
