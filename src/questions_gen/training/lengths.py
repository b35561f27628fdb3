"""How long conversations are once the base model's chat template has written them out."""

from collections.abc import Sequence
from pathlib import Path

from questions_gen.schema import Conversation
from questions_gen.training.backend import load_tokenizer

BATCH = 512
"""Conversations tokenized at a time: enough for all cores, little memory."""


def token_lengths(base: Path, conversations: Sequence[Conversation]) -> list[int]:
    """Tokens of each conversation, template and answer included, in the order given."""
    tokenizer = load_tokenizer(base)
    lengths: list[int] = []
    for start in range(0, len(conversations), BATCH):
        batch = conversations[start : start + BATCH]
        turns = [[message.model_dump() for message in conversation.messages] for conversation in batch]
        texts = tokenizer.apply_chat_template(turns, tokenize=False)
        encoded = tokenizer(texts, add_special_tokens=False, return_attention_mask=False)
        lengths += [len(tokens) for tokens in encoded["input_ids"]]
    return lengths
