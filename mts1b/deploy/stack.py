"""Bring the stack up and down, and say how it is. `mts up|down|status` and `mts1b-deploy` are these functions."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from mts1b.config import Settings, child_environment
from mts1b.deploy import processes
from mts1b.deploy.endpoints import (
    PARTS,
    Endpoints,
    ProcessMark,
    embedded_parts,
    endpoints,
    endpoints_path,
    read_running,
    with_given,
)
from mts1b.deploy.health import PartStatus, ask, read_states, status
from mts1b.deploy.observability import write_observability
from mts1b.deploy.plan import Plan, prepare_directories, require_free
from mts1b.deploy.ray_head import remove_link
from mts1b.foundation.clock import NS_PER_S, Clock
from mts1b.foundation.errors import StackError
from mts1b.foundation.limits import START_TIMEOUT_S, STOP_TIMEOUT_S

__all__ = ["Endpoints", "PartStatus", "down", "endpoints", "status", "up"]

Progress = Callable[[str, str], None]
"""Called with a part's name and its state each time that changes."""

POLL_S = 0.05

LEFT_BEHIND = ((signal.SIGTERM, 5.0), (signal.SIGINT, 8.0), (signal.SIGKILL, STOP_TIMEOUT_S), (signal.SIGKILL, 60.0))
"""What is sent to what a killed supervisor left, and after how many seconds. SIGINT is Postgres' fast shutdown."""


def up(
    settings: Settings,
    clock: Clock,
    progress: Progress | None = None,
    parts: Sequence[str] = PARTS,
    watched: bool = False,
) -> Endpoints:
    """Start those of `parts` that are neither up nor replaced by a setting, wait until each answers.

    Harmless when they are up. Adds to a running stack the parts it lacks. `watched`: the supervisor begins the watchdog
    once all are up, and whenever Ray has been started again. StackError when a part cannot be started
    (naming its port, directory or the last line of its log) or when one named by a setting does not answer.
    """
    tell = progress or (lambda _part, _state: None)
    wanted = embedded_parts(settings, tuple(parts))
    if wanted:
        prepare_directories(settings.data_dir)
        with _alone(settings, clock):
            _bring_up(settings, clock, wanted, tell, watched)
            write_observability(settings)
    found = with_given(settings, read_running(settings) or Endpoints(data_dir=str(settings.data_dir)))
    for part in parts:
        if part not in wanted:
            asyncio.run(ask(part, found))
            tell(part, "up")
    return found


def down(settings: Settings, clock: Clock) -> None:
    """Stop every process of the embedded stack and remove what only a running one needs; the data stay.

    Harmless when nothing runs. Returns once the processes are gone.
    """
    try:
        if not settings.run_dir.is_dir():
            return
    except PermissionError:
        raise _not_ours(settings) from None
    with _alone(settings, clock):
        _take_down(settings, clock)


def keep(settings: Settings, clock: Clock, parts: Sequence[str], progress: Progress | None = None) -> None:
    """Have the supervisor of a running stack start these parts besides and keep them; wait until each is up."""
    endpoints(settings)  # StackError when the stack is not up
    with _alone(settings, clock):
        _bring_up(settings, clock, tuple(parts), progress or (lambda _part, _state: None))


def let_go(settings: Settings, clock: Clock, part: str) -> None:
    """Have the supervisor stop one part; returns once it has. Harmless when it does not run."""
    with _alone(settings, clock):
        running = read_running(settings)
        if running is None:
            return
        plan = Plan.load(settings.data_dir)
        replace(plan, parts=tuple(name for name in plan.parts if name != part)).save()
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.supervisor_pid, signal.SIGHUP)
        deadline_ns = clock.monotonic_ns() + int(2 * STOP_TIMEOUT_S * NS_PER_S)
        while part in read_states(settings):
            if clock.monotonic_ns() > deadline_ns:
                raise StackError(part, str(settings.data_dir), "does not stop", "see `mts status`")
            _pause()


def have_watched(settings: Settings, clock: Clock, wanted: bool = True, now: bool = True) -> None:
    """Have the supervisor of a running stack begin the watchdog (`now`, or when Ray is new), or do so no longer."""
    with _alone(settings, clock):
        running = read_running(settings)
        if running is None:
            return
        replace(Plan.load(settings.data_dir), watched=wanted).save()
        if now:
            with contextlib.suppress(ProcessLookupError):
                os.kill(running.supervisor_pid, signal.SIGHUP)


def _bring_up(settings: Settings, clock: Clock, wanted: tuple[str, ...], tell: Progress, watched: bool = False) -> None:
    running = read_running(settings)
    ports = {"ray.gcs_port": settings.ray.gcs_port, "ray.dashboard_port": settings.ray.dashboard_port}
    ports = {name: port for name, port in ports.items() if port}
    if running is None:
        _take_down(settings, clock)  # what a killed supervisor left
        require_free(ports if "ray" in wanted else {})
        _write_plan(settings, wanted, ports, watched)
        supervisor = _launch(settings)
    else:
        before = Plan.load(settings.data_dir)
        _same_ports(before, running, ports)
        parts = tuple(dict.fromkeys((*before.parts, *wanted)))
        _write_plan(settings, parts, before.ports | ports, watched or before.watched)
        supervisor = ProcessMark(running.supervisor_pid, running.supervisor_created)
        with contextlib.suppress(ProcessLookupError):  # it ended a moment ago: found out below
            os.kill(supervisor.pid, signal.SIGHUP)
    try:
        _wait_until_up(settings, clock, supervisor, wanted, tell)
    except BaseException as error:
        if running is None:
            _take_down(settings, clock)
        elif isinstance(error, StackError) and supervisor.process() is None:
            return _bring_up(settings, clock, wanted, tell, watched)  # it was dying when it was asked: start anew
        raise


def _same_ports(before: Plan, running: Endpoints, ports: dict[str, int]) -> None:
    if "ray" in before.parts and running.ray_address:
        used = {"ray.gcs_port": running.ray_address, "ray.dashboard_port": running.dashboard_url}
        for name, port in ports.items():
            if not used[name].endswith(f":{port}"):
                raise StackError(name, port, f"the running stack uses {used[name]}", "run `mts down` first")
    else:
        require_free(ports)


def _write_plan(settings: Settings, parts: tuple[str, ...], ports: dict[str, int], watched: bool) -> None:
    Plan(
        data_dir=str(settings.data_dir),
        parts=parts,
        ports=ports,
        ray_num_cpus=settings.ray.num_cpus,
        ray_object_store_bytes=settings.ray.object_store_bytes,
        watched=watched,
    ).save()


def _launch(settings: Settings) -> ProcessMark:
    """Start the supervisor in a session of its own: no terminal's signals reach it."""
    log = os.open(settings.data_dir / "logs" / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "mts1b.deploy.supervisor", str(settings.data_dir)],
            env=child_environment(),
            cwd=settings.data_dir,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)
    threading.Thread(target=child.wait, daemon=True).start()  # no zombie is left when it ends before we do
    mark = ProcessMark.of(child.pid)
    if mark is None:
        raise StackError("supervisor", child.pid, "ended at once", f"see {settings.data_dir / 'logs'}")
    return mark


def _wait_until_up(
    settings: Settings, clock: Clock, supervisor: ProcessMark, wanted: tuple[str, ...], tell: Progress
) -> None:
    deadline_ns = clock.monotonic_ns() + int((2 * START_TIMEOUT_S) * NS_PER_S)
    told: dict[str, str] = {}
    while True:
        states = read_states(settings) if read_running(settings) is not None else {}
        for part in wanted:
            state = str(states.get(part, {}).get("state", "starting"))
            if told.get(part) != state:
                told[part] = state
                tell(part, state)
            if state == "failed":
                seen = states[part]
                raise StackError(str(seen["field"]), seen["value"], str(seen["problem"]), "see `mts status`")
        if all(told[part] == "up" for part in wanted):
            return
        if supervisor.process() is None:
            log = settings.data_dir / "logs" / "supervisor.log"
            raise StackError("supervisor", supervisor.pid, "ended unexpectedly", f"see {log}")
        if clock.monotonic_ns() > deadline_ns:
            late = [part for part in wanted if told[part] != "up"]
            raise StackError("stack", ",".join(late), "not up in time", f"see {settings.data_dir / 'logs'}")
        _pause()


def _take_down(settings: Settings, clock: Clock) -> None:
    path = endpoints_path(settings)
    leader = None
    if path.exists():
        found = Endpoints.from_json(path.read_text())
        leader = ProcessMark(found.supervisor_pid, found.supervisor_created)
        supervisor = leader.process()
        if supervisor is not None:
            family = processes.family(supervisor.pid)
            processes.send([supervisor], signal.SIGTERM)
            processes.end_when_gone(supervisor, family, 3 * STOP_TIMEOUT_S)
        _end_left_behind(settings, clock, leader)
    for name in ("stack.json", "state.json", "plan.json"):
        (settings.run_dir / name).unlink(missing_ok=True)
    remove_link(settings.run_dir)


def _end_left_behind(settings: Settings, clock: Clock, leader: ProcessMark) -> None:
    """The kernel tells servers to stop when their supervisor is killed. Wait; then ask those left, then kill them."""
    since_ns = clock.monotonic_ns()
    for what, after_s in LEFT_BEHIND:
        while left := processes.left_behind(leader, settings.data_dir):
            if clock.monotonic_ns() - since_ns > after_s * NS_PER_S:
                processes.send(left, what)
                break
            _pause()


@contextlib.contextmanager
def _alone(settings: Settings, clock: Clock) -> Iterator[None]:
    """One `up` or `down` of a data directory at a time; the others wait for it."""
    deadline_ns = clock.monotonic_ns() + int((2 * START_TIMEOUT_S + STOP_TIMEOUT_S) * NS_PER_S)
    try:
        descriptor = os.open(settings.run_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError:
        raise _not_ours(settings) from None
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if clock.monotonic_ns() > deadline_ns:
                    problem = "another `mts up` or `mts down` holds it"
                    raise StackError("data_dir", str(settings.data_dir), problem, "wait for it to end") from None
                _pause()
        yield
    finally:
        os.close(descriptor)


def _not_ours(settings: Settings) -> StackError:
    return StackError("data_dir", str(settings.data_dir), "belongs to another user", "give --data-dir")


def _pause() -> None:
    threading.Event().wait(POLL_S)
