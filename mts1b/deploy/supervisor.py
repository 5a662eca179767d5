"""The supervisor: one process that starts the stack's servers, restarts what dies and stops them all.

Started by `mts1b.deploy.stack.up` as `python -m mts1b.deploy.supervisor DATA_DIR`. SIGHUP: read the plan again and
start what is new in it. SIGTERM: stop everything and leave.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from mts1b.deploy import processes
from mts1b.deploy.endpoints import Endpoints, ProcessMark, write_private
from mts1b.deploy.live import desk_part, exchange_part, fund_of
from mts1b.deploy.part import Part
from mts1b.deploy.plan import Plan, all_free, load_credentials, ports_of
from mts1b.deploy.postgres import postgres_part
from mts1b.deploy.ray_head import ray_part
from mts1b.deploy.servers import nats_part, valkey_part
from mts1b.deploy.watching import watchdog_errand
from mts1b.foundation.clock import NS_PER_S, Clock, SystemClock
from mts1b.foundation.errors import MtsError, StackError
from mts1b.foundation.limits import START_TIMEOUT_S
from mts1b.platform.logging import get_logger, setup_logging
from mts1b.platform.telemetry.targets import live_targets

BUILDERS: dict[str, Callable[[Plan, dict[str, str], bool], Part]] = {
    "postgres": postgres_part,
    "nats": nats_part,
    "valkey": valkey_part,
    "ray": ray_part,
}


def builder(name: str) -> Callable[[Plan, dict[str, str], bool], Part]:
    """How a part is made: one of the four servers, or a fund's exchange or desk."""
    if name in BUILDERS:
        return BUILDERS[name]
    kind, fund_id = fund_of(name)
    return partial({"exchange": exchange_part, "desk": desk_part}[kind], fund_id)


LOG = get_logger("mts1b.supervisor")

BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.1, 10.0
STEADY_S = 30.0
"""A part that was up this long is restarted without delay."""

FIRST_START_ATTEMPTS = 3
"""A free port may be taken between its choice and its use: a first start is tried again with other ports."""

CHECK_INTERVAL_S = 1.0
LOG_BYTES_MAX = 16 << 20


@dataclass(frozen=True, slots=True)
class PartState:
    """What the supervisor knows of one part. `state`: starting, up, restarting, failed or stopped."""

    state: str
    pid: int = 0
    restarts: int = 0
    field: str = ""
    value: str = ""
    problem: str = ""


class Supervisor:
    """Keeps the parts of one plan running. All of it happens in one thread, on one event loop."""

    def __init__(self, plan: Plan, clock: Clock) -> None:
        self.plan = plan
        self.clock = clock
        self.credentials = load_credentials(plan.run_dir)
        self.stopping = asyncio.Event()
        self.states: dict[str, PartState] = {}
        self.keepers: dict[str, asyncio.Task[None]] = {}
        self.running: dict[str, tuple[Part, asyncio.subprocess.Process]] = {}
        self.building = asyncio.Lock()
        self.endings: set[asyncio.Task[None]] = set()
        self.watching: asyncio.Task[None] | None = None
        self.watched_head = 0
        self.zombies: set[int] = set()
        self.targets = plan.run_dir / "prometheus" / "services"
        mark = ProcessMark.of(os.getpid())
        assert mark is not None
        self.mark = mark
        self.found = Endpoints(data_dir=plan.data_dir, supervisor_pid=mark.pid, supervisor_created=mark.created)

    async def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self.stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self.extend)
        self.publish()
        self.extend()
        while not self.stopping.is_set():
            self.zombies = processes.reap_adopted(self.own_pids(), self.zombies)
            live_targets(self.targets)  # Prometheus is not to look for processes that were killed
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), CHECK_INTERVAL_S)
        await self.stop()

    def extend(self) -> None:
        """Start a keeper for each part of the plan that has none, or whose first start failed; end those it lacks."""
        self.plan = Plan.load(self.plan.root)
        for name in [name for name in self.keepers if name not in self.plan.parts]:
            ending = asyncio.create_task(self.drop(name, self.keepers.pop(name)))
            self.endings.add(ending)
            ending.add_done_callback(self.endings.discard)
        for name in self.plan.parts:
            if name not in self.keepers or self.keepers[name].done():
                self.note(name, PartState("starting"))
                self.keepers[name] = asyncio.create_task(self.keep(name), name=name)
                self.keepers[name].add_done_callback(self.keeper_ended)
        self.watch()

    def watch(self) -> None:
        """Have the watchdog begun, where it is wanted, on a head that is new, as soon as all it watches are up."""
        wanted = [name for name in self.plan.parts if name in BUILDERS]
        head = self.states["ray"].pid if "ray" in wanted else 0
        if not head or head == self.watched_head or any(self.states[name].state != "up" for name in wanted):
            return
        if not Plan.load(self.plan.root).watched:
            return
        self.watched_head = head
        if self.watching is not None:
            self.watching.cancel()
        self.watching = asyncio.create_task(self.begin_watchdog())

    async def begin_watchdog(self) -> None:
        """An errand of a few seconds: the actor lives on Ray."""
        errand = watchdog_errand(self.plan)
        for attempt in range(1, FIRST_START_ATTEMPTS + 1):
            process = await self.spawn(errand)
            try:
                if await process.wait() == 0:
                    return
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            LOG.warning("the watchdog does not begin", attempt=attempt, problem=last_line(errand.log_path))
            await asyncio.sleep(BACKOFF_MAX_S)

    def keeper_ended(self, keeper: asyncio.Task[None]) -> None:
        """A keeper must not die unseen: what killed it goes to the log and to `mts status`."""
        error = None if keeper.cancelled() else keeper.exception()
        if error is not None:
            LOG.critical("a keeper ended", part=keeper.get_name(), exc_info=error)
            self.note(keeper.get_name(), PartState("failed", field=keeper.get_name(), problem=repr(error)))

    async def drop(self, name: str, keeper: asyncio.Task[None]) -> None:
        """Stop one part that is not wanted any more."""
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        if name in self.running:
            await self.finish(*self.running[name])
        if name not in self.keepers:  # nobody wants it again meanwhile
            self.states.pop(name, None)
            self.save_states()

    def own_pids(self) -> set[int]:
        return {process.pid for _, process in self.running.values()}

    async def keep(self, name: str) -> None:
        """Start one part, wait for its end, start it again; a first start that fails ends the keeper."""
        try:
            part, process = await self.first_start(name)
        except MtsError as error:
            self.note(name, PartState("failed", 0, 0, error.field, str(error.value), error.problem))
            return
        restarts, delay_s = 0, BACKOFF_FIRST_S
        while True:
            since_ns = self.clock.monotonic_ns()
            problem = await self.until_lost(part, process)
            self.note(name, PartState("restarting", 0, restarts + 1, problem=problem))
            LOG.warning("lost a part; starting it again", part=name, restarts=restarts + 1, problem=problem)
            await self.finish(part, process, lost=True)
            if self.clock.monotonic_ns() - since_ns > STEADY_S * NS_PER_S:
                delay_s = BACKOFF_FIRST_S
            while True:
                restarts += 1
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, BACKOFF_MAX_S)
                try:
                    process = await self.start(part, restarts)
                    break
                except MtsError as error:
                    self.note(name, PartState("restarting", 0, restarts, problem=error.problem))

    async def first_start(self, name: str) -> tuple[Part, asyncio.subprocess.Process]:
        for attempt in range(1, FIRST_START_ATTEMPTS + 1):
            try:
                async with self.building:  # they choose ports from one file
                    part = await asyncio.to_thread(builder(name), self.plan, self.credentials, attempt > 1)
                return part, await self.start(part, 0)
            except StackError:
                if attempt == FIRST_START_ATTEMPTS or not port_lost(self.plan, name):
                    raise
            except OSError as error:
                raise StackError(name, error.filename, error.strerror or str(error), "see the logs") from error
        raise AssertionError("unreachable")

    async def start(self, part: Part, restarts: int) -> asyncio.subprocess.Process:
        """Start the server and wait until it answers. StackError, with the end of its log, when it does not."""
        await asyncio.to_thread(part.prepare)
        process = await self.spawn(part)
        self.running[part.name] = part, process
        deadline_ns = self.clock.monotonic_ns() + int(START_TIMEOUT_S * NS_PER_S)
        problem = ""
        while not await self.ready(part, process):
            if process.returncode is not None:
                problem = f"ended with code {process.returncode}: {last_line(part.log_path)}"
            elif self.clock.monotonic_ns() > deadline_ns:
                problem = f"did not answer within {START_TIMEOUT_S:.0f} s: {last_line(part.log_path)}"
            if problem:
                await self.finish(part, process)
                raise StackError(part.name, str(part.log_path), problem, "see that log")
            await asyncio.sleep(0.05)
        self.found = replace(self.found, **part.fields, pids={**self.found.pids, part.name: process.pid})  # type: ignore[arg-type]
        self.publish()
        self.note(part.name, PartState("up", process.pid, restarts))
        self.watch()
        return process

    async def ready(self, part: Part, process: asyncio.subprocess.Process) -> bool:
        if process.returncode is not None:
            return False
        try:
            if not await part.answers():
                return False
            if part.settle is not None:
                await part.settle()
        except StackError:
            return False
        return process.returncode is None

    async def spawn(self, part: Part) -> asyncio.subprocess.Process:
        log = await asyncio.to_thread(open_log, part.log_path)
        try:
            process = await asyncio.create_subprocess_exec(
                *part.command,
                env={**part.environment, processes.MARK: processes.mark_of(self.mark)},
                cwd=part.work_dir,
                stdin=asyncio.subprocess.PIPE if part.stdin else asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=processes.die_with_parent(part.stop_signal, os.getpid()),
            )
        except OSError as error:
            raise StackError(part.name, part.command[0], error.strerror or str(error), "install it again") from None
        finally:
            log.close()
        if process.stdin is not None:
            process.stdin.write(part.stdin)
            with contextlib.suppress(ConnectionError):
                await process.stdin.drain()
            process.stdin.close()
        return process

    async def until_lost(self, part: Part, process: asyncio.subprocess.Process) -> str:
        """Wait until the server ends or, for one of several processes, until one of them is gone; say which."""
        members: set[ProcessMark] = set()
        before: set[ProcessMark] = set()
        ended = asyncio.ensure_future(process.wait())
        while not ended.done():
            await asyncio.wait({ended}, timeout=CHECK_INTERVAL_S)
            if part.whole and not ended.done():
                now = {mark for child in processes.children(process.pid) if (mark := ProcessMark.of(child.pid))}
                members, before = members | (now & before), now  # what is seen once may be an errand of a moment
                lost = [mark.pid for mark in members if mark.process() is None]
                if lost:
                    return f"lost process {lost[0]}"
        return f"ended with code {process.returncode}"

    async def finish(self, part: Part, process: asyncio.subprocess.Process, lost: bool = False) -> None:
        """End the server and whatever of it is left, adopted orphans included; at once when it is `lost` already."""
        family = processes.family(process.pid) if process.returncode is None else []
        if process.returncode is None and not lost:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(part.stop_signal)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), part.stop_timeout_s)
        others = [*family, *processes.adopted(part.work_dir, self.own_pids())]
        await asyncio.to_thread(processes.end, others, signal.SIGTERM, 0.5)
        await process.wait()
        self.running.pop(part.name, None)

    async def stop(self) -> None:
        """Stop all parts: desks, then Ray, as its workers use the others; then the others side by side."""
        for keeper in self.keepers.values():
            keeper.cancel()
        errands = [] if self.watching is None else [self.watching]
        for errand in errands:
            errand.cancel()
        await asyncio.gather(*self.keepers.values(), *self.endings, *errands, return_exceptions=True)
        desks = tuple(name for name in self.running if name.startswith("desk-"))
        rest = tuple(name for name in self.running if name not in (*desks, "ray"))
        for group in (desks, ("ray",), rest):
            left = [self.running[name] for name in group if name in self.running]
            await asyncio.gather(*(self.finish(part, process) for part, process in left))
        for name in self.states:
            self.note(name, PartState("stopped"))

    def note(self, name: str, state: PartState) -> None:
        self.states[name] = state
        self.save_states()

    def save_states(self) -> None:
        text = json.dumps({part: asdict(state) for part, state in self.states.items()})
        try:
            write_private(self.plan.run_dir / "state.json", text)
        except OSError as error:  # what is kept running goes on, whether it can be told or not
            LOG.warning("states are not written", problem=error.strerror)

    def publish(self) -> None:
        write_private(self.plan.run_dir / "stack.json", self.found.to_json())


def open_log(path: Path) -> BinaryIO:
    """The log, opened to append; a large one is put aside first, in place of the one before it."""
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_suffix(".log.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def last_line(path: Path) -> str:
    """The last line of a log that is not empty."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "its log is empty"


def port_lost(plan: Plan, name: str) -> bool:
    """Whether one of the part's ports, none of them given, is held by another program now."""
    known: dict[str, int] = json.loads((plan.run_dir / "ports.json").read_text())
    chosen = {port: known[port] for port in ports_of(name)}
    return not any(plan.ports.get(port) for port in chosen) and not all_free(chosen)


def main(arguments: list[str]) -> None:
    data_dir = Path(arguments[0])
    setup_logging("supervisor")
    processes.adopt_orphans()

    async def supervise() -> None:
        await Supervisor(Plan.load(data_dir), SystemClock()).run()

    asyncio.run(supervise())


if __name__ == "__main__":
    main(sys.argv[1:])
