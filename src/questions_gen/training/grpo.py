"""Group-relative policy optimisation of an adapter with TRL: one prompt, `group_size` completions, one reward.

The reward of a completion is its verdict's total: gate × weighted sum (rewards/combine.py). An error in a reward
stops the run; it never becomes a score. A checkpoint is written only between generations, with the history and
all rollouts so far, so that a killed run goes on as if nothing had happened.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from questions_gen import files, prompts
from questions_gen.answers import parse_completion
from questions_gen.history import History
from questions_gen.params import Count, Positive, Section, Share
from questions_gen.problem import Features, features, similarity
from questions_gen.rewards.combine import Judge
from questions_gen.schema import Message, Problem, Prompt, VariationKind, Verdict
from questions_gen.stage import Context, Log
from questions_gen.training.backend import LoraParams, ModelParams, load_model, load_tokenizer, save_adapter
from questions_gen.training.checkpoints import checkpoint_callback, last_complete, tracking_callback
from questions_gen.training.generate import SamplingParams, end_tokens, finish_reason

KINDS: tuple[VariationKind, ...] = ("context_change", "parameter_change", "practical_application")
NEIGHBOURS = 2
"""Known problems shown beside the one that an innovation has to leave behind."""


class TaskShares(Section):
    """Shares of the prompts; they are normalised."""

    problem: Share
    variation: Share
    innovation: Share

    @model_validator(mode="after")
    def _some(self) -> "TaskShares":
        if self.problem + self.variation + self.innovation <= 0:
            raise ValueError("at least one share must be above 0")
        return self


class GrpoParams(Section):
    steps: Count
    """Policy steps: one generation and one update each."""
    groups: Count
    """Prompts a step."""
    group_size: Annotated[int, Field(ge=2)]
    """Completions of one prompt, compared with one another."""
    batch_size: Count
    """Completions a device and forward pass of the update: it bounds the memory and changes no gradient."""
    learning_rate: Positive
    optimizer: Literal["adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit"]
    loss: Literal["grpo", "dr_grpo", "dapo", "bnpo"]
    beta: Annotated[float, Field(ge=0)]
    """Weight of the KL term to the base model; 0 leaves it out."""
    epsilon: Positive
    epsilon_high: Positive
    """The clipping range of the probability ratio is [1 − epsilon, 1 + epsilon_high]."""
    scale_rewards: Literal["group", "batch", "none"]
    checkpoint_steps: Count
    tasks: TaskShares
    sampling: SamplingParams

    @model_validator(mode="after")
    def _whole_batches(self) -> "GrpoParams":
        if self.groups * self.group_size % self.batch_size:
            raise ValueError(f"batch_size must divide groups × group_size = {self.groups * self.group_size}")
        return self


def draw_prompts(problems: Sequence[Problem], shares: TaskShares, count: int, seed: int) -> list[Prompt]:
    """`count` prompts of the three tasks, drawn by `shares` from problems drawn evenly."""
    draw = random.Random(seed)
    known = [features(problem.statement) for problem in problems]
    weights = [shares.problem, shares.variation, shares.innovation]
    drawn = []
    for number in range(count):
        task = draw.choices(["problem", "variation", "innovation"], weights)[0]
        problem = draw.choice(problems)
        kind = draw.choice(KINDS) if task == "variation" else None
        drawn.append(
            Prompt(
                id=f"grpo-{number:05d}",
                task=task,
                messages=_messages(task, problem, kind, problems, known),
                topic=problem.topic,
                concepts=problem.concepts,
                original=None if task == "problem" else problem.statement,
                kind=kind,
            )
        )
    return drawn


def _messages(
    task: str, problem: Problem, kind: VariationKind | None, problems: Sequence[Problem], known: Sequence[Features]
) -> tuple[Message, ...]:
    if task == "problem":
        return prompts.problem_messages(problem.topic, problem.concepts)
    if kind is not None:
        return prompts.variation_messages(kind, problem.statement)
    return prompts.innovation_messages(problem.statement, _neighbours(problem, problems, known))


def _neighbours(problem: Problem, problems: Sequence[Problem], known: Sequence[Features]) -> list[str]:
    """The statements most like that of `problem`, itself left out."""
    asked = features(problem.statement)
    ranked = sorted((-similarity(asked, other), i) for i, other in enumerate(known) if problems[i].id != problem.id)
    return [problems[i].statement for _, i in ranked[:NEIGHBOURS]]


class GroupReward:
    """The judge as TRL's reward function; it keeps every rollout with its verdict, and fills the history."""

    __name__ = "total"

    def __init__(self, judge: Judge, history: History, drawn: Sequence[Prompt], ends: set[int], seed: int):
        self.judge, self.history, self.ends, self.seed = judge, history, ends, seed
        self.prompts = {prompt.id: prompt for prompt in drawn}
        self.rollouts: list[dict[str, Any]] = []

    def __call__(
        self,
        completions: list[list[dict[str, str]]],
        completion_ids: list[list[int]],
        prompt_id: list[str],
        trainer_state: Any,
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float]:
        step = trainer_state.global_step + 1
        parsed = [
            parse_completion(
                id=f"{prompt_id[i]}/{i}",
                prompt_id=prompt_id[i],
                text=completions[i][0]["content"],
                finish_reason=finish_reason(completion_ids[i], self.ends),
                tokens=len(completion_ids[i]),
                seed=self.seed,
            )
            for i in range(len(completions))
        ]
        verdicts = self.judge.judge(parsed, [self.prompts[name] for name in prompt_id])
        self._keep(
            [
                {"step": step, "completion": c.model_dump(mode="json"), "verdict": v.model_dump(mode="json")}
                for c, v in zip(parsed, verdicts, strict=True)
            ]
        )
        for name, value in summarise(verdicts).items():
            log_metric(name, value)
        return [verdict.total for verdict in verdicts]

    def _keep(self, rollouts: list[dict[str, Any]]) -> None:
        self.history.add(row["completion"]["statement"] for row in rollouts if row["verdict"]["passed"])
        self.rollouts += rollouts

    def save(self, folder: Path) -> None:
        files.write_rows(folder / "rollouts.jsonl", self.rollouts)

    def load(self, folder: Path) -> None:
        """Take up the rollouts of a checkpoint; the history follows from them."""
        self._keep(files.read_rows(folder / "rollouts.jsonl"))


def summarise(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Mean of each reward over those judged, and the gate's pass rate."""
    names = sorted({name for verdict in verdicts for name in verdict.rewards})
    judged = {name: [v.rewards[name] for v in verdicts if v.rewards.get(name) is not None] for name in names}
    means = {name: fmean(values) for name, values in judged.items() if values}
    return {"gate": fmean(v.passed for v in verdicts), **means}


def train(
    context: Context,
    grpo: GrpoParams,
    model_params: ModelParams,
    lora: LoraParams,
    seed: int,
    *,
    base: Path,
    start: Path,
    problems: Sequence[Problem],
    judge: Judge,
    history: History,
    adapter: Path,
    history_out: Path,
) -> Log:
    """Go on from the adapter at `start` for `grpo.steps` policy steps; write the adapter and the history."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    drawn = draw_prompts(problems, grpo.tasks, grpo.steps * grpo.groups, seed)
    model = load_model(model_params, base, adapter=start, lora=lora, seed=seed)
    tokenizer = load_tokenizer(base)
    reward = GroupReward(judge, history, drawn, end_tokens(model, tokenizer), seed)
    rows = [{"prompt": [m.model_dump() for m in prompt.messages], "prompt_id": prompt.id} for prompt in drawn]
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=[reward],
        args=GRPOConfig(**trainer_arguments(grpo, model_params, seed, context.checkpoints / "grpo")),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[checkpoint_callback(reward.save), tracking_callback(context.tracker)],
    )
    resume = last_complete(Path(trainer.args.output_dir))
    if resume:
        reward.load(resume)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    save_adapter(trainer.model, adapter)
    reward.save(history_out)
    files.write_rows(history_out / "problems.jsonl", history.rows())
    steps = [_step_row(row) for row in trainer.state.log_history if "reward" in row]
    metrics = {
        "completions": len(reward.rollouts),
        "history": len(history.statements),
        **{name: fmean(row[name] for row in steps) for name in ("reward", "gate", "frac_reward_zero_std")},
    }
    return Log(metrics, steps)


def trainer_arguments(grpo: GrpoParams, model_params: ModelParams, seed: int, output: Path) -> dict[str, Any]:
    """Every TRL field that matters, said here: defaults change with releases and with unsloth's patches."""
    return {
        "output_dir": str(output),
        "max_steps": grpo.steps,
        "per_device_train_batch_size": grpo.batch_size,
        "gradient_accumulation_steps": grpo.groups * grpo.group_size // grpo.batch_size,
        "generation_batch_size": grpo.groups * grpo.group_size,
        "num_generations": grpo.group_size,
        "num_iterations": 1,
        "max_completion_length": grpo.sampling.max_new_tokens,
        "temperature": grpo.sampling.temperature,
        "top_p": grpo.sampling.top_p,
        "top_k": grpo.sampling.top_k,
        "shuffle_dataset": False,
        "learning_rate": grpo.learning_rate,
        "lr_scheduler_type": "constant",
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "optim": grpo.optimizer,
        "max_grad_norm": 1.0,
        "loss_type": grpo.loss,
        "beta": grpo.beta,
        "epsilon": grpo.epsilon,
        "epsilon_high": grpo.epsilon_high,
        "scale_rewards": grpo.scale_rewards,
        "importance_sampling_level": "token",
        "mask_truncated_completions": True,
        "disable_dropout": True,
        "use_vllm": False,
        "remove_unused_columns": False,
        "bf16": model_params.dtype == "bfloat16",
        "fp16": False,
        "gradient_checkpointing": model_params.gradient_checkpointing,
        "eval_strategy": "no",
        "logging_steps": 1,
        "log_completions": False,
        "save_strategy": "steps",
        "save_steps": grpo.checkpoint_steps,
        "save_total_limit": 2,
        "report_to": "none",
        "seed": seed,
        "data_seed": seed,
    }


STEP_KEYS: Mapping[str, str] = {
    "completions/mean_length": "length",
    "completions/clipped_ratio": "cut_off",
    **{name: name for name in ("step", "loss", "grad_norm", "reward", "reward_std", "frac_reward_zero_std", "entropy")},
    **{name: name for name in ("gate", "difficulty", "novelty", "rigor", "diversity")},
}
"""TRL's name of a logged number → ours."""


def _step_row(row: dict[str, Any]) -> dict[str, Any]:
    return {ours: row[theirs] for theirs, ours in STEP_KEYS.items() if theirs in row}
