"""Importing a library without what it would take along but does not need."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

_one_at_a_time = RLock()


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Import something in the body as if the packages `names` were not installed, unless they are loaded already.

    For optional companions that a library takes along wherever it finds them, with megabytes of their own, though
    nobody here uses them with it: `with without("aiohttp"): import nats`.
    """
    with _one_at_a_time:
        hidden = [name for name in names if name not in sys.modules]
        sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: cannot be imported
        try:
            yield
        finally:
            for name in hidden:
                del sys.modules[name]
