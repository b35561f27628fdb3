"""What a stage takes of the machine, seen from the writer's process: MLflow's own monitor would measure the writer."""

import os
import threading
import time
from collections.abc import Callable
from typing import Any

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds before the first sample, doubled for each further one, and the most between two: about 1 ms of work each."""


class Monitor:
    """Samples a process and all below it, the caller's own apart."""

    def __init__(self, pid: int):
        import psutil

        self._pid = pid
        self._known: dict[int, Any] = {}
        """By process id, because psutil measures CPU use from one look at a process to the next."""
        self._psutil = psutil

    def sample(self) -> dict[str, float]:
        """CPU of the process tree since the last sample in percent of one core, its resident memory in GiB, and the
        host's memory in percent. Empty when the process has ended.
        """
        psutil = self._psutil
        try:
            root = self._known.setdefault(self._pid, psutil.Process(self._pid))
            processes = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return {}
        cpu, memory = 0.0, 0
        for process in processes:
            if process.pid == os.getpid():
                continue
            known = self._known.setdefault(process.pid, process)
            try:
                cpu += known.cpu_percent()
                memory += known.memory_info().rss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                self._known.pop(process.pid, None)
        return {
            "system/cpu_percent": cpu,
            "system/rss_gib": memory / 2**30,
            "system/host_memory_percent": psutil.virtual_memory().percent,
        }


def watch(pid: int, report: Callable[[dict[str, float], int], None]) -> None:
    """Call `report(numbers, sample's number)` from a thread until the process `pid` ends."""
    threading.Thread(target=_watch, args=(Monitor(pid), report), daemon=True).start()


def _watch(monitor: Monitor, report: Callable[[dict[str, float], int], None]) -> None:
    numbers = monitor.sample()
    numbers.pop("system/cpu_percent", None)  # there is no last sample yet
    number, pause = 0, FIRST_PAUSE
    while numbers:
        report(numbers, number)
        time.sleep(pause)
        numbers = monitor.sample()
        number, pause = number + 1, min(2 * pause, LONGEST_PAUSE)
