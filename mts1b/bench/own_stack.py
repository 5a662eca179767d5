"""Parts of the embedded stack of the benchmark's own, in a directory that goes away with it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mts1b.bench.session import Session
from mts1b.config import Settings, load_settings
from mts1b.deploy import stack
from mts1b.deploy.endpoints import Endpoints


@dataclass(frozen=True, slots=True)
class OwnStack:
    """`folder`: room for what else the benchmark keeps."""

    settings: Settings
    endpoints: Endpoints
    folder: Path


@contextlib.contextmanager
def own_stack(session: Session, parts: tuple[str, ...], settings: Settings | None = None) -> Iterator[OwnStack]:
    """These parts on free ports while the block runs; `settings`: a stack that is up already, and stays."""
    with tempfile.TemporaryDirectory(prefix="mts1b-bench-") as folder:
        used = settings or load_settings(data_dir=Path(folder) / "data")
        session.tell(f"starting {', '.join(parts)}")
        try:
            yield OwnStack(used, stack.up(used, session.clock, parts=parts), Path(folder))
        finally:
            if settings is None:
                stack.down(used, session.clock)
