"""A model of 120,000 weights that has learned a few texts by heart: what it writes is known, and written for real."""

from pathlib import Path

from questions_gen.commands.contest import HINT
from questions_gen.prompts import problem_messages
from questions_gen.schema import Message
from tests.training.tiny_models import write_base

TOPIC, CONCEPTS = "number theory", ("divisibility",)
SHEEP = (
    "Let $n$ be a positive integer such that $n^2 + 3n$ is divisible by 7. How many such $n$ are less than 100?\n"
    r"Answer: \boxed{28}"
)
FACTOR = "Find the largest prime factor of $2^{12} - 1$.\n" r"Answer: \boxed{13}"
COIN = (
    "A fair coin is tossed 5 times. What is the probability that it shows heads exactly 3 times?\n"
    r"Answer: \boxed{\frac{5}{16}}"
)
PROBLEMS = (SHEEP, FACTOR, COIN)
CHAT = "Sure, here is a problem for you!"
HINT_TEXT = "Look at the remainders & the powers of $x_1_2$."
STEPS = 160


def learn(folder: Path) -> Path:
    """A base model that answers a prompt for a problem with one of PROBLEMS or CHAT, and one for a hint with a hint."""
    import torch
    from transformers import AutoModelForCausalLM

    from questions_gen.training.backend import load_tokenizer

    torch.set_num_threads(1)
    base = write_base(folder, "llama")
    tokenizer, model = load_tokenizer(base), AutoModelForCausalLM.from_pretrained(base)
    wanted = problem_messages(TOPIC, CONCEPTS)
    hint = (Message(role="user", content=f"{HINT['en']}{FACTOR.splitlines()[0]}"),)
    rows = [(wanted, text) for text in (*PROBLEMS, CHAT)] + [(hint, HINT_TEXT)]
    batch = _batch(tokenizer, rows)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min(1, (n + 1) / 20) * (1 - n / STEPS))
    for _ in range(STEPS):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.save_pretrained(base)
    return base


def _batch(tokenizer, rows):
    """Input ids, attention mask and labels (of the answers alone) of (messages, answer) pairs, as tensors."""
    import torch

    encoded = []
    for messages, answer in rows:
        turns = [message.model_dump() for message in messages]
        prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        ids = [tokenizer(part, add_special_tokens=False)["input_ids"] for part in (prompt, f"{answer}<|im_end|>")]
        encoded.append(ids)
    length = max(len(asked) + len(said) for asked, said in encoded)
    input_ids, labels = torch.zeros(len(rows), length, dtype=torch.long), torch.full((len(rows), length), -100)
    mask = torch.zeros(len(rows), length, dtype=torch.long)
    for place, (asked, said) in enumerate(encoded):
        end = len(asked) + len(said)
        input_ids[place, :end] = torch.tensor(asked + said)
        labels[place, len(asked) : end] = torch.tensor(said)
        mask[place, :end] = 1
    return {"input_ids": input_ids, "labels": labels, "attention_mask": mask}
