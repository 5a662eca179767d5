"""Work shared by two threads: reading and decoding let go of the interpreter, so a second one is worth its waking."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 2
HELPERS_MAX = 4
"""Threads that stand by for all readers of a process together."""


def shared(items: Sequence[Item], take: Callable[[Item], Result]) -> list[Result]:
    """What `take` makes of each item, in their order. What it raises passes through."""
    found: dict[int, Result] = {}
    todo = iter(range(len(items)))

    def work() -> None:
        for number in todo:  # each number goes to one thread
            found[number] = take(items[number])

    helpers = [_pool(os.getpid()).submit(work) for _ in range(min(THREADS, len(items)) - 1)]
    try:
        work()
    finally:
        for helper in helpers:
            if not helper.cancel():
                helper.result()
    return [found[number] for number in range(len(items))]


@lru_cache(maxsize=1)
def _pool(_process: int) -> ThreadPoolExecutor:
    """Kept: starting a thread takes longer than a small read. A forked process has none of its parent's threads."""
    return ThreadPoolExecutor(HELPERS_MAX, thread_name_prefix="lake")
