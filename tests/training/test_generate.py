"""Sampling: a seed decides every token, batches don't disturb one another, endings are told apart."""

from pathlib import Path

import pytest

from questions_gen.params import load_params
from questions_gen.schema import Message, Prompt
from questions_gen.training.backend import ModelParams, load_model, load_tokenizer
from questions_gen.training.generate import SamplingParams, finish_reason, generate

SAMPLING = SamplingParams(temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=12, thinking=False)


def prompts(count: int) -> list[Prompt]:
    return [
        Prompt(id=f"p{n}", task="problem", messages=(Message(role="user", content="Write a problem. " * (n + 1)),))
        for n in range(count)
    ]


@pytest.fixture
def model(workspace: Path):
    return load_model(load_params({"model": ModelParams})["model"], Path("models/base"))


def sample(model, count: int, seed: int, batch_size: int = 2):
    tokenizer = load_tokenizer(Path("models/base"))
    return generate(model, tokenizer, prompts(count), SAMPLING, batch_size=batch_size, seed=seed)


def test_a_seed_decides_every_token(model) -> None:
    first, again, other = sample(model, 5, 1), sample(model, 5, 1), sample(model, 5, 2)
    assert first == again
    assert [c.text for c in first] != [c.text for c in other]
    assert [c.prompt_id for c in first] == ["p0", "p1", "p2", "p3", "p4"]


def test_a_prompt_may_be_sampled_several_times(model) -> None:
    twice = generate(model, load_tokenizer(Path("models/base")), prompts(2) * 2, SAMPLING, batch_size=3, seed=1)
    assert [c.id for c in twice] == ["p0/0", "p1/0", "p0/1", "p1/1"]
    assert twice[0].text != twice[2].text


def test_batches_have_seeds_of_their_own(model) -> None:
    assert [completion.seed for completion in sample(model, 5, 10)] == [10, 10, 11, 11, 12]


def test_padding_changes_nothing_that_is_likely(model) -> None:
    """The likeliest token after a short prompt is the same beside a longer one."""
    greedy = SamplingParams(temperature=1.0, top_p=1.0, top_k=1, max_new_tokens=4, thinking=False)
    tokenizer = load_tokenizer(Path("models/base"))
    together = generate(model, tokenizer, prompts(3), greedy, batch_size=3, seed=0)
    alone = [generate(model, tokenizer, [prompt], greedy, batch_size=1, seed=0)[0] for prompt in prompts(3)]
    assert [c.text for c in together] == [c.text for c in alone]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [([5, 6, 2], "stop"), ([5, 6, 7], "length"), ([], "length"), ([2], "stop")],
    ids=["ended", "cut off", "nothing", "ended at once"],
)
def test_finish_reason(tokens: list[int], expected: str) -> None:
    assert finish_reason(tokens, {2}) == expected
