"""The one exception that means "the user can mend this"."""


class UserError(Exception):
    """Says the key or file, the cause and the remedy; shown without a traceback."""
