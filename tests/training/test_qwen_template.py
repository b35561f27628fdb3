"""Qwen3's chat template and its rebuilt tokenizer: thinking on and off, no problem lost, masks of the answer alone."""

from pathlib import Path
from typing import Any

import pytest

from questions_gen import mixing, prompts
from questions_gen.errors import UserError
from questions_gen.params import load_params
from questions_gen.schema import Completion, Conversation, Preference, Problem, Prompt
from questions_gen.training.backend import LoraParams, ModelParams, load_model
from questions_gen.training.coordinated import conversations
from questions_gen.training.dpo import preference_trainer
from questions_gen.training.generate import SamplingParams, template_arguments
from questions_gen.training.sft import SupervisedParams, supervised_trainer, training_order

from .. import qwen
from ..conftest import ROOT
from ..qwen import write_qwen

qwen_tokenizer = qwen.qwen_tokenizer  # the fixture

STATEMENT = r"Find all primes $p$ such that $p^2 + 2$ is prime."
TARGET = STATEMENT + "\n" + r"Answer: \boxed{3}"
PROBLEM = Problem(
    id="p",
    statement=STATEMENT,
    answer="3",
    solution=f"<think>\nIf {STATEMENT} then p = 3.\n</think>\n\nModulo 3, so \\boxed{{3}}.",
    source="s",
    licence="MIT",
)
DIALOGUE = {
    "conversations": [
        {"from": "human", "value": "Hi"},
        {"from": "gpt", "value": "Hello."},
        {"from": "human", "value": "And 1 + 1?"},
        {"from": "gpt", "value": "$2$, of course."},
    ]
}


def rows() -> dict[str, Conversation]:
    """A training row of each task, made as the pipeline makes it."""
    made = {
        "problem": mixing.problem_conversation(PROBLEM, "problem"),
        "solve": mixing.problem_conversation(PROBLEM, "solve"),
        "chat": Conversation(id="c", task="chat", messages=mixing.read_dialogue(DIALOGUE), source_id="c"),
    }
    asked = {
        "variation": prompts.variation_messages("parameter_change", "What is $1 + 1$?"),
        "innovation": prompts.innovation_messages("What is $1 + 1$?", ["What is $2 + 2$?"]),
        "improve": prompts.improve_messages("What is $1 + 1$?", "Too easy."),
    }
    for task, messages in asked.items():
        prompt = Prompt(id=task, task="problem" if task == "improve" else task, messages=messages)
        written = Completion(
            id=task, prompt_id=task, text=f"<think>\nHm.\n</think>\n\n{TARGET}", thinking="Hm.", statement=STATEMENT,
            answer="3", finish_reason="stop", tokens=1, seed=1,
        )  # fmt: skip
        row = {"completion": written.model_dump(), "verdict": {"passed": True}}
        (made[task],) = conversations([row], {task: prompt})
    return made


ROWS = rows()


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    base = write_qwen(tmp_path_factory.mktemp("qwen") / "base")
    found = load_params(
        {"sft": SupervisedParams, "model": ModelParams, "lora": LoraParams}, ROOT / "conf/smollm2-135m.yaml"
    )
    return {**found, "base": base, "output": base.parent / "output"}


def learned(labels: list[int], inputs: list[int]) -> tuple[list[int], list[int]]:
    """The tokens before those that the loss counts, and those; the second are the end of the row."""
    (start,) = [place for place in range(1, len(labels)) if labels[place - 1] == -100 and labels[place] != -100]
    assert labels[start:] == inputs[start:]
    return inputs[:start], inputs[start:]


def test_the_tokenizer_is_qwens(qwen_tokenizer: Any) -> None:
    assert len(qwen_tokenizer) == 151669
    assert qwen_tokenizer.convert_tokens_to_ids(["<|im_end|>", "<think>", "</think>"]) == [151645, 151667, 151668]
    # as the tokenizer of Qwen/Qwen3-14B writes them: digits one by one, spaces with the word after
    assert qwen_tokenizer("Hello world 12").input_ids == [9707, 1879, 220, 16, 17]
    text = "Löse $x^2 = 4$\n\n  in ℤ."
    assert qwen_tokenizer.decode(qwen_tokenizer(text).input_ids) == text


@pytest.mark.parametrize(
    ("thinking", "end"),
    [
        (True, "<|im_start|>assistant\n"),
        (False, "<|im_start|>assistant\n<think>\n\n</think>\n\n"),
    ],
)
def test_a_prompt_asks_for_thinking_or_against_it(qwen_tokenizer: Any, thinking: bool, end: str) -> None:
    sampling = SamplingParams(temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=1, thinking=thinking)
    messages = [{"role": "user", "content": "Hi"}]
    arguments = template_arguments(qwen_tokenizer, sampling)
    rendered = qwen_tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **arguments)
    assert rendered == f"<|im_start|>user\nHi<|im_end|>\n{end}"


def test_a_template_without_thinking_refuses_it(tiny_base: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    wanted = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_new_tokens": 1}
    assert template_arguments(tokenizer, SamplingParams(**wanted, thinking=False)) == {}
    with pytest.raises(UserError, match=r"sampling\.thinking: true"):
        template_arguments(tokenizer, SamplingParams(**wanted, thinking=True))


def one_pass(setting: dict[str, Any], rows: int) -> SupervisedParams:
    """A training that takes each of `rows` rows once."""
    return setting["sft"].model_copy(update={"steps": rows, "batch_size": 1, "accumulation": 1})


def test_the_loss_is_on_the_answer_of_every_task_and_no_problem_is_lost(
    qwen_tokenizer: Any, setting: dict[str, Any]
) -> None:
    model = load_model(setting["model"], setting["base"], lora=setting["lora"])
    once = one_pass(setting, len(ROWS))
    trainer = supervised_trainer(
        once, setting["model"], 1, model, qwen_tokenizer, list(ROWS.values()), output=setting["output"]
    )
    for (task, conversation), row in zip(
        training_order(once, list(ROWS.items()), 1), trainer.train_dataset, strict=True
    ):
        before, answer = learned(row["labels"], row["input_ids"])
        target = conversation.messages[-1].content
        assert qwen_tokenizer.decode(answer) == f"{target}<|im_end|>\n", task
        asked = [message.model_dump() for message in conversation.messages[:-1]]
        prompt = qwen_tokenizer.apply_chat_template(
            asked, tokenize=False, add_generation_prompt=True, enable_thinking="<think>" in target
        )
        assert qwen_tokenizer.decode(before) == prompt, task
        if task in ("problem", "variation", "innovation", "improve"):
            assert target == TARGET, task
            assert STATEMENT in qwen_tokenizer.decode(answer)
        assert ("<think>" in target) == (task == "solve"), task


def test_both_answers_of_a_pair_follow_the_same_prompt(qwen_tokenizer: Any, setting: dict[str, Any]) -> None:
    asked = prompts.problem_messages("algebra")
    pairs = [
        Preference(id=name, messages=asked, chosen=TARGET, rejected=rejected, chosen_total=1.0, rejected_total=0.0)
        for name, rejected in (("plain", "What is $1$?"), ("thought", "<think>\nHm.\n</think>\n\nWhat is $1$?"))
    ]
    model = load_model(setting["model"], setting["base"], lora=setting["lora"])
    once = one_pass(setting, len(pairs))
    trainer = preference_trainer(once, 0.1, setting["model"], 1, model, qwen_tokenizer, pairs, output=setting["output"])
    empty = "<think>\n\n</think>\n\n"
    expected = [("plain", empty, "", "What is $1$?"), ("thought", "", empty, pairs[1].rejected)]
    for (name, opened, filled, rejected), row in zip(
        training_order(once, expected, 1), trainer.train_dataset, strict=True
    ):
        decoded = {key: qwen_tokenizer.decode(row[f"{key}_ids"]) for key in ("prompt", "chosen", "rejected")}
        prompt = f"<|im_start|>user\n{asked[0].content}<|im_end|>\n<|im_start|>assistant\n{opened}"
        assert decoded == {
            "prompt": prompt,
            "chosen": f"{filled}{TARGET}<|im_end|>\n",
            "rejected": f"{rejected}<|im_end|>\n",
        }, name


def test_a_completion_of_grpo_is_read_as_it_was_written(qwen_tokenizer: Any) -> None:
    """What a thinking model writes comes back as its thinking, its statement and its answer."""
    from questions_gen.answers import parse_completion

    text = f"<think>\nAbout primes.\n</think>\n\n{TARGET}<|im_end|>"
    tokens = qwen_tokenizer(text).input_ids
    parsed = parse_completion(
        id="i", prompt_id="p", text=qwen_tokenizer.decode(tokens, skip_special_tokens=True), finish_reason="stop",
        tokens=len(tokens), seed=1,
    )  # fmt: skip
    assert (parsed.thinking, parsed.statement, parsed.answer) == ("About primes.", STATEMENT, "3")
