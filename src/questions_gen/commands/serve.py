"""`questions-gen serve`: the exported model behind an OpenAI-compatible endpoint, with a page to try it."""

import errno
import socket
import time
from contextlib import suppress
from typing import Annotated
from urllib.parse import urlsplit

import typer

from questions_gen.commands.checkout import find_stages
from questions_gen.commands.loopback import HOST, PortOption, check_port
from questions_gen.commands.told import told
from questions_gen.errors import UserError

PARALLEL = 4
"""Requests that are answered at once; others wait for their turn."""
LOOK = 2.0
"""Seconds between two looks at whether the server is still there."""


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
        with suppress(KeyboardInterrupt):
            _wait_while_there(base_url)
        typer.echo("")


def _wait_while_there(base_url: str) -> None:
    """Raises UserError when the server has gone: too little memory, or a crash of llama.cpp."""
    port = urlsplit(base_url).port
    while True:
        time.sleep(LOOK)
        with socket.socket() as probe:  # no request: llama.cpp would write each into its log
            probe.settimeout(LOOK)
            if probe.connect_ex((HOST, port)) == errno.ECONNREFUSED:
                raise UserError(f"{base_url}: llama.cpp has ended; see whether memory is free, and serve again")
