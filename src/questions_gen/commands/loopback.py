"""Pages and endpoints of this machine for this machine: where they listen, and what is wrong if they can't."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from questions_gen.errors import UserError

HOST = "127.0.0.1"

PortOption = Annotated[int, typer.Option(min=0, max=65535, help="0 is any free one")]


@contextmanager
def port_errors(port: int) -> Iterator[None]:
    """Turn the reasons why nobody can listen on `port` into a UserError."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"--port: {port} is in use on this machine; choose another one, or 0") from None
        if error.errno == errno.EACCES:
            raise UserError(f"--port: this user may not listen on {port}; choose one above 1023, or 0") from None
        raise


def check_port(port: int) -> None:
    """Raise UserError if nobody can listen on `port`."""
    with port_errors(port), socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was just left isn't in use
        probe.bind((HOST, port))
