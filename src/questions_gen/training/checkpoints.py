"""Checkpoints that a killed run goes on from, and that a torn write can't spoil.

The trainer writes `checkpoint-<step>`; a manifest with each file's digest is added last. Without it, or with
a file that differs, a checkpoint is torn: it is skipped and removed.
"""

import math
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.stage import Tracker
from questions_gen.training.processes import agreed, gathered, main_only

MANIFEST = "complete.json"


def last_complete(folder: Path) -> Path | None:
    """The newest whole checkpoint in `folder`; torn ones are removed."""
    return agreed(lambda: _last_complete(folder))


def _last_complete(folder: Path) -> Path | None:
    found = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    for checkpoint in sorted(found, key=checkpoint_step, reverse=True):
        if is_complete(checkpoint):
            return checkpoint
        print(f"{checkpoint.name} is torn (the run was stopped while writing it): skipped", flush=True)
        shutil.rmtree(checkpoint)
    return None


def mark_complete(checkpoint: Path) -> None:
    contents = {path.name: files.digest(path) for path in sorted(checkpoint.iterdir()) if path.name != MANIFEST}
    files.write_json(checkpoint / MANIFEST, contents)


def checkpoint_step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def logged_steps(checkpoint: Path, marker: str, keys: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the trainer had logged at `checkpoint`: the rows that have `marker`, with our names for its `keys`."""
    logged = files.read_json(checkpoint / "trainer_state.json")["log_history"]
    return [{ours: row[theirs] for theirs, ours in keys.items() if theirs in row} for row in logged if marker in row]


def is_complete(checkpoint: Path) -> bool:
    """Whether the folder has a manifest and every file in it is as the manifest says."""
    try:
        contents = files.read_json(checkpoint / MANIFEST)
    except UserError:
        return False
    return all(
        (checkpoint / name).exists() and files.digest(checkpoint / name) == value for name, value in contents.items()
    )


def checkpoint_callback(save_state: Callable[[Path], None] | None = None) -> Any:
    """A trainer callback that adds our own state to each checkpoint and then its manifest.

    It ends a training whose loss or gradient is no number any more, before that is saved. Raises UserError.
    """
    from transformers import TrainerCallback

    class Checkpoint(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict | None = None, **_: Any) -> None:
            for name in ("loss", "grad_norm"):
                value = (logs or {}).get(name, 0.0)
                if not math.isfinite(value):
                    raise UserError(
                        f"step {state.global_step}: {name} is {value}, so the training has diverged; lower its "
                        f"learning_rate ({args.learning_rate:g}), or look for a broken row in its data"
                    )

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            gathered([])  # every process has written its part
            main_only(partial(self.complete, checkpoint))

        def complete(self, checkpoint: Path) -> None:
            if save_state is not None:
                save_state(checkpoint)
            mark_complete(checkpoint)

    return Checkpoint()


def tracking_callback(tracker: Tracker, first_step: int = 0) -> Any:
    """A trainer callback that shows each logged number on the tracker; steps count on from `first_step`."""
    from transformers import TrainerCallback

    class Track(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict | None = None, **_: Any) -> None:
            numbers = {key: float(value) for key, value in (logs or {}).items() if isinstance(value, int | float)}
            if numbers:
                tracker.log_metrics(numbers, first_step + state.global_step)

    return Track()
