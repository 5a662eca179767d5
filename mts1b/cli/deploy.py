"""`mts1b-deploy`: the stack's commands under the name that the performance notes use, and what there is to look at."""

from __future__ import annotations

from mts1b.cli import main


def run() -> None:
    """Console entry point."""
    main.run(("stack", "opening"))
