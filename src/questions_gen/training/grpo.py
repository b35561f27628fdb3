"""Group-relative policy optimisation of an adapter with TRL: one prompt, `group_size` completions, one reward.

A run has rounds: policy steps on the three tasks, then the coordinated step (coordinated.py). The reward of a
completion is its verdict's total, gate × weighted sum (rewards/combine.py), with weights that follow what still tells
completions apart (rewards/weights.py). A checkpoint is written only between generations, with all rollouts so far, so
that a killed run goes on as if nothing had happened.
"""

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from questions_gen import files, prompts
from questions_gen.errors import UserError
from questions_gen.history import History
from questions_gen.params import Count, Positive, Section, Share
from questions_gen.problem import Features, features, similarity
from questions_gen.rewards.combine import Judge
from questions_gen.rewards.weights import DynamicWeights
from questions_gen.schema import Language, Message, Problem, Prompt, VariationKind
from questions_gen.stage import Context, Log, RolloutsRun
from questions_gen.training.backend import (
    LoraParams,
    ModelParams,
    check_fields,
    copy_adapter,
    free_memory,
    load_model,
    load_tokenizer,
    require_vllm,
    runtime_arguments,
    use_backend,
)
from questions_gen.training.checkpoints import (
    checkpoint_callback,
    checkpoint_step,
    is_complete,
    last_complete,
    logged_steps,
    mark_complete,
    tracking_callback,
)
from questions_gen.training.coordinated import CoordinatedParams, coordinate
from questions_gen.training.generate import SamplingParams, count_tokens, end_tokens, template_arguments
from questions_gen.training.processes import agreed, main_only, share_of_batch
from questions_gen.training.rollouts import GroupReward, samples, step_numbers, to_csv
from questions_gen.training.sft import Optimizer

KINDS: tuple[VariationKind, ...] = ("context_change", "parameter_change", "practical_application")
NEIGHBOURS = 2
"""Known problems shown beside the one that an innovation has to leave behind."""
MOST_TOO_LONG = 20
"""Draws that are too long for each prompt that is wanted, at most."""


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
    rounds: Count
    """A round is policy steps and then the coordinated step."""
    steps: Count
    """Policy steps of a round: one generation and one update each."""
    groups: Count
    """Prompts a step."""
    group_size: Annotated[int, Field(ge=2)]
    """Completions of one prompt, compared with one another."""
    batch_size: Count
    """Completions a device and forward pass of the update: it bounds the memory and changes no gradient."""
    learning_rate: Positive
    optimizer: Optimizer
    loss: Literal["grpo", "dr_grpo", "dapo", "bnpo"]
    beta: Annotated[float, Field(ge=0)]
    """Weight of the KL term to the base model; 0 leaves it out."""
    epsilon: Positive
    epsilon_high: Positive
    """The clipping range of the probability ratio is [1 − epsilon, 1 + epsilon_high]."""
    scale_rewards: Literal["group", "batch", "none"]
    checkpoint_steps: Count
    rollouts: Literal["transformers", "vllm-colocate", "vllm-server"]
    """What samples: the model at work · vLLM beside it on the same GPU · `trl vllm-serve` at run.rollouts.server."""
    tasks: TaskShares
    sampling: SamplingParams
    dynamic_weights: DynamicWeights
    coordinated: CoordinatedParams

    @model_validator(mode="after")
    def _whole_batches(self) -> "GrpoParams":
        if self.groups * self.group_size % self.batch_size:
            raise ValueError(f"batch_size must divide groups × group_size = {self.groups * self.group_size}")
        return self


def draw_prompts(
    problems: Sequence[Problem],
    shares: TaskShares,
    count: int,
    seed: int,
    language: Language = "en",
    fits: Callable[[tuple[Message, ...]], bool] = lambda _: True,
) -> tuple[list[Prompt], int]:
    """`count` prompts of the three tasks, drawn by `shares` from problems drawn evenly; and how many were too long.

    An innovation that doesn't fit is shown fewer neighbours; a prompt that still doesn't is drawn anew.
    Raises UserError where hardly any fits.
    """
    draw = random.Random(seed)
    known = [features(problem.statement) for problem in problems]
    weights = [shares.problem, shares.variation, shares.innovation]
    drawn: list[Prompt] = []
    too_long = 0
    while len(drawn) < count:
        task = draw.choices(["problem", "variation", "innovation"], weights)[0]
        problem = draw.choice(problems)
        kind = draw.choice(KINDS) if task == "variation" else None
        messages = next(filter(fits, _messages(task, problem, kind, problems, known, language)), None)
        if messages is None:
            too_long += 1
            if too_long > MOST_TOO_LONG * count:
                raise UserError(
                    f"grpo: {too_long} of {too_long + len(drawn)} prompts leave no room in model.max_length for "
                    "grpo.sampling.max_new_tokens; raise the one, lower the other, or lower mix.max_tokens"
                )
            continue
        drawn.append(
            Prompt(
                id=f"grpo-{len(drawn):05d}",
                task=task,
                messages=messages,
                topic=problem.topic,
                concepts=problem.concepts,
                original=None if task == "problem" else problem.statement,
                kind=kind,
            )
        )
    return drawn, too_long


def _messages(
    task: str,
    problem: Problem,
    kind: VariationKind | None,
    problems: Sequence[Problem],
    known: Sequence[Features],
    language: Language,
) -> Iterator[tuple[Message, ...]]:
    """The prompt, and shorter ones of the same task."""
    if task == "problem":
        yield prompts.problem_messages(problem.topic, problem.concepts, language)
    elif kind is not None:
        yield prompts.variation_messages(kind, problem.statement, language)
    else:
        neighbours = _neighbours(problem, problems, known)
        for shown in range(len(neighbours), -1, -1):
            yield prompts.innovation_messages(problem.statement, neighbours[:shown], language)


def _neighbours(problem: Problem, problems: Sequence[Problem], known: Sequence[Features]) -> list[str]:
    """The statements most like that of `problem`, itself left out."""
    asked = features(problem.statement)
    ranked = sorted((-similarity(asked, other), i) for i, other in enumerate(known) if problems[i].id != problem.id)
    return [problems[i].statement for _, i in ranked[:NEIGHBOURS]]


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
    """Go on from the adapter at `start` for `grpo.rounds` rounds; write the adapter, the rollouts and the history."""
    if grpo.rollouts != "transformers":
        require_vllm("grpo.rollouts")
    use_backend(model_params)
    wanted = grpo.rounds * grpo.steps * grpo.groups
    room = model_params.max_length - grpo.sampling.max_new_tokens  # vLLM refuses what is longer than max_length
    tokenizer = load_tokenizer(base)

    def fits(messages: tuple[Message, ...]) -> bool:
        return count_tokens(tokenizer, messages, grpo.sampling) <= room

    drawn, too_long = draw_prompts(problems, grpo.tasks, wanted, seed, judge.language, fits)
    reward = GroupReward(
        judge,
        history,
        drawn,
        seed,
        base=judge.weights,
        dynamic=grpo.dynamic_weights,
        failed=context.checkpoints / "failed.jsonl",
    )
    steps: list[dict[str, Any]] = []
    coordinated: Counter[str] = Counter()
    for number in range(grpo.rounds):
        folder = context.checkpoints / f"round-{number + 1}"
        if not agreed(lambda: is_complete(folder / "end")):  # noqa: B023 (called at once)
            _play_round(context, grpo, model_params, lora, seed, number, base, start, drawn, reward, folder)
        reward.load(folder / "end")
        start = folder / "end/adapter"
        played = files.read_json(folder / "end/round.json")
        steps += played["steps"]
        coordinated.update(played["coordinated"])  # += would leave out what is 0
    copy_adapter(start, adapter)
    reward.save(history_out)
    files.write_rows(history_out / "problems.jsonl", history.rows())
    table = samples(reward.rollouts)
    files.write_text(history_out / "samples.csv", to_csv(table))
    context.tracker.log_table("samples", table)
    flat, groups = sum(row["groups_without_spread"] for row in steps), sum(row["groups"] for row in steps)
    if flat:
        print(f"grpo: {flat} of {groups} groups had no spread in their rewards and taught nothing", flush=True)
    metrics = {
        "completions": len(reward.policy_rows()),
        "history": len(history.statements),
        "prompts_too_long": too_long,
        "groups": groups,
        "groups_without_spread": flat,
        "coordinated": {name: coordinated[name] for name in sorted(coordinated)},
        **{name: fmean(row[name] for row in steps) for name in ("reward", "gate")},
    }
    return Log(metrics, steps)


def _play_round(
    context: Context,
    grpo: GrpoParams,
    model_params: ModelParams,
    lora: LoraParams,
    seed: int,
    number: int,
    base: Path,
    start: Path,
    drawn: Sequence[Prompt],
    reward: GroupReward,
    folder: Path,
) -> None:
    """Policy steps and the coordinated step; what they made lies in folder/end, whole or not at all."""
    main_only(lambda: shutil.rmtree(folder / "end", ignore_errors=True))
    reward.first_step = number * grpo.steps
    asked = drawn[reward.first_step * grpo.groups : (reward.first_step + grpo.steps) * grpo.groups]
    policy = _policy_steps(context, grpo, model_params, lora, seed + number, base, start, asked, reward, folder)
    rows = [row for row in reward.policy_rows() if row["step"] > reward.first_step]
    coordinated = coordinate(
        context,
        grpo.coordinated,
        model_params,
        lora,
        grpo.sampling,
        grpo.optimizer,
        seed + number,
        batch_size=grpo.groups * grpo.group_size,
        base=base,
        start=policy,
        rows=rows,
        reward=reward,
        output=folder / "supervised",
        adapter=folder / "end/adapter",
    )
    main_only(lambda: _end_round(reward, policy, coordinated, folder))


def _end_round(reward: GroupReward, policy: Path, coordinated: Mapping[str, int], folder: Path) -> None:
    reward.save(folder / "end")
    steps = [_step_row(row, reward) for row in logged_steps(policy, "reward", STEP_KEYS)]
    files.write_json(folder / "end/round.json", {"steps": steps, "coordinated": coordinated})
    mark_complete(folder / "end")
    for finished in ("policy", "supervised"):
        shutil.rmtree(folder / finished, ignore_errors=True)


def _policy_steps(
    context: Context,
    grpo: GrpoParams,
    model_params: ModelParams,
    lora: LoraParams,
    seed: int,
    base: Path,
    start: Path,
    asked: Sequence[Prompt],
    reward: GroupReward,
    folder: Path,
) -> Path:
    """The last checkpoint of a round's policy steps: an adapter, the rollouts, and what the trainer logged."""
    output = folder / "policy"
    resume = last_complete(output)
    if resume:
        reward.load(resume)
    if resume is None or checkpoint_step(resume) < grpo.steps:
        memory = context.run.rollouts.gpu_memory if grpo.rollouts == "vllm-colocate" else None
        model = load_model(model_params, base, adapter=start, lora=lora, seed=seed, engine_memory=memory)
        trainer = policy_trainer(
            grpo,
            model_params,
            context.run.rollouts,
            seed,
            model,
            load_tokenizer(base),
            asked,
            reward,
            output=output,
            callbacks=[checkpoint_callback(reward.save), tracking_callback(context.tracker, reward.first_step)],
        )
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        del model, trainer
        free_memory()
    return output / f"checkpoint-{grpo.steps}"


def policy_trainer(
    grpo: GrpoParams,
    model_params: ModelParams,
    rollouts: RolloutsRun,
    seed: int,
    model: Any,
    tokenizer: Any,
    asked: Sequence[Prompt],
    reward: GroupReward,
    *,
    output: Path,
    callbacks: Sequence[Any] = (),
) -> Any:
    """TRL's trainer for the prompts `asked`, in their order; its checkpoints lie below `output`."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    reward.ends = end_tokens(model, tokenizer)
    fields = {
        **trainer_arguments(grpo, model_params, rollouts, seed, output),
        "chat_template_kwargs": template_arguments(tokenizer, grpo.sampling),
    }
    rows = [{"prompt": [m.model_dump() for m in prompt.messages], "prompt_id": prompt.id} for prompt in asked]
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=[reward],
        args=GRPOConfig(**fields),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )
    check_fields(trainer.args, fields)
    return trainer


def trainer_arguments(
    grpo: GrpoParams, model_params: ModelParams, rollouts: RolloutsRun, seed: int, output: Path
) -> dict[str, Any]:
    """Every field of TRL's that matters but the chat template's, which the tokenizer decides."""
    completions = grpo.groups * grpo.group_size
    batch_size, accumulation = share_of_batch(completions, grpo.batch_size, "grpo.groups × grpo.group_size")
    return {
        **runtime_arguments(model_params, seed, output),
        **_rollout_arguments(grpo, model_params, rollouts),
        "max_steps": grpo.steps,
        "per_device_train_batch_size": batch_size,
        "per_device_eval_batch_size": grpo.group_size,  # nothing is evaluated; TRL wants whole groups
        "gradient_accumulation_steps": accumulation,
        "generation_batch_size": completions,
        "num_generations": grpo.group_size,
        "num_iterations": 1,
        "shuffle_dataset": False,
        "learning_rate": grpo.learning_rate,
        "lr_scheduler_type": "constant",
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "optim": grpo.optimizer,
        "loss_type": grpo.loss,
        "beta": grpo.beta,
        "epsilon": grpo.epsilon,
        "epsilon_high": grpo.epsilon_high,
        "scale_rewards": grpo.scale_rewards,
        "importance_sampling_level": "token",
        "mask_truncated_completions": True,
        "disable_dropout": True,
        "remove_unused_columns": False,
        "log_completions": False,
        "save_steps": grpo.checkpoint_steps,
    }


def _rollout_arguments(grpo: GrpoParams, model_params: ModelParams, rollouts: RolloutsRun) -> dict[str, Any]:
    """How completions are sampled, and by what."""
    vllm = grpo.rollouts != "transformers"
    return {
        "max_completion_length": grpo.sampling.max_new_tokens,
        "temperature": grpo.sampling.temperature,
        "top_p": grpo.sampling.top_p,
        "top_k": -1 if vllm and grpo.sampling.top_k == 0 else grpo.sampling.top_k,  # all tokens, in vLLM's words
        "generation_kwargs": None,
        "use_vllm": vllm,
        "vllm_mode": "server" if grpo.rollouts == "vllm-server" else "colocate",
        "vllm_server_base_url": rollouts.server,
        "vllm_gpu_memory_utilization": rollouts.gpu_memory,
        "vllm_max_model_length": model_params.max_length,
        # vLLM's probabilities differ a little from the trainer's: each token's weight is their ratio, capped
        "vllm_importance_sampling_correction": True,
    }


STEP_KEYS: Mapping[str, str] = {
    "completions/mean_length": "length",
    "completions/clipped_ratio": "cut_off",
    "clip_ratio/region_mean": "clipped",
    **{name: name for name in ("step", "loss", "grad_norm", "reward", "reward_std", "entropy")},
}
"""TRL's name of a logged number → ours. The step counts from the round's first."""


def _step_row(logged: dict[str, Any], reward: GroupReward) -> dict[str, Any]:
    """What the trainer logged of a step, and what its rollouts say."""
    step = reward.first_step + logged["step"]
    rollouts = [row for row in reward.policy_rows() if row["step"] == step]
    return {**logged, "step": step, **step_numbers(rollouts, reward.weights(step))}
