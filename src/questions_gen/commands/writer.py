"""Who writes the problems: an exported GGUF through llama.cpp, or a model of the run through its backend."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from questions_gen.commands.checkout import find_stages
from questions_gen.errors import UserError

if TYPE_CHECKING:
    from questions_gen.schema import Completion, FinishReason, Message, Prompt
    from questions_gen.training.backend import ModelParams
    from questions_gen.training.generate import SamplingParams

    OnText = Callable[[str], None]
    Stream = Callable[[Sequence[Message], int, OnText], tuple[str, FinishReason, int]]

MODELS = ("base", "sft", "grpo", "distill")
EXPORT = Path("models/export")
BASE = Path("models/base")
GGUF_ORDER = ("q8_0", "f16", "q4_k_m")
"""Which one of several exported files is taken: all but as good as f16 at half the size, exact, small."""
MAX_PROMPT = 2048
"""Tokens of a prompt that a server makes room for."""


def _model_names(incomplete: str) -> list[str]:
    """For the shell's completion: the models of the run, and exported files."""
    names = [*MODELS, *(path.as_posix() for path in exported_ggufs())]
    return [name for name in names if name.startswith(incomplete)]


ModelOption = Annotated[
    str | None,
    typer.Option(
        help="base, sft, grpo, distill or the path of a GGUF file; left out: the exported GGUF, else the last adapter",
        autocompletion=_model_names,
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Writer:
    name: str
    stream: "Stream"

    def write(self, prompt: "Prompt", *, id: str, seed: int, on_text: "OnText") -> "Completion":
        """One completion of `prompt`; its text is handed to `on_text` as it comes."""
        from questions_gen.answers import parse_completion

        text, reason, tokens = self.stream(prompt.messages, seed, on_text)
        return parse_completion(id=id, prompt_id=prompt.id, text=text, finish_reason=reason, tokens=tokens, seed=seed)


def exported_ggufs() -> list[Path]:
    """The GGUF files of the export, the one to take first: of the last stage, and in GGUF_ORDER."""
    return sorted(EXPORT.rglob("*.gguf"), key=_rank)


def _rank(gguf: Path) -> tuple[int, int, str]:
    stage, kind = gguf.relative_to(EXPORT).parts[0], gguf.stem.rpartition("-")[2]
    return (
        -MODELS.index(stage) if stage in MODELS else 0,
        GGUF_ORDER.index(kind) if kind in GGUF_ORDER else len(GGUF_ORDER),
        gguf.as_posix(),
    )


def _title(gguf: Path) -> str:
    """What tells the file apart, without a folder of this machine."""
    return gguf.relative_to(EXPORT).as_posix() if gguf.is_relative_to(EXPORT) else gguf.name


def find_model(name: str | None) -> str | Path:
    """A model of the run by its name, or a GGUF file. Raises UserError for neither, and for one that isn't there."""
    if name is None:
        there = [*exported_ggufs(), *(model for model in reversed(MODELS) if _adapter(model).exists())]
        if not there:
            raise UserError("no model is here yet: `dvc pull models/export` fetches it, or `dvc repro` makes it")
        return there[0]
    if name.endswith(".gguf"):
        return Path(name)
    if name not in MODELS:
        raise UserError(f"--model: {name!r} is no model; write one of {', '.join(MODELS)}, or the path of a .gguf file")
    if not _adapter(name).exists():
        raise UserError(f"--model: {_adapter(name)} isn't there; `dvc pull` fetches it, or `dvc repro` makes it")
    return name


def find_gguf(name: str | None) -> Path:
    """The exported GGUF file, or the one at the path `name`: what a server can load."""
    if name is None:
        if not exported_ggufs():
            raise UserError(f"{EXPORT} has no GGUF file; `dvc pull {EXPORT}` fetches it, or `dvc repro` makes it")
        return exported_ggufs()[0]
    if not name.endswith(".gguf"):
        raise UserError(f"--model: only a GGUF file can be served, and {name!r} is none; leave it out for the exported")
    return Path(name)


def _adapter(model: str) -> Path:
    """What makes the base model that model."""
    return BASE / "base.json" if model == "base" else Path("models") / model


@contextmanager
def open_writer(name: str | None, *, think: bool) -> Iterator[Writer]:
    """A loaded model that samples as `evaluate` does, with or without thinking. It is gone with the block.

    Raises UserError for a model that isn't there, can't be loaded, or can't think and should.
    """
    model = find_model(name)
    params, sampling = _params(think)
    with ExitStack() as stack:
        if isinstance(model, Path):
            yield Writer(_title(model), _served(stack, model, params, sampling))
        else:
            yield Writer(model, _loaded(model, params, sampling))


def _params(think: bool) -> "tuple[ModelParams, SamplingParams]":
    find_stages()
    from questions_gen.params import load_params
    from questions_gen.training.backend import ModelParams
    from stages.evaluate import EvaluateParams

    params = load_params({"model": ModelParams, "evaluate": EvaluateParams})
    return params["model"], params["evaluate"].thinking if think else params["evaluate"].sampling


def _check_thinking(name: str, template: str | None, sampling: "SamplingParams") -> None:
    if sampling.thinking and "enable_thinking" not in (template or ""):
        raise UserError(f"--think: {name} has no way to think before it writes; leave it out")


def _loaded(model: str, params: "ModelParams", sampling: "SamplingParams") -> "Stream":
    from questions_gen.training.backend import load_model, load_tokenizer
    from questions_gen.training.stream import stream

    tokenizer = load_tokenizer(BASE)
    _check_thinking(model, tokenizer.chat_template, sampling)
    loaded = load_model(params, BASE, adapter=None if model == "base" else _adapter(model))

    def write(messages: "Sequence[Message]", seed: int, on_text: "OnText") -> "tuple[str, FinishReason, int]":
        return stream(loaded, tokenizer, messages, sampling, seed=seed, on_text=on_text)

    return write


def _served(stack: ExitStack, gguf: Path, params: "ModelParams", sampling: "SamplingParams") -> "Stream":
    import openai

    from questions_gen.llama_server import serve

    context = MAX_PROMPT + sampling.max_new_tokens
    base_url = stack.enter_context(serve(gguf, threads=params.threads, context=context))
    http = openai.DefaultHttpxClient(trust_env=False)  # loopback: past any proxy
    client = stack.enter_context(openai.OpenAI(base_url=base_url, api_key="none", http_client=http, max_retries=0))
    template = http.get(f"{base_url.removesuffix('/v1')}/props").json().get("chat_template")
    _check_thinking(gguf.as_posix(), template, sampling)

    def write(messages: "Sequence[Message]", seed: int, on_text: "OnText") -> "tuple[str, FinishReason, int]":
        try:
            chunks = client.chat.completions.create(
                model=gguf.name,
                messages=[message.model_dump() for message in messages],
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_tokens=sampling.max_new_tokens,
                seed=seed,
                stream=True,
                stream_options={"include_usage": True},
                # min_p: llama.cpp's own default isn't 0
                extra_body={
                    "top_k": sampling.top_k,
                    "min_p": 0,
                    "chat_template_kwargs": {"enable_thinking": sampling.thinking},
                },
            )
            return _collect(chunks, on_text)
        except openai.APIStatusError as error:
            raise UserError(f"{gguf}: llama.cpp refuses the prompt: {error.message}; is it too long?") from None
        except openai.APIError as error:
            raise UserError(f"{gguf}: the server of the model broke off ({error}); run the command again") from None

    return write


def _collect(chunks: Any, on_text: "OnText") -> "tuple[str, FinishReason, int]":
    """The whole text of a streamed answer, with its thinking in front between the marks that torch would show."""
    parts: list[str] = []
    reason, tokens, thinking = None, 0, False

    def add(text: str) -> None:
        parts.append(text)
        on_text(text)

    for chunk in chunks:
        tokens = chunk.usage.completion_tokens if chunk.usage else tokens
        for choice in chunk.choices:
            reason = choice.finish_reason or reason
            if thought := getattr(choice.delta, "reasoning_content", None):
                if not thinking:
                    add("<think>")
                    thinking = True
                add(thought)
            if choice.delta.content:
                if thinking:
                    add("</think>")
                    thinking = False
                add(choice.delta.content)
    return "".join(parts), "stop" if reason == "stop" else "length", tokens
