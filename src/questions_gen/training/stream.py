"""Sampling one completion from a model, its text handed over as it comes."""

from collections.abc import Callable, Sequence
from typing import Any

from questions_gen.answers import OPEN
from questions_gen.errors import UserError
from questions_gen.schema import FinishReason, Message
from questions_gen.training.generate import SamplingParams, end_tokens, finish_reason, template_arguments


def stream(
    model: Any,
    tokenizer: Any,
    messages: Sequence[Message],
    sampling: SamplingParams,
    *,
    seed: int,
    on_text: Callable[[str], None],
) -> tuple[str, FinishReason, int]:
    """(text, why it ended, tokens).

    Raises UserError where prompt and completion are longer than what the model can read, and as `template_arguments`.
    """
    import torch
    from transformers import TextStreamer

    class Handover(TextStreamer):
        def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
            on_text(text)

    turns = [message.model_dump() for message in messages]
    arguments = template_arguments(tokenizer, sampling)
    prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, **arguments)
    batch = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
    start = batch["input_ids"].shape[1]
    longest = getattr(model.config, "max_position_embeddings", None)
    if longest is not None and start + sampling.max_new_tokens > longest:
        raise UserError(f"the prompt has {start} tokens, and the model reads {longest} with its answer; shorten it")
    opened = OPEN if prompt.rstrip().endswith(OPEN) else ""  # some templates open the thinking themselves
    if opened:
        on_text(opened)
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
            streamer=Handover(tokenizer, skip_prompt=True, skip_special_tokens=True),
        )
    tokens = output[0, start:].tolist()
    return opened + tokenizer.decode(tokens, skip_special_tokens=True), finish_reason(tokens, ends), len(tokens)
