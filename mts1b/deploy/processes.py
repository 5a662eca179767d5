"""Ending processes for good: by pid and start time, never by name."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from mts1b.deploy.endpoints import ProcessMark

GONE = (psutil.NoSuchProcess, psutil.ZombieProcess)

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent(stop_signal: signal.Signals, parent_pid: int) -> Callable[[], None]:
    """For a child between fork and exec: have the kernel send it `stop_signal` when the supervisor dies."""

    def ask() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(stop_signal), 0, 0, 0)
        if os.getppid() != parent_pid:
            os._exit(1)

    return ask


def adopt_orphans() -> None:
    """Make this process the parent of its descendants' orphans, so that it can find and end them."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def family(pid: int) -> list[psutil.Process]:
    """The process and all its descendants that are alive."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def send(processes: Iterable[psutil.Process], what: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(*GONE, psutil.AccessDenied):
            process.send_signal(what)  # psutil checks the start time first


def end(processes: list[psutil.Process], what: signal.Signals, timeout_s: float) -> None:
    """Ask the processes to end, wait, then kill those left. Blocks for at most `timeout_s` and a few seconds."""
    send(processes, what)
    _, left = psutil.wait_procs(processes, timeout=timeout_s)
    send(left, signal.SIGKILL)
    psutil.wait_procs(left, timeout=5)


MARK = "MTS1B_SUPERVISOR"
"""Every process of a stack inherits this; its value is `mark_of` its supervisor."""


def mark_of(leader: ProcessMark) -> str:
    return f"{leader.pid}-{leader.created}"


def left_behind(leader: ProcessMark, data_dir: Path) -> list[psutil.Process]:
    """Live processes of a dead supervisor: those that carry its mark, and those of its session in its directory.

    One of the two is not enough: a process may leave the session, and one that writes itself a title loses the mark.
    """
    inside, mark = data_dir.resolve(), mark_of(leader)
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(*GONE, psutil.AccessDenied, OSError):
            if process.pid == os.getpid() or process.create_time() < leader.created - 1:
                continue
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            in_session = os.getsid(process.pid) == leader.pid and Path(process.cwd()).is_relative_to(inside)
            if in_session or process.environ().get(MARK) == mark:
                found.append(process)
    return found


def children(pid: int) -> list[psutil.Process]:
    """The direct children of a process, none when it is gone."""
    try:
        return psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []


def adopted(work_dir: Path, known: set[int]) -> list[psutil.Process]:
    """Orphans that this process adopted and that work below `work_dir`, with their descendants."""
    inside = work_dir.resolve()
    found = []
    for child in children(os.getpid()):
        with contextlib.suppress(*GONE, psutil.AccessDenied, OSError):
            if child.pid not in known and Path(child.cwd()).is_relative_to(inside):
                found += family(child.pid)
    return found


def reap_adopted(known: set[int], before: set[int]) -> set[int]:
    """Collect adopted orphans that have ended; returns the ended children seen now, to be handed in as `before`.

    Children in `known` are waited for elsewhere, and so may others be that ended a moment ago: only those seen
    `before` are collected.
    """
    ended = set()
    for child in children(os.getpid()):
        with contextlib.suppress(*GONE, ChildProcessError):
            if child.pid not in known and child.status() == psutil.STATUS_ZOMBIE:
                ended.add(child.pid)
                if child.pid in before:
                    os.waitpid(child.pid, os.WNOHANG)
    return ended


def end_when_gone(leader: psutil.Process, members: list[psutil.Process], timeout_s: float) -> None:
    """Wait for the leader to end its members and itself; then kill those of them that are left."""
    psutil.wait_procs([leader], timeout=timeout_s)
    end(members, signal.SIGKILL, 5.0)
