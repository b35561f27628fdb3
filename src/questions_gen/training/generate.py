"""Sampling completions from a model, in batches, with a seed that decides every token on the CPU."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field

from questions_gen.answers import OPEN, parse_completion
from questions_gen.params import Count, Positive, Section
from questions_gen.schema import Completion, FinishReason, Message, Prompt


class SamplingParams(Section):
    temperature: Positive
    top_p: Annotated[float, Field(gt=0, le=1)]
    top_k: Annotated[int, Field(ge=0)]
    """Keep the k likeliest tokens; 0 keeps all."""
    max_new_tokens: Count


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    sampling: SamplingParams,
    *,
    batch_size: int,
    seed: int,
    thinking: bool = False,
) -> list[Completion]:
    """One completion a prompt, in the order of `prompts`; batch i is drawn with seed + i.

    A prompt that is given several times is sampled as often: <its id>/0, <its id>/1 …, or with thinking
    <its id>/thinking/0 … `thinking` is said to the chat template, and means nothing to one that knows no thinking.
    """
    from tqdm import tqdm

    completions: list[Completion] = []
    sampled: Counter[str] = Counter()
    batches = [prompts[start : start + batch_size] for start in range(0, len(prompts), batch_size)]
    for number, batch in enumerate(tqdm(batches, desc="sampling", unit="batch")):
        texts = [render(tokenizer, prompt, thinking) for prompt in batch]
        for prompt, text, tokens, reason in _generate_batch(model, tokenizer, batch, texts, sampling, seed + number):
            name = f"{prompt.id}/{'thinking/' if thinking else ''}{sampled[prompt.id]}"
            sampled[prompt.id] += 1
            completions.append(
                parse_completion(
                    id=name, prompt_id=prompt.id, text=text, finish_reason=reason, tokens=tokens, seed=seed + number
                )
            )
    return completions


def supports_thinking(tokenizer: Any) -> bool:
    """Whether the chat template knows of thinking: it then writes a prompt differently with and without."""
    prompt = Prompt(id="", task="problem", messages=(Message(role="user", content="?"),))
    return render(tokenizer, prompt, True) != render(tokenizer, prompt, False)


def count_tokens(tokenizer: Any, prompt: Prompt) -> int:
    return len(tokenizer(render(tokenizer, prompt, False), add_special_tokens=False)["input_ids"])


def end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Ids of the tokens that end a completion."""
    configured = model.generation_config.eos_token_id
    listed = configured if isinstance(configured, list) else [configured]
    return {token for token in [*listed, tokenizer.eos_token_id] if token is not None}


def finish_reason(tokens: Sequence[int], ends: set[int]) -> FinishReason:
    return "stop" if len(tokens) and tokens[-1] in ends else "length"


def _generate_batch(
    model: Any, tokenizer: Any, prompts: Sequence[Prompt], texts: Sequence[str], sampling: SamplingParams, seed: int
) -> Iterator[tuple[Prompt, str, int, FinishReason]]:
    """Each prompt, written as `texts`, with its completion's text, number of tokens and reason to end."""
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
        )
    written = output[:, batch["input_ids"].shape[1] :].tolist()
    for prompt, asked, row in zip(prompts, texts, written, strict=True):
        tokens = _until_end(row, ends)
        opened = OPEN if asked.rstrip().endswith(OPEN) else ""  # some templates open the thinking themselves
        text = opened + tokenizer.decode(tokens, skip_special_tokens=True)
        yield prompt, text, len(tokens), finish_reason(tokens, ends)


def render(tokenizer: Any, prompt: Prompt, thinking: bool) -> str:
    """The prompt as the model reads it, up to where its answer begins."""
    messages = [message.model_dump() for message in prompt.messages]
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=thinking)


def _until_end(tokens: list[int], ends: set[int]) -> list[int]:
    for position, token in enumerate(tokens):
        if token in ends:
            return tokens[: position + 1]
    return tokens
