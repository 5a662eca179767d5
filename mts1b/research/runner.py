"""How work is spread: one interface, in this process here, over a cluster in `jobs.fanout`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Runner(Protocol):
    """Runs `function(shared, item)` for every item. `workers`: how many items at once, as things are now."""

    @property
    def workers(self) -> int: ...

    def run(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield each item with its result, in the order they finish, taking items no faster than they are worked off.

        `function` is importable by name and does nothing but compute: it may run twice when a worker is lost. An error
        it raises ends the run and is raised here.
        """


class LocalRunner:
    """One item after the other in this process."""

    workers = 1

    def run(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        for item in items:
            yield item, function(shared, item)
