"""How commands print: JSON lines for scripts, else text, which holds nothing that could steer a terminal."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text")]


def harmless(text: str) -> str:
    """`text` with U+FFFD for every character that isn't shown but acts: escape sequences, other control characters.

    >>> harmless("a\\x1b[2Jb")
    'a\ufffd[2Jb'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
