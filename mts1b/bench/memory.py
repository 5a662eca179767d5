"""Peak memory of many processes at once, by looking at them a few times a second."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence

import psutil

EVERY_S = 0.5
"""Between two looks at least."""

REST_SHARE = 50
"""Times what a look took to wait for the next: reading the shares of large processes would slow down what is timed."""

GB = 1e9


class PeakMemory:
    """Sum over a process and its descendants of what each holds, as the largest of all looks; bytes.

    Pages that several processes share are counted once, each taking its part (PSS); where the system does not tell,
    resident sizes are added up, which counts them several times.
    """

    def __init__(self, roots: Sequence[int]) -> None:
        self.peak_bytes = 0
        self.processes = 0
        self._roots = tuple(roots)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def peak_gb(self) -> float:
        return self.peak_bytes / GB

    def look(self) -> None:
        """Take one sample now."""
        held = {process.pid: held_bytes(process) for process in _family(self._roots)}
        total = sum(held.values())
        if total > self.peak_bytes:
            self.peak_bytes, self.processes = total, len(held)

    def _watch(self) -> None:
        rest_s = EVERY_S
        while not self._done.wait(rest_s):
            began_s = time.thread_time()
            self.look()
            rest_s = max(EVERY_S, REST_SHARE * (time.thread_time() - began_s))

    def start(self) -> None:
        self.look()
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()
        self.look()


@contextlib.contextmanager
def peak_memory(*roots: int) -> Iterator[PeakMemory]:
    """Watch these processes and their descendants while the block runs."""
    found = PeakMemory(roots)
    found.start()
    try:
        yield found
    finally:
        found.stop()


def held_bytes(process: psutil.Process) -> int:
    """What the process holds, shared pages in part; 0 once it has ended."""
    try:
        try:
            return int(process.memory_full_info().pss)
        except (psutil.AccessDenied, AttributeError):
            return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _family(roots: Sequence[int]) -> list[psutil.Process]:
    found: dict[int, psutil.Process] = {}
    for pid in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            found |= {process.pid: process for process in (root, *root.children(recursive=True))}
    return list(found.values())
