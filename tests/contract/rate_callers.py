"""Processes that share one limit, and what their calls came to.

By hand, for as long as wanted: `python -m tests.contract.rate_callers 20`.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from mts1b.config import load_settings
from mts1b.config_sections import Tier
from mts1b.platform.ratelimit import RateLimiter
from tests.contract.valkey_server import ValkeyServer

LIMIT, PROCESSES, TASKS = 30, 4, 8
NS = 1_000_000_000


@dataclass(frozen=True)
class Calls:
    """Times of all calls in monotonic nanoseconds, sorted; and those of each process."""

    all_ns: list[int]
    by_process: list[list[int]]

    def most_in_a_second(self) -> int:
        """The greatest number of calls in any stretch of one second, wherever it begins."""
        most, first = 0, 0
        for last, at_ns in enumerate(self.all_ns):
            while at_ns - self.all_ns[first] >= NS:
                first += 1
            most = max(most, last - first + 1)
        return most

    def used(self, begin_ns: int, end_ns: int) -> float:
        """The share of the limit that was used then: the time that LIMIT calls take at least, over what they took.

        The median of it, because a machine with much else to do may wake a process late.
        """
        then = [at_ns for at_ns in self.all_ns if begin_ns <= at_ns < end_ns]
        return NS / median(later - earlier for earlier, later in zip(then, then[LIMIT:], strict=False))


class Callers:
    """PROCESSES callers at work from `begin_ns` to `end_ns`, each as often as the limiter lets it."""

    def __init__(self, server: ValkeyServer, home: Path, seconds: float) -> None:
        self._files = [home / f"calls-{number}" for number in range(PROCESSES)]
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.contract.rate_callers", server.url, str(file)],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for file in self._files
        ]
        for process in self._processes:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        self.begin_ns = time.monotonic_ns() + NS // 5
        self.end_ns = self.begin_ns + round(seconds * NS)
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{self.begin_ns} {self.end_ns}\n")
            process.stdin.close()

    def wait_until(self, at_ns: int) -> None:
        time.sleep(max(0, at_ns - time.monotonic_ns()) / NS)

    def kill_one(self) -> None:
        self._processes[0].kill()

    def calls(self) -> Calls:
        """What they did, once they have ended."""
        codes = [process.wait(timeout=60) for process in self._processes]
        assert all(code in (0, -9) for code in codes), codes
        by_process = [[int(line) for line in file.read_text().split()] for file in self._files]
        return Calls(sorted(at_ns for one in by_process for at_ns in one), by_process)

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


async def call(url: str, file: str) -> None:
    """Say that we are ready, read when to begin and end, call as often as may be, and write down when."""
    print("ready", flush=True)
    begin_ns, end_ns = (int(word) for word in sys.stdin.readline().split())
    limiter = RateLimiter("shared", Tier(per_second=LIMIT), load_settings(cache={"url": url}))

    async def task() -> None:
        while True:
            permit = await limiter.acquire()
            if permit.at_ns >= end_ns:
                return
            out.write(f"{permit.at_ns}\n")

    await asyncio.sleep(max(0, begin_ns - time.monotonic_ns()) / NS)
    with open(file, "w", buffering=1) as out:  # noqa: ASYNC230
        await asyncio.gather(*(task() for _ in range(TASKS)))
    await limiter.close()


def by_hand(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as home:
        server = ValkeyServer(Path(home)).start()
        callers = Callers(server, Path(home), seconds)
        try:
            calls = callers.calls()
        finally:
            callers.end()
            server.kill()
    used = calls.used(callers.begin_ns, callers.end_ns)
    most = LIMIT * seconds
    print(f"{PROCESSES} processes, {LIMIT}/s, {seconds:g} s: {len(calls.all_ns)} calls of {most:g}, {used:.1%} in use,")
    print(f"at most {calls.most_in_a_second()} in any second; each {[len(one) for one in calls.by_process]}")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        by_hand(float(sys.argv[1]))
    else:
        asyncio.run(call(sys.argv[1], sys.argv[2]))
