"""How long conversations are once the base model's chat template has written them out."""

from collections.abc import Sequence
from pathlib import Path

from questions_gen.schema import Conversation
from questions_gen.training.backend import load_tokenizer

BATCH = 512
"""Conversations tokenized at a time: enough for all cores, little memory."""


class TokenCounter:
    """Tokens of conversations, template and answer included."""

    def __init__(self, base: Path) -> None:
        self._tokenizer = load_tokenizer(base)

    def __call__(self, turns: Sequence[list[dict[str, str]]]) -> list[int]:
        """Of each conversation, a list of {role, content}, in the order given."""
        lengths: list[int] = []
        for start in range(0, len(turns), BATCH):
            texts = self._tokenizer.apply_chat_template(turns[start : start + BATCH], tokenize=False)
            encoded = self._tokenizer(texts, add_special_tokens=False, return_attention_mask=False)
            lengths += [len(tokens) for tokens in encoded["input_ids"]]
        return lengths


def token_lengths(base: Path, conversations: Sequence[Conversation]) -> list[int]:
    """Tokens of each conversation, in the order given."""
    count = TokenCounter(base)
    return count([[message.model_dump() for message in conversation.messages] for conversation in conversations])
