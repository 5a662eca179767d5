"""Processes that share one limit, started together, and what their calls came to."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from mts1b.config_sections import Tier
from mts1b.foundation.clock import NS_PER_S, Clock
from mts1b.foundation.limits import START_TIMEOUT_S

PROCESSES = 4


@dataclass(frozen=True, slots=True)
class Calls:
    """Times of all calls in monotonic nanoseconds, sorted; and those of each process."""

    all_ns: tuple[int, ...]
    by_process: tuple[tuple[int, ...], ...]

    def most_in(self, length_ns: int) -> int:
        """The greatest number of calls in any stretch of time so long, wherever it begins."""
        most, first = 0, 0
        for last, at_ns in enumerate(self.all_ns):
            while at_ns - self.all_ns[first] >= length_ns:
                first += 1
            most = max(most, last - first + 1)
        return most

    def used(self, limit: int, length_ns: int, begin_ns: int, end_ns: int) -> float:
        """The share of `limit` calls in `length_ns` that was used then: what they take at least, over what they took.

        The median of it, because a machine with much else to do may wake a process late. 0.0: too few calls to tell.
        """
        then = [at_ns for at_ns in self.all_ns if begin_ns <= at_ns < end_ns]
        took = [later - earlier for earlier, later in zip(then, then[limit:], strict=False)]
        return length_ns / median(took) if took else 0.0


class Callers:
    """PROCESSES callers at work from `begin_ns` to `end_ns`, each as often as the limiter lets it."""

    def __init__(self, url: str, name: str, tier: Tier, home: Path, seconds: float, clock: Clock) -> None:
        self._files = [home / f"calls-{name}-{number}" for number in range(PROCESSES)]
        self._clock = clock
        command = [sys.executable, "-P", "-m", "mts1b.bench.ratelimit_task", url, name, tier.model_dump_json()]
        self._processes = [
            subprocess.Popen([*command, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for file in self._files
        ]
        for process in self._processes:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        self.begin_ns = clock.monotonic_ns() + NS_PER_S // 5
        self.end_ns = self.begin_ns + round(seconds * NS_PER_S)
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{self.begin_ns} {self.end_ns}\n")
            process.stdin.close()

    def wait_until(self, at_ns: int) -> None:
        threading.Event().wait(max(0, at_ns - self._clock.monotonic_ns()) / NS_PER_S)

    def kill_one(self) -> None:
        self._processes[0].kill()

    def calls(self) -> Calls:
        """What they did, once they have ended."""
        left_s = max(0, self.end_ns - self._clock.monotonic_ns()) / NS_PER_S
        codes = [process.wait(timeout=left_s + START_TIMEOUT_S) for process in self._processes]
        assert all(code in (0, -9) for code in codes), codes
        by_process = tuple(tuple(int(line) for line in file.read_text().split()) for file in self._files)
        return Calls(tuple(sorted(at_ns for one in by_process for at_ns in one)), by_process)

    def end(self) -> None:
        """Leave nothing behind."""
        for process in self._processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
