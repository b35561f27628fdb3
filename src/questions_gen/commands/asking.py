"""What a user may put into a prompt: one line of plain text, since a model would read anything else as well."""

import unicodedata

from questions_gen.errors import UserError

MAX_CHARACTERS = 200
"""Of a topic or a concept: longer than any of the corpora's."""


def one_line(option: str, text: str) -> str:
    """`text` without the blanks around it. Raises UserError for what isn't one short line of plain text."""
    stripped = text.strip(" ")
    if not stripped:
        raise UserError(f"{option}: is empty; write a few words, or leave it out")
    for character in stripped:
        if not character.isprintable():
            name = unicodedata.name(character, "a control character")
            raise UserError(f"{option}: holds U+{ord(character):04X} ({name}); write one line of plain text")
    if len(stripped) > MAX_CHARACTERS:
        raise UserError(f"{option}: has {len(stripped)} characters; write at most {MAX_CHARACTERS}")
    return stripped


def split_list(option: str, values: list[str] | None) -> tuple[str, ...]:
    """The items of an option that is given several times, or once with semicolons."""
    items = [item for value in values or () for item in value.split(";")]
    return tuple(one_line(option, item) for item in items)
