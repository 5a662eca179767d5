"""Shared fixtures: the real stack, once for the whole session, and the guard that keeps the unit tests pure."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from mts1b.config import Settings, load_settings
from mts1b.deploy.endpoints import Endpoints
from mts1b.foundation.clock import SystemClock

os.environ["RAY_AUTH_MODE"] = "token"  # Ray reads it once, when it is first imported, by whichever test that is

FOLDERS = ("unit", "contract", "cases", "sim", "ray", "e2e")
LONGEST_FIRST = ("test_docs.py", "contract/test_gpu_simulator.py", "e2e", "ray", "contract", "unit/backtester", "")
"""What takes longest begins first, so that no worker is left alone with it at the end."""

TESTS = Path(__file__).parent


@dataclass(frozen=True)
class RunningStack:
    """A stack that is up: its settings and where its parts answer."""

    settings: Settings
    endpoints: Endpoints


def pytest_configure(config: pytest.Config) -> None:
    for folder in FOLDERS:
        config.addinivalue_line("markers", f"{folder}: the tests under tests/{folder}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: tests of services wait for much of their time."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _place(item.path))
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
        if folder in FOLDERS:
            item.add_marker(folder)


def _place(path: Path) -> int:
    """Of a file in the order of LONGEST_FIRST."""
    below = path.relative_to(TESTS).as_posix() if path.is_relative_to(TESTS) else ""
    return next(place for place, start in enumerate(LONGEST_FIRST) if below.startswith(start))


@pytest.fixture(autouse=True)
def _unit_tests_stay_in_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under tests/unit no socket is opened, no process started and no Ray touched."""
    if "unit" not in request.node.keywords:
        return

    def refuse(*_args: object, **_named: object) -> NoReturn:
        pytest.fail("a unit test opened a socket, started a process or called ray.init: move it to tests/contract")

    for name in ("connect", "connect_ex", "bind"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    if "ray" in sys.modules:
        monkeypatch.setattr(sys.modules["ray"], "init", refuse)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Postgres, NATS and Valkey, really started in a data directory of their own; down at the end of the session."""
    from mts1b.deploy import stack as deployed

    settings = load_settings(data_dir=tmp_path_factory.mktemp("stack"))
    try:
        found = deployed.up(settings, SystemClock(), parts=("postgres", "nats", "valkey"))
        yield RunningStack(settings, found)
    finally:
        if "ray" in sys.modules:
            sys.modules["ray"].shutdown()  # a driver whose cluster goes away ends its process, and the test run with it
        deployed.down(settings, SystemClock())


@pytest.fixture(scope="session")
def ray_stack(stack: RunningStack) -> RunningStack:
    """The same stack with a Ray head and its dashboard."""
    from mts1b.deploy import stack as deployed

    return RunningStack(stack.settings, deployed.up(stack.settings, SystemClock()))
