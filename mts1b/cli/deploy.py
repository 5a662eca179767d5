"""`mts1b-deploy`: the stack's commands under the name that the performance notes use, and what there is to look at."""

from __future__ import annotations

import sys

from mts1b.cli.main import build_app, guarded


def run() -> None:
    """Console entry point."""
    sys.exit(guarded(build_app(("stack", "opening")), "--debug" in sys.argv[1:]))
