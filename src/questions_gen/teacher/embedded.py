"""The embedded teacher: the packaged model behind an OpenAI-compatible server of our own, on loopback."""

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from questions_gen import llama_server
from questions_gen.errors import UserError
from questions_gen.params import Count, Name, Section


class EmbeddedParams(Section):
    package: Name
    """The installed package that carries the model."""
    path: Name
    """The GGUF file inside it. Stored answers are found by `teacher.model`: give another file another model name."""
    threads: Count
    """CPU threads: another number gives other last bits."""
    context: Count
    """Tokens of a request and its answer together."""


def model_file(params: EmbeddedParams) -> Path:
    """Where the package put its GGUF file; UserError if it isn't there."""
    try:
        distribution = importlib.metadata.distribution(params.package)
    except importlib.metadata.PackageNotFoundError:
        raise UserError(
            f"teacher.embedded.package: {params.package} isn't installed; install it, or set run.teacher.base_url"
        ) from None
    path = Path(str(distribution.locate_file(params.path)))
    if not path.is_file():
        raise UserError(f"teacher.embedded.path: the package {params.package} has no file {params.path}")
    return path


@contextmanager
def serve(params: EmbeddedParams) -> Iterator[str]:
    """Yield the base URL of a server that is ready; it is gone when the block ends or this process does.

    It has one slot, so that an answer never depends on what else was asked. Raises UserError if it can't start.
    """
    gguf = model_file(params)
    with llama_server.serve(gguf, threads=params.threads, context=params.context) as base_url:
        yield base_url
