"""The coordinated step that ends a round of grpo: its best problems and variations of them are learnt together.

The policy writes one variation of each kind for each of the best problems. Those that pass the gate, which for a
variation means that its declared kind holds, become conversations beside the problems themselves, and a short
supervised phase trains on all of them. No problem passed: nothing is trained, and the counts say so.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from questions_gen import prompts
from questions_gen.params import Count, Positive, Section
from questions_gen.prompts import written_problem
from questions_gen.schema import Completion, Conversation, Language, Message, Prompt
from questions_gen.stage import Context
from questions_gen.training.backend import (
    LoraParams,
    ModelParams,
    copy_adapter,
    free_memory,
    load_model,
    load_tokenizer,
    save_trained,
)
from questions_gen.training.generate import SamplingParams, generate
from questions_gen.training.processes import agreed, main_only
from questions_gen.training.rollouts import GroupReward, Row
from questions_gen.training.sft import Optimizer, SupervisedParams, fitting, supervised_trainer


class CoordinatedParams(Section):
    problems: Count
    """The best new problems of a round, each with a variation of each kind."""
    steps: Count
    batch_size: Count
    """Conversations a device and step."""
    learning_rate: Positive


def best_problems(rows: Sequence[Row], count: int) -> list[Row]:
    """The `count` rollouts with the highest totals that passed as new problems, each statement once; ties by order."""
    candidates = [row for row in rows if row["task"] != "variation" and row["verdict"]["passed"]]
    ranked = sorted(candidates, key=lambda row: -row["verdict"]["total"])
    distinct = {row["completion"]["statement"]: row for row in reversed(ranked)}
    return [row for row in ranked if distinct[row["completion"]["statement"]] is row][:count]


def variation_prompts(best: Sequence[Row], language: Language = "en") -> list[Prompt]:
    """One prompt for each problem and kind."""
    return [
        prompt
        for row in best
        for prompt in prompts.variation_prompts(
            f"{row['completion']['id']}/{row['step']}", row["completion"]["statement"], language
        )
    ]


def conversations(rows: Sequence[Row], asked: Mapping[str, Prompt]) -> list[Conversation]:
    """What the rollouts that passed were asked, and what they wrote without its thinking."""
    made = []
    for row in rows:
        if row["verdict"]["passed"]:
            completion = Completion.model_validate(row["completion"])
            prompt = asked[completion.prompt_id]
            answer = Message(role="assistant", content=written_problem(completion.statement, completion.answer))
            made.append(
                Conversation(
                    id=completion.id,
                    task=prompt.task,
                    messages=(*prompt.messages, answer),
                    source_id=prompt.id,
                )
            )
    return made


def supervised(params: CoordinatedParams, optimizer: Optimizer) -> SupervisedParams:
    """The short supervised phase, as the stage sft would say it."""
    return SupervisedParams(
        steps=params.steps,
        batch_size=params.batch_size,
        accumulation=1,
        learning_rate=params.learning_rate,
        warmup_steps=0,
        weight_decay=0.0,
        scheduler="constant",
        optimizer=optimizer,
        checkpoint_steps=params.steps,
    )


def coordinate(
    context: Context,
    params: CoordinatedParams,
    model_params: ModelParams,
    lora: LoraParams,
    sampling: SamplingParams,
    optimizer: Optimizer,
    seed: int,
    *,
    batch_size: int,
    base: Path,
    start: Path,
    rows: Sequence[Row],
    reward: GroupReward,
    output: Path,
    adapter: Path,
) -> dict[str, int]:
    """Go on from the adapter at `start` with the best of `rows` and their variations; write it to `adapter`.

    Returns how many problems were chosen, variations sampled and passed, conversations trained on or too long.
    `reward` judges the variations and keeps them as rollouts of the round's last step. `batch_size` of them are sampled
    at once.
    """
    best = best_problems(rows, params.problems)
    asked = variation_prompts(best, reward.judge.language)
    written = agreed(lambda: _sampled(model_params, base, start, asked, sampling, batch_size, seed)) if asked else []
    step = rows[-1]["step"]
    varied = reward.judged(step, written, asked, reward.weights(step + 1), "coordinated")
    reward.keep(varied)
    known = {**reward.prompts, **{prompt.id: prompt for prompt in asked}}
    kept, too_long = fitting(base, conversations([*best, *varied], known), model_params.max_length)
    counts = {
        "problems": len(best),
        "variations": len(varied),
        "variations_passed": sum(row["verdict"]["passed"] for row in varied),
        "conversations": len(kept),
        "too_long": too_long,
    }
    if not kept:
        print("grpo: no problem of this round passed the gate; the coordinated step has nothing to train on")
        main_only(lambda: copy_adapter(start, adapter))
        return counts
    training = supervised(params, optimizer)
    model = load_model(model_params, base, adapter=start, lora=lora, seed=seed)
    trainer = supervised_trainer(training, model_params, seed, model, load_tokenizer(base), kept, output=output)
    trainer.train()
    save_trained(trainer, adapter)
    del model, trainer
    free_memory()
    return counts


def _sampled(
    model_params: ModelParams,
    base: Path,
    adapter: Path,
    asked: Sequence[Prompt],
    sampling: SamplingParams,
    batch_size: int,
    seed: int,
) -> list[Completion]:
    model = load_model(model_params, base, adapter=adapter, seed=seed)
    completions = generate(model, load_tokenizer(base), asked, sampling, batch_size=batch_size, seed=seed)
    del model
    free_memory()
    return completions
