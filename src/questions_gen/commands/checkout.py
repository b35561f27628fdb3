"""What of the checkout a command may use, and what it may not: a stage's outputs are written by the stage alone."""

import sys
from pathlib import Path

from questions_gen.errors import UserError


def find_stages() -> None:
    """Make the checkout's stages importable: they belong to it, not to the package."""
    if not Path("stages/check.py").exists():
        raise UserError("stages/check.py: no such file; run this in the folder of a Questions-Gen checkout")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))


def refuse_outs(option: str, path: Path) -> None:
    """Raise UserError where `path` is in an output of the pipeline: the next `dvc repro` would undo it silently."""
    for out in _outs():
        if path.resolve().is_relative_to(out.resolve()):
            raise UserError(f"{option}: {path} is in {out}, which the pipeline writes; choose a place outside of it")


def _outs() -> list[Path]:
    """The outputs of all stages; of a `foreach` stage the folder that holds those of all its items."""
    from questions_gen.params import load_yaml

    file = Path("dvc.yaml")
    if not file.exists():
        return []
    entries = [entry.get("do", entry) for entry in load_yaml(file).get("stages", {}).values()]
    listed = [out for entry in entries for kind in ("outs", "metrics", "plots") for out in entry.get(kind, [])]
    names = [out if isinstance(out, str) else next(iter(out)) for out in listed]
    return [Path(name.partition("${")[0]) for name in names]
