"""Whether an exported file says what the adapter on its base model says: checked before it counts.

The reference (adapter on base, in transformers) continues a few fixed prompts greedily. Every export then reads
the same words and tells, at each position, its likeliest next tokens. All positions count, also those after a
difference, which a comparison of two free texts would lose.
"""

import json
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from questions_gen.errors import UserError
from questions_gen.prompts import problem_messages
from questions_gen.schema import Message
from questions_gen.training.backend import ModelParams

PROMPTS = (
    problem_messages("algebra", ("polynomials", "integer roots")),
    problem_messages("number theory", ("divisibility",)),
    problem_messages("geometry"),
)
TOKENS = 24
"""Length of the reference's continuation of each prompt."""

TOP = 20
"""Tokens whose log-probabilities an export tells at each position."""


class Limit(NamedTuple):
    difference: float
    """Largest difference of a log-probability, nats. Two models within d of each other choose alike wherever the
    lead is above 2d."""
    agreement: float
    """Least share of positions with the same likeliest token, or one in a tie with it."""
    tie: float
    """Nats. A token that the reference finds as likely as its own choice, within this, is no other choice: which of
    the two comes first is up to the rounding that the format brings."""


LIMITS = {
    "adapter": Limit(0.01, 1.0, 0.02),
    "safetensors": Limit(0.05, 1.0, 0.02),
    "safetensors-nf4": Limit(12.0, 0.5, 0.2),
    "gguf-f16": Limit(0.05, 1.0, 0.02),
    "gguf-q8_0": Limit(1.0, 0.95, 0.2),
    "gguf-q4_k_m": Limit(4.0, 0.7, 0.2),
}
"""What SmolLM2-135M with a trained adapter showed in float32, as largest difference and positions of 72 with the very
same token: 0.0 and 72 (adapter), 0.007 and 71 (safetensors), 0.009 and 71 (f16), 0.16 and 69 (q8_0), 0.91 and 67
(q4_k_m), 5.9 and 53 (nf4). The token that both 16-bit formats chose otherwise was behind by 0.0009 nats, those of q8_0
by 0.17 at most. A random adapter showed up to 0.43 nats for q8_0."""

BFLOAT16 = Limit(0.5, -0.1, 0.125)
"""Added where the reference computes in bfloat16: its own rounding is as large. 0.125 is what two of its numbers from
16 to 32 are apart, where the logits of likely tokens lie."""

Likeliest = dict[int, float]
"""Token id → log-probability, of the TOP likeliest next tokens at one position."""


@dataclass(frozen=True)
class Continuation:
    """What the reference said after one prompt."""

    prompt: list[int]
    tokens: list[int]
    logprobs: np.ndarray
    """float32, position × vocabulary."""


def prompt_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    return tokenizer(rendered(tokenizer, messages), add_special_tokens=False)["input_ids"]


def rendered(tokenizer: Any, messages: Sequence[Message]) -> str:
    turns = [message.model_dump() for message in messages]
    return tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)


def continue_greedily(model: Any, prompt: list[int], count: int = TOKENS) -> Continuation:
    """The model's `count` likeliest tokens after `prompt`, one after another; an end token doesn't end it."""
    import torch

    tokens, rows, cache, unread = [], [], None, prompt
    with torch.inference_mode():
        for _ in range(count):
            step = torch.tensor([unread], device=model.device)
            output = model(input_ids=step, past_key_values=cache, use_cache=True)
            rows.append(output.logits[0, -1].float().log_softmax(-1).cpu().numpy())
            tokens.append(int(rows[-1].argmax()))
            cache, unread = output.past_key_values, tokens[-1:]
    return Continuation(prompt, tokens, np.stack(rows))


def likeliest_of_model(model: Any, references: Sequence[Continuation]) -> list[list[Likeliest]]:
    """What a transformers model says along the references."""
    import torch

    told = []
    for reference in references:
        ids = torch.tensor([reference.prompt + reference.tokens[:-1]], device=model.device)
        with torch.inference_mode():
            logits = model(input_ids=ids).logits[0, len(reference.prompt) - 1 :]
        top = logits.float().log_softmax(-1).topk(TOP)
        rows = zip(top.indices.tolist(), top.values.tolist(), strict=True)
        told.append([dict(zip(tokens, logprobs, strict=True)) for tokens, logprobs in rows])
    return told


def likeliest_of_server(base_url: str, references: Sequence[Continuation]) -> list[list[Likeliest]]:
    """What the model behind a llama.cpp server says along the references."""
    return [
        [_likeliest(base_url, reference, done) for done in range(len(reference.tokens))] for reference in references
    ]


def _likeliest(base_url: str, reference: Continuation, done: int) -> Likeliest:
    """After the prompt and `done` tokens of its continuation.

    What is sampled is thrown away, but it has to be whole text: the server tells no probabilities of a token that
    ends inside a character. So a token of the prompt is forced; the probabilities told are those before that.
    """
    request = {
        "prompt": reference.prompt + reference.tokens[:done],
        "n_predict": 1,
        "n_probs": TOP,
        "logit_bias": [[reference.prompt[0], 1e6]],
        "cache_prompt": True,
    }
    answer = post(base_url.removesuffix("/v1") + "/completion", request)
    return {row["id"]: row["logprob"] for row in answer["completion_probabilities"][0]["top_logprobs"]}


def compare(references: Sequence[Continuation], told: Sequence[Sequence[Likeliest]], tie: float) -> dict[str, Any]:
    """Agreement of an export with the reference.

    argmax_agreement: share of positions with the same likeliest token · ties: positions with another one that the
    reference finds as likely, within `tie` nats · greedy_matches: prompts with the same token everywhere, which is to
    say that both write the same text · largest_logprob_difference: nats, over both sides' likeliest tokens at all
    positions. A token that isn't among the export's TOP counts as its last one, the most that it can be.
    """
    same, ties, differences = [], [], []
    for reference, positions in zip(references, told, strict=True):
        choices = []
        for token, logprobs, likeliest in zip(reference.tokens, reference.logprobs, positions, strict=True):
            choice = max(likeliest, key=lambda candidate: (likeliest[candidate], -candidate))
            least = min(likeliest.values())
            differences += [abs(float(logprobs[one]) - likeliest.get(one, least)) for one in (token, choice)]
            choices.append(choice == token)
            ties.append(choice != token and float(logprobs[token] - logprobs[choice]) <= tie)
        same.append(choices)
    return {
        "argmax_agreement": round(sum(map(sum, same)) / len(ties), 4),
        "ties": sum(ties),
        "greedy_matches": sum(map(all, same)),
        "largest_logprob_difference": round(max(differences), 4),
        "prompts": len(same),
        "positions": len(ties),
    }


def limit_of(format_name: str, params: ModelParams) -> Limit:
    limit = LIMITS[format_name]
    if params.dtype == "bfloat16":
        return Limit(*(value + added for value, added in zip(limit, BFLOAT16, strict=True)))
    return limit


def judged(format_name: str, numbers: dict[str, Any], limit: Limit) -> dict[str, Any]:
    """`numbers` of `compare` with the limits that they kept to. Raises UserError if they don't."""
    largest = numbers["largest_logprob_difference"]
    agreement = round(numbers["argmax_agreement"] + numbers["ties"] / numbers["positions"], 3)
    if not (largest <= limit.difference and agreement >= limit.agreement):
        raise UserError(
            f"export.formats: {format_name} isn't the model that was trained: a log-probability differs by {largest} "
            f"(at most {limit.difference}), {agreement:.1%} of the choices agree (at least {limit.agreement:.0%}). "
            f"Nothing was exported; take {format_name} out of export.formats to export the rest, and report it"
        )
    return {**numbers, "difference_limit": limit.difference, "agreement_limit": round(limit.agreement, 2)}


def check_tokenizer(base_url: str, tokenizer: Any) -> bool:
    """Whether the GGUF renders the prompts as the tokenizer does.

    The chat template runs in another engine there, and a blank that differs is no reason to stop; the ids of the
    same text have to be the same. Raises UserError if they aren't.
    """
    root = base_url.removesuffix("/v1")
    alike = True
    for messages in PROMPTS:
        text = rendered(tokenizer, messages)
        ids = post(f"{root}/tokenize", {"content": text, "parse_special": True, "add_special": False})["tokens"]
        if ids != prompt_ids(tokenizer, messages):
            raise UserError("export.formats: llama.cpp cuts text into other tokens than the base model's tokenizer")
        turns = [message.model_dump() for message in messages]
        alike &= post(f"{root}/apply-template", {"messages": turns})["prompt"] == text
    return alike


def write_one_problem(base_url: str, tokens: int) -> dict[str, Any]:
    """The smoke test: one problem of at most `tokens` tokens, greedily. Raises UserError for an empty answer."""
    turns = [message.model_dump() for message in PROMPTS[0]]
    request = {"messages": turns, "max_tokens": tokens, "temperature": 0}
    choice = post(f"{base_url}/chat/completions", request)["choices"][0]
    message = choice["message"]
    thinking, text = message.get("reasoning_content") or None, message.get("content") or ""
    if not (text + (thinking or "")).strip():
        raise UserError("export: the exported GGUF was asked for a problem and wrote nothing; train the model longer")
    return {"text": text, "thinking": thinking, "finish_reason": choice["finish_reason"]}


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask a server on loopback, past any proxy that the environment names."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    with opener.open(request) as response:
        return json.loads(response.read())
