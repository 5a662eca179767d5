"""Many stories, on as many processors as there are: what becomes of a seed depends on the seed alone."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor

from mts1b.testing.sim.defects import planted
from mts1b.testing.sim.story import Outcome, quiet_ends, run_seed

SEEDS_PER_TASK = 10
TASKS_AHEAD = 2
"""For each process, so that none waits for the next."""


def run_seeds(seeds: range, workers: int, defect: str = "") -> Iterator[Outcome]:
    """The outcome of each seed, in their order. Leave the iterator early, and the rest is not run."""
    if workers <= 1:
        for seed in seeds:
            yield from run_some((seed,), defect)
        return
    tasks = iter([seeds[at : at + SEEDS_PER_TASK] for at in range(0, len(seeds), SEEDS_PER_TASK)])
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        waiting: deque[Future[list[Outcome]]] = deque()
        try:
            for task, _ in zip(tasks, range(workers * TASKS_AHEAD), strict=False):
                waiting.append(pool.submit(run_some, task, defect))
            while waiting:
                outcomes = waiting.popleft().result()
                for task in tasks:
                    waiting.append(pool.submit(run_some, task, defect))
                    break
                yield from outcomes
        finally:
            for left in waiting:
                left.cancel()


def run_some(seeds: Sequence[int], defect: str) -> list[Outcome]:
    """Some stories in this process, with a defect planted when one is named."""
    with quiet_ends(), planted(defect):
        return [run_seed(seed) for seed in seeds]
