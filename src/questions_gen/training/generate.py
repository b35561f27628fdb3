"""Sampling completions from a model, in batches, with a seed that decides every token on the CPU."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from questions_gen.answers import OPEN, parse_completion
from questions_gen.errors import UserError
from questions_gen.params import Count, Positive, Section
from questions_gen.schema import Completion, FinishReason, Message, Prompt


class SamplingParams(Section):
    temperature: Positive
    top_p: Annotated[float, Field(gt=0, le=1)]
    top_k: Annotated[int, Field(ge=0)]
    """Keep the k likeliest tokens; 0 keeps all."""
    max_new_tokens: Count
    """Thinking included."""
    thinking: bool
    """Whether the model thinks before it writes, where its chat template asks (Qwen3's `enable_thinking`)."""


def supports_thinking(tokenizer: Any) -> bool:
    """Whether the chat template can be told to think or not to."""
    return "enable_thinking" in (tokenizer.chat_template or "")


def template_arguments(tokenizer: Any, sampling: SamplingParams) -> dict[str, bool]:
    """What the chat template is told. Raises UserError for thinking that it knows nothing of."""
    if supports_thinking(tokenizer):
        return {"enable_thinking": sampling.thinking}
    if sampling.thinking:
        raise UserError("sampling.thinking: true, but the chat template of fetch.model can't be told; set it to false")
    return {}


def generate(
    model: Any, tokenizer: Any, prompts: Sequence[Prompt], sampling: SamplingParams, *, batch_size: int, seed: int
) -> list[Completion]:
    """One completion a prompt, in the order of `prompts`; batch i is drawn with seed + i.

    A prompt that is given several times is sampled as often: <its id>/0, <its id>/1 …, and with thinking
    <its id>/thinking/0 …
    """
    from tqdm import tqdm

    completions: list[Completion] = []
    sampled: Counter[str] = Counter()
    batches = [prompts[start : start + batch_size] for start in range(0, len(prompts), batch_size)]
    for number, batch in enumerate(tqdm(batches, desc="sampling", unit="batch")):
        texts = [render(tokenizer, prompt.messages, sampling) for prompt in batch]
        written = sample(model, tokenizer, texts, sampling, seed + number)
        for prompt, (text, reason, tokens) in zip(batch, written, strict=True):
            name = f"{prompt.id}/{'thinking/' if sampling.thinking else ''}{sampled[prompt.id]}"
            sampled[prompt.id] += 1
            completions.append(
                parse_completion(
                    id=name, prompt_id=prompt.id, text=text, finish_reason=reason, tokens=tokens, seed=seed + number
                )
            )
    return completions


def count_tokens(tokenizer: Any, messages: Sequence[Message], sampling: SamplingParams) -> int:
    """Of the prompt as the model reads it."""
    return len(tokenizer(render(tokenizer, messages, sampling), add_special_tokens=False)["input_ids"])


def end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Ids of the tokens that end a completion."""
    configured = model.generation_config.eos_token_id
    listed = configured if isinstance(configured, list) else [configured]
    return {token for token in [*listed, tokenizer.eos_token_id] if token is not None}


def finish_reason(tokens: Sequence[int], ends: set[int]) -> FinishReason:
    return "stop" if len(tokens) and tokens[-1] in ends else "length"


def sample(
    model: Any, tokenizer: Any, texts: Sequence[str], sampling: SamplingParams, seed: int, *, streamer: Any = None
) -> list[tuple[str, FinishReason, int]]:
    """For each rendered prompt of a batch: its completion's text, why it ended, and its tokens.

    `streamer` is transformers', for a batch of one.
    """
    import torch

    batch = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
    ends = end_tokens(model, tokenizer)
    torch.manual_seed(seed)
    with torch.inference_mode():
        output = model.generate(
            **batch.to(model.device),
            do_sample=True,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_new_tokens=sampling.max_new_tokens,
            eos_token_id=sorted(ends),
            pad_token_id=tokenizer.pad_token_id,
            streamer=streamer,
        )
    rows = [_until_end(row, ends) for row in output[:, batch["input_ids"].shape[1] :].tolist()]
    return [
        (opened(text) + tokenizer.decode(tokens, skip_special_tokens=True), finish_reason(tokens, ends), len(tokens))
        for text, tokens in zip(texts, rows, strict=True)
    ]


def render(tokenizer: Any, messages: Sequence[Message], sampling: SamplingParams) -> str:
    """The prompt as the model reads it, up to where its answer begins."""
    turns = [message.model_dump() for message in messages]
    arguments = template_arguments(tokenizer, sampling)
    return tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, **arguments)


def opened(text: str) -> str:
    """What a rendered prompt has begun of the answer: some templates open the thinking themselves."""
    return OPEN if text.rstrip().endswith(OPEN) else ""


def _until_end(tokens: list[int], ends: set[int]) -> list[int]:
    for position, token in enumerate(tokens):
        if token in ends:
            return tokens[: position + 1]
    return tokens
