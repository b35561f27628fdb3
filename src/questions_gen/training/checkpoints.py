"""Checkpoints that a killed run goes on from, and that a torn write can't spoil.

The trainer writes `checkpoint-<step>`; a manifest with each file's digest is added last. Without it, or with
a file that differs, a checkpoint is torn: it is skipped and removed.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.stage import Tracker

MANIFEST = "complete.json"


def last_complete(folder: Path) -> Path | None:
    """The newest whole checkpoint in `folder`; torn ones are removed."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    for checkpoint in sorted(found, key=_step, reverse=True):
        if _is_complete(checkpoint):
            return checkpoint
        print(f"{checkpoint.name} is torn (the run was stopped while writing it): skipped", flush=True)
        shutil.rmtree(checkpoint)
    return None


def mark_complete(checkpoint: Path) -> None:
    contents = {path.name: files.digest(path) for path in sorted(checkpoint.iterdir()) if path.name != MANIFEST}
    files.write_json(checkpoint / MANIFEST, contents)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def _is_complete(checkpoint: Path) -> bool:
    try:
        contents = files.read_json(checkpoint / MANIFEST)
    except UserError:
        return False
    return all(
        (checkpoint / name).exists() and files.digest(checkpoint / name) == value for name, value in contents.items()
    )


def checkpoint_callback(save_state: Callable[[Path], None] | None = None) -> Any:
    """A trainer callback that adds our own state to each checkpoint and then its manifest."""
    from transformers import TrainerCallback

    class Checkpoint(TrainerCallback):
        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            if save_state is not None:
                save_state(checkpoint)
            mark_complete(checkpoint)

    return Checkpoint()


def tracking_callback(tracker: Tracker) -> Any:
    """A trainer callback that shows each logged number on the tracker."""
    from transformers import TrainerCallback

    class Track(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict | None = None, **_: Any) -> None:
            numbers = {key: float(value) for key, value in (logs or {}).items() if isinstance(value, int | float)}
            if numbers:
                tracker.log_metrics(numbers, state.global_step)

    return Track()
