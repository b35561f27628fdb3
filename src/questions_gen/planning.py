"""What each stage of a profile would take on a device: memory, time and tokens, from its params alone.

    estimates(values, shape, device)     -> an Estimate of each stage, or of each of its parts
    remedy(values, shape, device, stage) -> the changed params with which it would fit

`values` are those of a params file that the stage `check` accepts. Lengths are the most that the params allow: a row
of mix.max_tokens, a completion of max_new_tokens after a prompt of PROMPT_TOKENS.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from questions_gen import costs
from questions_gen.costs import Device, Shape

Values = Mapping[str, Any]

PROMPT_TOKENS = 256
"""Of a prompt for a problem, at most: instructions, topic and concepts, and up to three known problems (grpo.py)."""
MARGIN = 0.05
"""Of a device's memory that stays free: an allocator's gaps, and what else runs there."""


@dataclass(frozen=True)
class Estimate:
    """Of one stage, or of one part of it."""

    stage: str
    """Its address; several parts of a stage have the same."""
    part: str
    memory: Mapping[str, float]
    """Bytes at the peak, by what they are for."""
    tokens: int
    """Tokens that are trained on or sampled."""
    seconds: float | None
    """None where the device's speed isn't known."""

    @property
    def total(self) -> float:
        return sum(self.memory.values())


def estimates(values: Values, shape: Shape, device: Device) -> list[Estimate]:
    """Of every stage that holds the model, in the pipeline's order. Raises UserError for an adapter it can't plan."""
    grpo, propose, evaluate, distill = (values[name] for name in ("grpo", "propose", "evaluate", "distill"))
    row = values["mix"]["max_tokens"]
    longest = values["model"]["max_length"]
    return [
        supervised("sft", values, shape, device, values["sft"], row),
        _rollouts(values, shape, device),
        update(values, shape, device),
        _coordinated(values, shape, device),
        _sampling(
            "propose",
            "sampling",
            values,
            shape,
            device,
            propose["sampling"],
            propose["problems"],
            propose["batch_size"],
        ),
        (_preferences if distill["objective"] == "dpo" else supervised)(
            "distill", values, shape, device, distill, longest
        ),
        _sampling(
            "evaluate@base",
            "sampling",
            values,
            shape,
            device,
            max(evaluate["sampling"], evaluate["thinking"], key=lambda sampling: sampling["max_new_tokens"]),
            evaluated(values),
            evaluate["batch_size"],
        ),
        _export(values, shape, device),
    ]


def prompt_tokens(values: Values, sampling: Values) -> int:
    """Of a prompt, at most: what is left of model.max_length, and no more than a prompt ever needs."""
    return min(PROMPT_TOKENS, values["model"]["max_length"] - sampling["max_new_tokens"])


def evaluated(values: Values, topics: int = 8) -> int:
    """Completions that evaluate samples from one model, both without and with thinking, for `topics` of the data."""
    evaluate = values["evaluate"]
    new = (3 + topics * evaluate["prompts"]) * evaluate["samples"]
    return 2 * new + 2 * 3 * evaluate["variations"]


def _weights(values: Values, shape: Shape) -> dict[str, float]:
    model = values["model"]
    parts = {"weights": costs.weights(shape, model["dtype"], model["load_in_4bit"])}
    if model["load_in_4bit"]:
        parts["unpacked"] = float(costs.largest_matrix(shape, model["dtype"]))
    return parts


def _adapter(values: Values, shape: Shape) -> int:
    return shape.adapter(values["lora"]["r"], values["lora"]["targets"])


def _trained(values: Values, shape: Shape, device: Device, optimizer: str) -> dict[str, float]:
    """What is there in every training step, whatever it reads."""
    return {
        "libraries": device.libraries,
        **_weights(values, shape),
        **costs.trained(_adapter(values, shape), optimizer),
    }


def _pass(values: Values, shape: Shape, device: Device, sequences: int, length: int, logits: float) -> dict[str, float]:
    """The most that a forward and backward pass holds.

    With gradient checkpointing each layer keeps its input alone (Chen et al. 2016, arXiv 1604.06174), and one at a time
    is recomputed, when the logits are gone: the larger of the two counts.
    """
    model = values["model"]
    tokens = sequences * length
    layer = tokens * costs.layer_activations(shape, model["dtype"], values["lora"]["r"], sequences > 1)
    kept = shape.layers * layer
    gaps = device.gaps * kept
    if model["gradient_checkpointing"]:
        kept = float(tokens * shape.layers * shape.hidden * costs.width(model["dtype"])) + max(layer - logits, 0.0)
    return {"activations": kept, "gaps": gaps, "logits": logits}


def _training_seconds(values: Values, shape: Shape, device: Device, tokens: int) -> float | None:
    return costs.training_seconds(
        device, costs.training_flops(shape, tokens, values["model"]["gradient_checkpointing"])
    )


def supervised(
    stage: str, values: Values, shape: Shape, device: Device, training: Values, length: int, part: str = "training"
) -> Estimate:
    """A forward and backward pass over `batch_size` rows of `length` tokens."""
    batch = training["batch_size"]
    tokens = training["steps"] * batch * training.get("accumulation", 1) * length
    memory = {
        **_trained(values, shape, device, training["optimizer"]),
        **_pass(values, shape, device, batch, length, costs.chunked_logits(shape)),
    }
    return Estimate(stage, part, memory, tokens, _training_seconds(values, shape, device, tokens))


def _preferences(stage: str, values: Values, shape: Shape, device: Device, training: Values, length: int) -> Estimate:
    """dpo: the chosen and the rejected answer of each pair in one pass, and once more with the adapter off."""
    pairs = training["batch_size"]
    tokens = 2 * training["steps"] * pairs * training["accumulation"] * length
    logits = costs.full_logits(shape, 2 * pairs * length, values["model"]["dtype"], costs.DPO_COPIES)
    memory = {
        **_trained(values, shape, device, training["optimizer"]),
        **_pass(values, shape, device, 2 * pairs, length, logits),
    }
    seconds = _training_seconds(values, shape, device, tokens)
    reference = costs.training_seconds(device, 2.0 * shape.multiplied * tokens)
    return Estimate(stage, "training", memory, tokens, seconds and seconds + (reference or 0.0))


def _generation(
    values: Values, shape: Shape, device: Device, sampling: Values, sequences: int, graphs: bool = False
) -> tuple[dict[str, float], float | None]:
    """Memory of sampling from `sequences` prompts at once, and the seconds that this takes."""
    dtype = values["model"]["dtype"]
    prompt, new = prompt_tokens(values, sampling), sampling["max_new_tokens"]
    memory = {
        "cache": costs.cache(shape, dtype, sequences=sequences, length=prompt + new),
        "logits": costs.sampling_logits(shape, dtype, sequences=sequences),
        "activations": costs.prefill(shape, dtype, sequences=sequences, prompt=prompt),
    }
    read = _weights(values, shape)["weights"]
    return memory, costs.decoding_seconds(device, shape, read, steps=new, sequences=sequences, graphs=graphs)


def _rollouts(values: Values, shape: Shape, device: Device) -> Estimate:
    """One generation a policy step, of all groups at once."""
    grpo = values["grpo"]
    completions = grpo["groups"] * grpo["group_size"]
    steps = grpo["rounds"] * grpo["steps"]
    vllm = grpo["rollouts"] != "transformers"
    memory, seconds = _generation(values, shape, device, grpo["sampling"], completions, graphs=vllm)
    if vllm:
        memory = {}
    fixed = _trained(values, shape, device, grpo["optimizer"]) | {"gradients": 0.0} | _engine(values, shape, device)
    tokens = steps * completions * grpo["sampling"]["max_new_tokens"]
    return Estimate("grpo", "rollout", {**fixed, **memory}, tokens, seconds and steps * seconds)


def _engine(values: Values, shape: Shape, device: Device) -> dict[str, float]:
    """What vLLM holds beside the training: the share of the card that it is given, and at least its weights and the
    cache of one text. unsloth's weights are its own."""
    if values["grpo"]["rollouts"] != "vllm-colocate":
        return {}
    model = values["model"]
    text = costs.cache(shape, model["dtype"], sequences=1, length=model["max_length"]) / 2
    least = _weights(values, shape)["weights"] + text
    engine = {"vllm": max(values["run"]["rollouts"]["gpu_memory"] * device.memory, least)}
    return engine | ({"weights": 0.0} if values["model"]["backend"] == "unsloth" else {})


def update(values: Values, shape: Shape, device: Device) -> Estimate:
    """A pass over `batch_size` completions with their prompts; logits of the completions alone, and all at once."""
    grpo, dtype = values["grpo"], values["model"]["dtype"]
    new = grpo["sampling"]["max_new_tokens"]
    length = prompt_tokens(values, grpo["sampling"]) + new
    tokens = grpo["rounds"] * grpo["steps"] * grpo["groups"] * grpo["group_size"] * length
    logits = costs.full_logits(shape, grpo["batch_size"] * new, dtype, costs.POLICY_COPIES)
    memory = {
        **_trained(values, shape, device, grpo["optimizer"]),
        **_pass(values, shape, device, grpo["batch_size"], length, logits),
        **_engine(values, shape, device),
    }
    return Estimate("grpo", "update", memory, tokens, _training_seconds(values, shape, device, tokens))


def _coordinated(values: Values, shape: Shape, device: Device) -> Estimate:
    """The supervised step that ends a round."""
    grpo = values["grpo"]
    training = {**grpo["coordinated"], "optimizer": grpo["optimizer"]}
    length = prompt_tokens(values, grpo["sampling"]) + grpo["sampling"]["max_new_tokens"]
    training["steps"] = grpo["rounds"] * training["steps"]
    return supervised("grpo", values, shape, device, training, length, "coordinated step")


def _sampling(
    stage: str, part: str, values: Values, shape: Shape, device: Device, sampling: Values, completions: int, batch: int
) -> Estimate:
    """`completions` of at most max_new_tokens, `batch` at once, with a frozen adapter."""
    memory, seconds = _generation(values, shape, device, sampling, min(batch, completions))
    adapter = 4.0 * _adapter(values, shape)
    fixed = {"libraries": device.libraries, **_weights(values, shape), "adapter": adapter}
    tokens = completions * sampling["max_new_tokens"]
    return Estimate(stage, part, {**fixed, **memory}, tokens, seconds and ceil(completions / batch) * seconds)


def _export(values: Values, shape: Shape, device: Device) -> Estimate:
    """The checks hold two models, one after the other: the adapter on its base, and what was merged in 16 bits."""
    memory = {
        "libraries": device.libraries,
        "weights": costs.weights(shape, values["model"]["dtype"], False),
        "adapter": 4.0 * _adapter(values, shape),
    }
    return Estimate("export", "checks", memory, 0, None)


# What to change where it doesn't fit


def fits(estimate: Estimate, device: Device) -> bool:
    return estimate.total <= device.memory * (1 - MARGIN)


@dataclass(frozen=True)
class Remedy:
    changes: Mapping[str, Any]
    """Dotted key → value."""
    total: float
    """Bytes of the stage at its peak then."""
    fits: bool


def remedy(values: Values, shape: Shape, device: Device, stage: str) -> Remedy:
    """The changes, of those that cost least, with which `stage` fits; or all that help, where it still doesn't."""
    kept: list[Mapping[str, Any]] = []
    peak = _peak(values, shape, device, stage)
    for changes in _changes(values, stage):
        if fits(peak, device):
            break
        lower = _peak(changed(values, [*kept, changes]), shape, device, stage)
        if lower.total < peak.total:
            kept, peak = [*kept, changes], lower
    for changes in kept[:-1]:
        fewer = [other for other in kept if other is not changes]
        without = _peak(changed(values, fewer), shape, device, stage)
        if fits(without, device):
            kept, peak = fewer, without
    return Remedy({key: value for changes in kept for key, value in changes.items()}, peak.total, fits(peak, device))


def changed(values: Values, all_changes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """`values` with the values of dotted keys changed, one after the other."""
    copied = copy.deepcopy(dict(values))
    for changes in all_changes:
        for key, value in changes.items():
            *path, last = key.split(".")
            inner = copied
            for name in path:
                inner = inner[name]
            inner[last] = value
    return copied


def _peak(values: Values, shape: Shape, device: Device, stage: str) -> Estimate:
    return max((e for e in estimates(values, shape, device) if e.stage == stage), key=lambda e: e.total)


def _changes(values: Values, stage: str) -> Iterator[dict[str, Any]]:
    """In the order in which they are tried: what changes no result, then what changes numbers, then what cuts."""
    name = stage.partition("@")[0]
    section = values[name]
    if name in ("sft", "grpo", "distill"):
        yield {"model.gradient_checkpointing": True}
    batch = section.get("batch_size", 1)
    while batch > 1:
        half = next(size for size in range(batch // 2, 0, -1) if batch % size == 0)
        accumulation = section.get("accumulation")
        more = {f"{name}.accumulation": accumulation * section["batch_size"] // half} if accumulation else {}
        yield {f"{name}.batch_size": half, **more}
        batch = half
    if name == "grpo":
        yield {"grpo.coordinated.batch_size": 1}
        yield {"grpo.rollouts": "transformers"}
        for groups in _halves(section["groups"], 1):
            yield {"grpo.groups": groups}
    if name != "export":
        yield {"model.load_in_4bit": True}
    if name == "sft":
        for tokens in _halves(values["mix"]["max_tokens"], 128):
            yield {"mix.max_tokens": tokens}
    if name == "distill":
        for tokens in _halves(values["model"]["max_length"], 512):
            yield {"model.max_length": tokens, **_within(values, tokens)}
    for key in ("sampling", "thinking"):
        if name != "export" and key in section:
            for tokens in _halves(section[key]["max_new_tokens"], 128):
                yield {f"{name}.{key}.max_new_tokens": tokens}


def _within(values: Values, longest: int) -> dict[str, int]:
    """What else has to be shorter for model.max_length to be `longest`: completions leave half of it to the prompt."""
    limits = {"mix.max_tokens": longest, "export.smoke_tokens": longest // 2}
    for section in ("grpo", "propose", "evaluate"):
        for key in values[section].keys() & {"sampling", "thinking"}:
            limits[f"{section}.{key}.max_new_tokens"] = longest // 2
    return {key: limit for key, limit in sorted(limits.items()) if _at(values, key) > limit}


def _at(values: Values, key: str) -> Any:
    for name in key.split("."):
        values = values[name]
    return values


def _halves(value: int, least: int) -> Iterator[int]:
    while value // 2 >= least:
        value //= 2
        yield value


# What the teacher is asked


@dataclass(frozen=True)
class Asked:
    """The questions about one problem."""

    improve: bool = False
    compare: int = 0
    """How often it is compared with its improvement."""
    vary: bool = False
    statement: str = ""


def asked_problems(values: Values) -> dict[str, list[Asked]]:
    """Stage that asks → its problems, as many as the params allow: every proposal has a statement, and every
    improvement is good enough to be compared."""
    teach, judge = values["teach"], values["judge"]
    proposals = [
        Asked(improve=True, compare=2 if teach["compare"] else 0, vary=number % teach["variations_every"] == 0)
        for number in range(values["propose"]["problems"])
    ]
    models = ("base", "sft", "grpo", "distill")
    return {"teach": proposals, **{f"judge@{model}": [Asked()] * judge["samples"] for model in models}}
