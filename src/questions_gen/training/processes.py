"""Several processes of one training: one of them writes, and all of them know the same.

The effective batch and the order of the data don't depend on how many there are. With one process each function here
gives back what it was given, and imports nothing.
"""

import os
import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from questions_gen.errors import UserError
from questions_gen.stage import is_main

T = TypeVar("T")


def count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    return int(os.environ.get("RANK", "0"))


def fully_sharded() -> bool:
    """Whether accelerate's launcher shards this training with PyTorch's fully_shard (run.launch.engine: fsdp2)."""
    return os.environ.get("ACCELERATE_USE_FSDP") == "true"


def agreed(make: Callable[[], T]) -> T:
    """What the main process makes, in all of them; the others wait for it."""
    if count() == 1:
        return make()
    from accelerate.utils import broadcast_object_list

    join()
    made: list[Any] = [make() if is_main() else None]
    return broadcast_object_list(made)[0]


def gathered(rows: list[T]) -> list[T]:
    """The rows of every process, in the order of their ranks."""
    if count() == 1:
        return rows
    from accelerate.utils import gather_object

    join()
    return gather_object(rows)


def main_only(act: Callable[[], object]) -> None:
    """Let the main process act while the others wait for it to end."""
    agreed(lambda: act() and None)


def share_of_batch(rows: int, batch_size: int, key: str) -> tuple[int, int]:
    """(batch size, accumulation) of each process, so that all of them together take `rows` rows an update.

    `batch_size` rows a device are the most, which bounds the memory. `key` is named where `rows` can't be shared out.
    """
    each, left = divmod(rows, count())
    if left or not each:
        raise UserError(
            f"run.launch.processes: {count()} processes in all can't share {rows} rows an update ({key}) evenly; take "
            "a number of them that divides it"
        )
    size = max(size for size in range(1, min(batch_size, each) + 1) if each % size == 0)
    return size, each // size


def in_order(rows: Sequence[T], wanted: int, seed: int) -> list[T]:
    """The `wanted` rows of a training in the order that it takes them: every pass over `rows` is shuffled anew."""
    draw = random.Random(seed)
    order: list[T] = []
    while len(order) < wanted:
        order += draw.sample(rows, len(rows))
    return order[:wanted]


def join() -> None:
    """Be part of the group of processes, which a trainer makes too, but later."""
    import torch
    from accelerate import PartialState

    if torch.distributed.is_initialized():
        return
    if torch.cuda.is_available():
        PartialState()
        return
    PartialState(cpu=True, backend="gloo")
    # accelerate numbers the CPU ("cpu:1"), and trainers load a checkpoint to there, which torch refuses
    torch.serialization.register_package(0, lambda _: None, _on_numbered_cpu)


def _on_numbered_cpu(storage: Any, location: str) -> Any:
    return storage if location.startswith("cpu:") else None
