"""Sampling one completion from a model, its text handed over as it comes."""

from collections.abc import Callable, Sequence
from typing import Any

from questions_gen.errors import UserError
from questions_gen.schema import FinishReason, Message
from questions_gen.training.generate import SamplingParams, count_tokens, opened, render, sample


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
    from transformers import TextStreamer

    class Handover(TextStreamer):
        def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
            on_text(text)

    prompt = render(tokenizer, messages, sampling)
    length = count_tokens(tokenizer, messages, sampling)
    longest = getattr(model.config, "max_position_embeddings", None)
    if longest is not None and length + sampling.max_new_tokens > longest:
        raise UserError(f"the prompt has {length} tokens, and the model reads {longest} with its answer; shorten it")
    if begun := opened(prompt):
        on_text(begun)
    streamer = Handover(tokenizer, skip_prompt=True, skip_special_tokens=True)
    (completion,) = sample(model, tokenizer, [prompt], sampling, seed, streamer=streamer)
    return completion
