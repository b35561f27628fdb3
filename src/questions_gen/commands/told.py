"""How a command ends when its input is bad: exit code 2 and one message, never a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from questions_gen.errors import UserError


@contextmanager
def told() -> Iterator[None]:
    """End with code 2 and one message for what the user can mend."""
    try:
        yield
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
