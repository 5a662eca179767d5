"""The peers' environment: made once for each lock, and half of one is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from mts1b.bench import peers
from mts1b.bench.peers import LOCK, peers_python
from mts1b.bench.session import Session
from mts1b.foundation.errors import StackError
from mts1b.testing.clock import SimulatedClock

SESSION = Session(SimulatedClock())


def test_it_is_made_once_for_each_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    installed: list[Path] = []

    def create(folder: Path, **_options: object) -> None:
        made.append(folder)
        folder.mkdir(parents=True, exist_ok=True)

    def install(python: Path, _lock: Path) -> None:
        installed.append(python)
        if len(installed) == 1:
            raise StackError("peers", "x", "no index")

    monkeypatch.setattr(peers.venv, "create", create)
    monkeypatch.setattr(peers, "install", install)
    lock = tmp_path / "peers.lock"
    lock.write_text("one")
    with pytest.raises(StackError, match="no index"):
        peers_python(SESSION, lock, tmp_path)
    first = peers_python(SESSION, lock, tmp_path)
    assert peers_python(SESSION, lock, tmp_path) == first and len(made) == 2  # the first one was left half made
    lock.write_text("two")
    assert peers_python(SESSION, lock, tmp_path) != first and len(made) == 3


def test_no_lock_no_peers(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="from a checkout"):
        peers_python(SESSION, tmp_path / "requirements-peers.lock")


def test_the_lock_pins_the_peer_that_is_named() -> None:
    assert "vectorbt==1.2.0 " in LOCK.read_text()
