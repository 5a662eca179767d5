"""Many stories, on as many processors as there are: what becomes of a seed depends on the seed alone."""

from __future__ import annotations

import gc
import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice

from mts1b.testing.sim.defects import planted
from mts1b.testing.sim.story import Outcome, quiet_ends, run_seed

SEEDS_PER_TASK = 5
TASKS_AHEAD = 2
"""For each process, so that none waits for the next."""


def run_seeds(seeds: range, workers: int, defect: str = "") -> Iterator[Outcome]:
    """The outcome of each seed, in their order. Leave the iterator early, and the rest is not run."""
    tasks = iter([seeds[at : at + SEEDS_PER_TASK] for at in range(0, len(seeds), SEEDS_PER_TASK)])
    if workers <= 1:
        for task in tasks:
            yield from run_some(task, defect)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), gc.freeze) as pool:
        waiting: deque[Future[list[Outcome]]] = deque()
        try:
            waiting += (pool.submit(run_some, task, defect) for task in islice(tasks, workers * TASKS_AHEAD))
            while waiting:
                outcomes = waiting.popleft().result()
                waiting += (pool.submit(run_some, task, defect) for task in islice(tasks, 1))
                yield from outcomes
        finally:
            for left in waiting:
                left.cancel()


def run_some(seeds: Sequence[int], defect: str) -> list[Outcome]:
    """Some stories in this process, with a defect planted when one is named.

    What a story leaves behind goes round in circles: it is swept up once, after all of them.
    """
    with quiet_ends(), planted(defect):
        gc.disable()
        try:
            return [run_seed(seed) for seed in seeds]
        finally:
            gc.enable()
