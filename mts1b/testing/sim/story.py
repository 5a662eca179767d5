"""One whole story from a seed: trade under faults, let everything settle, compare; take everything back, compare."""

from __future__ import annotations

import gc
import sys
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

from mts1b.foundation.clock import NS_PER_MS, NS_PER_S
from mts1b.foundation.commands import CancelAll
from mts1b.oms import groups
from mts1b.testing.journal import MemoryStore
from mts1b.testing.sim.auditor import Auditor, Violation
from mts1b.testing.sim.bus import SimBus
from mts1b.testing.sim.client import Client
from mts1b.testing.sim.faults import AT_POINTS, Fault, Kind, draw
from mts1b.testing.sim.host import FUND, OPENING_CASH, PRICE, SYMBOLS, Host
from mts1b.testing.sim.loop import Process, SimClock, SimLoop
from mts1b.testing.sim.network import CALM, Network, Weather
from mts1b.testing.sim.venue import SimVenue

ORDERS_MIN = 60
"""Orders asked for in one story; some are refused."""

BASE = Weather(0.01, 0.01, 0.01)
TICK_NS = 200 * NS_PER_MS
WATCH_NS = 100 * NS_PER_MS
RESTART_NS = (200 * NS_PER_MS, 2 * NS_PER_S)
MISSED_NS = 2 * NS_PER_S
"""How long an OMS may be stopped before the watch starts another."""
SETTLE_S_MAX = 90.0
TRACE_LINES = 40


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a seed: `violation` empty when nothing did. `digest` tells two runs apart."""

    seed: int
    violation: str
    orders: int
    fills: int
    faults: Counter[str]
    commits: int
    messages: int
    simulated_s: float
    digest: str
    trace: tuple[str, ...] = field(repr=False)

    @property
    def faults_fired(self) -> int:
        return sum(count for name, count in self.faults.items() if not name.startswith("message_"))


class Story:
    """The machine room: processes, what connects them, what goes wrong."""

    def __init__(self, seed: int, host: type[Host] = Host) -> None:
        self.seed, self._host_type = seed, host
        self._random = Random(seed)
        self.loop = SimLoop(self._instant)
        self.faults: Counter[str] = Counter()
        self.trace: deque[str] = deque(maxlen=TRACE_LINES)
        self.network = Network(self.loop, self._random, self.note)
        self.store, self.bus = MemoryStore(), SimBus(self.network, self._random)
        self.at_venue, self.at_client = Process(self.loop, "venue"), Process(self.loop, "strategy")
        self.room = Process(self.loop, "room")
        self.venue = SimVenue(SimClock(self.loop), self._random, SYMBOLS, Decimal(PRICE))
        self.auditor = Auditor(self.store, self.venue, FUND, Decimal(OPENING_CASH))
        self.client = Client(
            self.at_client, self.network, self._random, SimClock(self.loop), self.venue, lambda: self.oms
        )
        self.hosts: list[Host] = []
        self._is_starting = False
        self._planned = draw(self._random)
        self._points = [fault for fault in self._planned if fault.kind in AT_POINTS]
        self._passed = 0
        self._is_calm = False
        self._stopped_ns: dict[Host, int] = {}
        self._restarts = 0

    @property
    def oms(self) -> Host | None:
        """Who answers for the fund: the writer while it is up, else whoever came last."""
        living = [host for host in self.hosts if not host.process.is_dead]
        writers = [host for host in living if host.journal.holds_lease() and host.is_up]
        return next(iter([*writers, *reversed(living)]), None)

    # -- the whole ---------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """The story to its end, or to the first violation."""
        try:
            self._tell()
        except Violation as violation:
            self.auditor.violation = self.auditor.violation or str(violation)
        return self._outcome()

    def _tell(self) -> None:
        self.network.weather = BASE
        self._start_host()
        self.room.call(WATCH_NS, self._watch)
        self.at_venue.call(TICK_NS, self._tick)
        for fault in self._planned:
            if fault.kind not in AT_POINTS:
                self.room.call(fault.at, self._fire, fault)
        self.at_client.start(self.client.mark())
        self.at_client.start(self.client.trade(ORDERS_MIN))
        self._until(lambda: not self.client.is_trading)
        while self._points:
            fault = self._points.pop()
            at_once = Kind.CRASH if self._random.random() < 0.5 else Kind.STOP
            self._fire(Fault(at_once, 0, fault.lasts_ns, fault.weather))
        self._until(lambda: self.client.is_answered and self.loop.now_ns > self._last_fault_ns())
        self._settle()
        self.at_client.call(0, lambda: self.client.send("cancel_all", CancelAll("the end")))
        self._until(lambda: False, 0.2)
        self._settle()
        self._must_be_over()

    def _last_fault_ns(self) -> int:
        return max((fault.at + fault.lasts_ns for fault in self._planned if fault.kind not in AT_POINTS), default=0)

    def _settle(self) -> None:
        """Nothing goes wrong any more: everything must come to rest, and agree."""
        self._is_calm = True
        self.network.weather, self.bus.is_down = CALM, False
        self._go_on(self.at_venue)
        for host in self.hosts:
            self._go_on(host.process)
            if host.risk_process is not None:
                self._go_on(host.risk_process.process)
        self._until(self._is_at_rest, SETTLE_S_MAX)
        if not self._is_at_rest():
            raise Violation(f"does not come to rest: {self._unrest()}")
        assert self.oms is not None
        self.auditor.settled([item.message_id for item in self.bus.published], self.oms.risk)

    def _must_be_over(self) -> None:
        still = [order for order in self.auditor.orders.values() if not order.status.is_terminal]
        if still:
            raise Violation(f"{still[0].order_id} is {still[0].status} after everything was taken back")

    def _is_at_rest(self) -> bool:
        return not self._unrest()

    def _unrest(self) -> str:
        host = self.oms
        if host is None or not host.is_up or not (host.oms._steps.ready and host.oms._steps.accepting):
            return "no OMS takes orders"
        if not self.client.is_answered:
            return "the strategy waits for answers"
        if host.oms.report_sequence != len(self.venue.reports):
            return f"reports are followed to {host.oms.report_sequence} of {len(self.venue.reports)}"
        if host.journal.is_writing:
            return "commits are under way"
        if host.risk_process is not None and not host.risk_process.is_up:
            return "risk has not been told everything"
        if host.risk.state.reserved:
            return f"risk still counts {next(iter(host.risk.state.reserved))}, which became no order"
        if unsettled := host.oms.unsettled():
            return f"{unsettled[0].order_id} is {unsettled[0].status}"
        if self.store.outbox:
            return f"{len(self.store.outbox)} messages wait in the outbox"
        table = host.oms._steps.table
        busy = [name for name in table.groups() if groups.to_do(table.group(name))]
        return f"group {busy[0]} has something to do" if busy else ""

    # -- what happens by itself --------------------------------------------------------------------------------------

    def _until(self, is_over: Callable[[], bool], limit_s: float = 600.0) -> None:
        end_ns = self.loop.now_ns + int(limit_s * NS_PER_S)
        self.loop.run_until(lambda: bool(self.auditor.violation) or is_over() or self.loop.now_ns >= end_ns)
        if self.auditor.violation:
            raise Violation(self.auditor.violation)

    def _instant(self) -> None:
        for host in self.hosts:
            host.look()

    def _tick(self) -> None:
        if not self._is_calm:
            self.venue.tick()
        self.at_venue.call(TICK_NS, self._tick)

    def _watch(self) -> None:
        """Starts an OMS when none is up, as Ray and whoever watches it do."""
        self.room.call(WATCH_NS, self._watch)
        if not self._is_starting and not any(self._is_missed_by_none(host) for host in self.hosts):
            self._is_starting = True
            self.room.call(self._random.randint(*RESTART_NS), self._start_host)

    def _is_missed_by_none(self, host: Host) -> bool:
        """Alive, and not stopped for so long that anybody has noticed."""
        if host.process.is_dead:
            return False
        return not host.process.is_stopped or self.loop.now_ns - self._stopped_ns.get(host, 0) <= MISSED_NS

    def _start_host(self) -> None:
        self._is_starting = False
        self._restarts += 1
        host = self._host_type(
            self._restarts,
            self.loop,
            self._random,
            self.store,
            self.bus,
            self.venue,
            self.at_venue,
            self.network,
            self.auditor,
            self.note,
            self._at_point,
        )
        self.hosts = [*(other for other in self.hosts if not other.process.is_dead), host]
        self.note(f"{host.process.name} starts")
        host.start()

    # -- what goes wrong ---------------------------------------------------------------------------------------------

    def note(self, what: str) -> None:
        """Something for the trace; faults are counted by their name."""
        if what.startswith("message_"):
            self.faults[what] += 1
        else:
            self.trace.append(f"{self.loop.now_ns / NS_PER_S:9.4f} s  {what}")

    def _at_point(self, host: Host, before: bool) -> Fault | None:
        """The fault that waits at this persistence point, which has been carried out when this returns."""
        self._passed += 1
        kinds = AT_POINTS[0::2] if before else AT_POINTS[1::2]
        for fault in self._points:
            if fault.kind in kinds and self._passed >= fault.at:
                self._points.remove(fault)
                self._fire(fault, host)
                return fault
        return None

    def _fire(self, fault: Fault, host: Host | None = None) -> None:
        host = host or self.oms
        self.faults[fault.kind.value] += 1
        self.note(f"{fault.kind.value} at point {self._passed}, for {fault.lasts_ns / NS_PER_S:.2f} s")
        match fault.kind:
            case Kind.CRASH | Kind.CRASH_BEFORE | Kind.CRASH_AFTER if host is not None:
                host.process.kill()
            case Kind.STOP | Kind.STOP_BEFORE | Kind.STOP_AFTER if host is not None:
                self._stop(host, fault.lasts_ns)
            case Kind.STALL_VENUE:
                self._pause(self.at_venue, fault.lasts_ns)
            case Kind.STORM:
                self.network.weather = fault.weather
                self.room.call(fault.lasts_ns, self._clear_up)
            case Kind.BUS_DOWN:
                self.bus.is_down = True
                self.room.call(fault.lasts_ns, self._bus_up)
            case Kind.SECOND_OMS:
                self._start_host()
            case Kind.CRASH_RISK if host is not None:
                (host.process if host.risk_process is None else host.risk_process).kill()
            case Kind.STOP_RISK if host is not None:
                if host.risk_process is None:
                    self._stop(host, fault.lasts_ns)
                else:
                    self._pause(host.risk_process.process, fault.lasts_ns)

    def _stop(self, host: Host, lasts_ns: int) -> None:
        self._pause(host.process, lasts_ns)
        self._stopped_ns[host] = self.loop.now_ns

    def _pause(self, process: Process, lasts_ns: int) -> None:
        process.stop()
        self.room.call(lasts_ns, self._go_on, process)

    def _go_on(self, process: Process) -> None:
        if process.is_stopped:
            self.note(f"{process.name} goes on")
            process.go_on()

    def _clear_up(self) -> None:
        self.network.weather = CALM if self._is_calm else BASE

    def _bus_up(self) -> None:
        self.bus.is_down = False

    def _outcome(self) -> Outcome:
        kept = [order for order in self.auditor.orders.values() if order.order_type is not None]
        return Outcome(
            self.seed,
            self.auditor.violation,
            len(kept),
            len(self.store.fills),
            self.faults,
            self.store.commits,
            self.network.carried,
            self.loop.now_ns / NS_PER_S,
            self.store.head.hash[:16],
            tuple(self.trace),
        )


def run_seed(seed: int, host: type[Host] = Host) -> Outcome:
    """One story. The same seed tells the same story."""
    return Story(seed, host).run()


@contextmanager
def quiet_ends() -> Iterator[None]:
    """Killed processes leave tasks in the middle of things; when those are swept up, they have nothing to say."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "coroutine '.*' was never awaited", RuntimeWarning)
        try:
            yield
            gc.collect()
        finally:
            sys.unraisablehook = hook
