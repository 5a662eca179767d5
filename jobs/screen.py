"""Where results are shown to a reader: the terminal, or whatever stands in its place."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console

NO_EDGE = 10_000
"""Columns of a file or a pipe: rich would cut a table down to 80 there."""


def screen(stderr: bool = False, **options: Any) -> Console:
    """Standard output, or standard error. Tables are cut to a terminal's width only; elsewhere they stay whole."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else NO_EDGE, **options)
