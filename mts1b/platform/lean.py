"""Importing a library without what it would take along but nobody here uses.

The performance notes give every client a few megabytes; half of what these take by themselves is for others: command
lines, clusters, cloud logins. What is left out is left out for this project's import alone: who imports it by itself
afterwards gets the real thing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from threading import RLock
from types import ModuleType
from typing import Any

_one_at_a_time = RLock()


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Import something in the body as if the packages `names` were not installed, unless they are loaded already.

    For optional companions that a library takes along wherever it finds them: `with without("aiohttp"): import nats`.
    """
    with _replaced({name: None for name in names}):
        yield


@contextmanager
def left_out(*modules: str) -> Iterator[None]:
    """Import a library in the body with empty classes for whatever it takes from its own `modules`.

    For parts that it imports whether they are used or not: `with left_out("redis.cluster"): import redis`.
    """
    with _replaced({name: _Empty(name) for name in modules}):
        yield


@contextmanager
def _replaced(wanted: dict[str, Any]) -> Iterator[None]:
    with _one_at_a_time:
        placed = {name: module for name, module in wanted.items() if name not in sys.modules}
        sys.modules.update(placed)
        try:
            yield
        finally:
            for name in placed:
                del sys.modules[name]


def settle(name: str) -> None:
    """Make up for code that imports an optional package at every call: where it is not installed, Python looks through
    its whole path each time. httpcore does so with sniffio a dozen times a request, 1 ms each.
    """
    if name not in sys.modules and find_spec(name) is None:
        sys.modules[name] = None  # type: ignore[assignment]


class _LeftOut:
    """Stands for a class of a part that was left out."""

    def __init__(self, *_given: object, **_named: object) -> None:
        pass


class _Empty(ModuleType):
    """A module of which every class can be had, and none does anything."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (_LeftOut,), {"__module__": self.__name__})
