"""`python -m stages NAME [ITEM]`: what dvc.yaml runs.

The tracker is handed to the stage here, and not imported by it, so that no change of it reruns a stage.
"""

import importlib
import os
import sys
from pathlib import Path

# The code of this checkout: a queued or temporary experiment runs in a copy, and the installed package is another.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from questions_gen import launch, tracking  # noqa: E402
from questions_gen.errors import UserError  # noqa: E402
from questions_gen.stage import Stage, run  # noqa: E402


def find_stage(name: str, item: str | None = None) -> Stage:
    """The STAGE of stages/NAME.py, or its `stage(item)` where there is one a model."""
    module = importlib.import_module(f"stages.{name}")
    return module.STAGE if item is None else module.stage(item)


def main() -> None:
    try:
        stage = find_stage(*sys.argv[1:])
        if launch.is_alone(stage):
            if not launch.is_worker():
                os.environ.update(launch.first_card(os.environ))
            run(stage, tracking.start)
        else:
            launch.start(stage, sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
