"""`questions-gen serve`: the exported model behind an OpenAI-compatible endpoint, with a page to try it."""

import threading
from typing import Annotated

import typer

from questions_gen.commands.checkout import find_stages
from questions_gen.commands.loopback import PortOption, check_port
from questions_gen.commands.told import told

PARALLEL = 4
"""Requests that are answered at once; others wait for their turn."""


@told()
def serve(
    port: PortOption = 8080,
    model: Annotated[
        str | None, typer.Option(help="a GGUF file; left out: the exported one", show_default=False)
    ] = None,
) -> None:
    """Serve the exported GGUF to the programs of this machine, until Ctrl-C.

    /v1 speaks the OpenAI protocol, / is llama.cpp's own page to chat with the model.
    """
    find_stages()
    from questions_gen import llama_server
    from questions_gen.commands.writer import MAX_PROMPT, find_gguf
    from questions_gen.params import load_params
    from questions_gen.training.backend import ModelParams

    gguf = find_gguf(model)
    params = load_params({"model": ModelParams})["model"]
    check_port(port)
    context = MAX_PROMPT + params.max_length
    with llama_server.serve(gguf, threads=params.threads, context=context, parallel=PARALLEL, port=port) as base_url:
        typer.echo(f"{gguf} at {base_url} (any key), to try it in a browser: {base_url.removesuffix('v1')}")
        typer.echo("Ctrl-C ends it.")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            typer.echo("")
