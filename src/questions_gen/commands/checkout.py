"""The stages belong to the checkout, not to the package: a command that needs them looks for them."""

import sys
from pathlib import Path

from questions_gen.errors import UserError


def find_stages() -> None:
    """Make the checkout's stages importable."""
    if not Path("stages/check.py").exists():
        raise UserError("stages/check.py: no such file; run this in the folder of a Questions-Gen checkout")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
