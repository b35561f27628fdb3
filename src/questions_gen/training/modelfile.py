"""Ollama's Modelfile beside a GGUF file: the chat template in Ollama's own language (Go's), stop tokens, sampling.

Ollama doesn't read the template that a GGUF file holds as Jinja. Two are known here, ChatML and Qwen3's with its
thinking; a model whose tokenizer renders something else is refused, and not prompted in a way it never learned.
"""

from collections.abc import Mapping
from typing import Any

from questions_gen.errors import UserError

MESSAGES = """{{ range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""

THINKING = """{{ $asked := -1 }}
{{- range $i, $message := .Messages }}{{ if eq $message.Role "user" }}{{ $asked = $i }}{{ end }}{{ end }}
{{- range $i, $message := .Messages }}<|im_start|>{{ .Role }}
{{ if and .Thinking (gt $i $asked) }}<think>
{{ .Thinking }}
</think>

{{ end }}{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ if and .IsThinkSet (not .Think) }}<think>

</think>

{{ end }}"""
"""Thoughts are kept after the last question alone, and `think: false` gives empty ones, as Qwen3's own template does.
Unlike the template of Ollama's library this one puts no /think into the question: the model wasn't trained with it."""

TALK = (
    {"role": "user", "content": "first question"},
    {"role": "assistant", "content": "first answer"},
    {"role": "user", "content": "second question"},
)


def modelfile(gguf: str, tokenizer: Any, sampling: Mapping[str, Any], context: int) -> str:
    """Text of a Modelfile for the file `gguf`, which stands beside it.

    `sampling` is a section of params.yaml, `context` a number of tokens. Raises UserError for an unknown template.
    """
    template, system = ollama_template(tokenizer)
    parameters = {
        "num_ctx": context,
        "num_predict": sampling["max_new_tokens"],
        **{name: sampling[name] for name in ("temperature", "top_p", "top_k")},
    }
    stops = dict.fromkeys(("<|im_start|>", "<|im_end|>", tokenizer.eos_token))
    return "\n".join(
        [
            f"FROM ./{gguf}",
            f'TEMPLATE """{template}"""',
            *([f'SYSTEM """{system}"""'] if system else []),
            *(f"PARAMETER {name} {value}" for name, value in parameters.items()),
            *(f'PARAMETER stop "{stop}"' for stop in stops),
            "",
        ]
    )


def ollama_template(tokenizer: Any) -> tuple[str, str | None]:
    """(template, the system message that the tokenizer adds to a talk without one). Raises UserError."""
    rendered = tokenizer.apply_chat_template(list(TALK), tokenize=False, add_generation_prompt=True)
    talk = "".join(f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in TALK)
    system, found, after = rendered.partition(talk)
    if not found or after != "<|im_start|>assistant\n" or (system and not _is_turn(system)):
        raise UserError(
            "export.formats: no Ollama template is known for the base model's chat template, which isn't ChatML; "
            "take the gguf formats out of the list"
        )
    told = system.removeprefix("<|im_start|>system\n").removesuffix("<|im_end|>\n") or None
    return (THINKING if "<think>" in tokenizer.chat_template else MESSAGES), told


def _is_turn(text: str) -> bool:
    return text.startswith("<|im_start|>system\n") and text.endswith("<|im_end|>\n")
