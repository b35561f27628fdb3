"""Ollama's Modelfile: the template that the tokenizer renders, its stop tokens, the run's sampling."""

import pytest

from questions_gen.errors import UserError
from questions_gen.training.modelfile import TALK, THINKING, modelfile, ollama_template
from tests.qwen import SMALL, build_tokenizer
from tests.training.tiny_models import tiny_tokenizer

SAMPLING = {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "max_new_tokens": 512}
SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}"
    "{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""SmolLM2-Instruct's own chat template."""


def test_a_model_of_chatml():
    tokenizer = tiny_tokenizer("llama")
    tokenizer.chat_template = SMOLLM2
    assert modelfile("model-q8_0.gguf", tokenizer, SAMPLING, 2048) == (
        "FROM ./model-q8_0.gguf\n"
        'TEMPLATE """{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}'
        '<|im_start|>assistant\n"""\n'
        'SYSTEM """You are a helpful AI assistant named SmolLM, trained by Hugging Face"""\n'
        "PARAMETER num_ctx 2048\nPARAMETER num_predict 512\n"
        "PARAMETER temperature 0.6\nPARAMETER top_p 0.95\nPARAMETER top_k 20\n"
        'PARAMETER stop "<|im_start|>"\nPARAMETER stop "<|im_end|>"\n'
    )


def test_qwen3_thinks():
    tokenizer = build_tokenizer(SMALL)
    text = modelfile("model-f16.gguf", tokenizer, SAMPLING, 2048)
    assert ollama_template(tokenizer) == (THINKING, None)
    assert "SYSTEM" not in text
    start = "<|im_start|>assistant\n"
    for thinking, added in ((True, ""), (False, "<think>\n\n</think>\n\n")):
        rendered = tokenizer.apply_chat_template(
            list(TALK), tokenize=False, add_generation_prompt=True, enable_thinking=thinking
        )
        assert rendered.endswith(start + added)
    assert f"{start}{{{{ if and .IsThinkSet (not .Think) }}}}<think>\n\n</think>\n\n{{{{ end }}}}" in text


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}[INST]{{ m['content'] }}[/INST]{% endfor %}",
        "Be brief.\n" + SMOLLM2,
        SMOLLM2.replace("assistant\n'", "assistant'"),
    ],
)
def test_another_template_is_refused(template):
    tokenizer = tiny_tokenizer("llama")
    tokenizer.chat_template = template
    with pytest.raises(UserError, match="export.formats: no Ollama template"):
        modelfile("model.gguf", tokenizer, SAMPLING, 2048)
