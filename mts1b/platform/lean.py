"""Imports without what only programs for a terminal need: memory of a service is counted by the megabyte."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Import what follows as if these optional packages were not installed. Those loaded already stay as they are.

    httpx and structlog import rich, click and pygments, 5 to 6 MB, for a command line and tracebacks in colour.
    """
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def settle(name: str) -> None:
    """Make up for code that imports an optional package at every call: where it is not installed, Python looks through
    its whole path each time. httpcore does so with sniffio a dozen times a request, 1 ms each.
    """
    if name not in sys.modules and find_spec(name) is None:
        sys.modules[name] = None  # type: ignore[assignment]
