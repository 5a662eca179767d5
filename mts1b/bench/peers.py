"""The environment that peers run in: their own, from a lock of its own, because they hold back our dependencies."""

from __future__ import annotations

import subprocess
import sys
import venv
from hashlib import blake2b
from pathlib import Path

from mts1b.bench.session import Session
from mts1b.foundation.errors import StackError
from mts1b.foundation.ids import DIGEST_BYTES

LOCK = Path(__file__).parents[2] / "requirements-peers.lock"
INSTALL_TIMEOUT_S = 900


def peers_python(session: Session, lock: Path = LOCK, cache: Path | None = None) -> Path:
    """The interpreter of that environment under `cache` (~/.cache/mts1b), made the first time: some minutes.

    StackError when it cannot be made: no lock (not a checkout), no package index.
    """
    if not lock.exists():
        raise StackError("peers", str(lock), "is not there", "run the benchmark from a checkout of the project")
    key = blake2b(lock.read_bytes() + sys.version.encode(), digest_size=DIGEST_BYTES).hexdigest()
    folder = (cache or Path.home() / ".cache" / "mts1b") / f"peers-{key}"
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        session.tell("installing the peers into an environment of their own")
        venv.create(folder, with_pip=True, clear=True)
        install(python, lock)
        complete.touch()
    return python


def install(python: Path, lock: Path) -> None:
    """Exactly what the lock names, by hash."""
    words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", str(lock)]
    done = subprocess.run([str(python), *words], capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    if done.returncode:
        problem = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise StackError("peers", str(lock), problem, "see that a package index can be reached")
