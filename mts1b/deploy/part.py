"""What the supervisor needs to know of one server: how to prepare, start, ask and stop it."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from mts1b.foundation.limits import STOP_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Part:
    """One server of the stack.

    `prepare` runs before every start and may block. `answers` raises or returns False until the server can be used;
    `settle` then runs once after every start. `stdin` is fed to the server and closed. `fields` are what it adds to
    Endpoints. `whole`: the server is several processes, and losing one of them is losing it.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    work_dir: Path
    log_path: Path
    fields: dict[str, object]
    prepare: Callable[[], None]
    answers: Callable[[], Awaitable[bool]]
    settle: Callable[[], Awaitable[None]] | None = None
    stdin: bytes = field(default=b"", repr=False)
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = STOP_TIMEOUT_S
    whole: bool = False
