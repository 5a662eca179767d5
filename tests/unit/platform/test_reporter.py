"""The reporting thread over a bus in memory that can go away, and what is made of its messages."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.foundation.clock import NS_PER_MS, SystemClock
from mts1b.foundation.errors import DataError, StackError, UnknownNameError
from mts1b.foundation.redaction import remember
from mts1b.platform.telemetry import Collector, Operation, Recorder
from mts1b.platform.telemetry import listening as listening_module
from mts1b.platform.telemetry import reporter as module
from mts1b.platform.telemetry.listening import Listening, rollups_since
from mts1b.platform.telemetry.reporter import Reporter
from mts1b.platform.telemetry.rollup import MINUTE_NS, Rollup, packed, ranked, unpacked
from mts1b.platform.telemetry.spans import Totals
from mts1b.platform.telemetry.wire import (
    NEWCOMERS,
    listener_message,
    operations_message,
    read_listener,
    read_operations,
    rollup_subject,
)

WAIT_S = 10.0


class Bus:
    """What was said and kept. `up` cleared: every call fails."""

    def __init__(self) -> None:
        self.up = threading.Event()
        self.up.set()
        self.kept: dict[str, bytes] = {}
        self.said: list[tuple[str, bytes]] = []
        self.newcomers: list[tuple[str, bytes]] = []
        self.hearers: list[tuple[str, Callable[[bytes], None]]] = []
        self.changed = threading.Condition()

    async def connect(self) -> Bus:
        self._check()
        return self

    async def tell(self, subject: str, payload: bytes) -> None:
        self._check()
        with self.changed:
            (self.newcomers if subject == NEWCOMERS else self.said).append((subject, payload))
            self.changed.notify_all()
        for wanted, heard in list(self.hearers):
            if subject.startswith(wanted.removesuffix(">")):
                heard(payload)

    async def keep(self, subject: str, payload: bytes) -> None:
        self._check()
        with self.changed:
            self.kept[subject] = payload
            self.changed.notify_all()

    async def hear(self, subject: str, heard: Callable[[bytes], None]) -> None:
        self._check()
        loop = asyncio.get_running_loop()
        with self.changed:
            self.hearers.append((subject, lambda payload: loop.call_soon_threadsafe(heard, payload)))
            self.changed.notify_all()

    async def kept_since(self, since_ns: int) -> list[bytes]:
        return list(self.kept.values())

    async def close(self) -> None:
        pass

    def _check(self) -> None:
        if not self.up.is_set():
            raise StackError("nats", "memory", "is away")

    def wait(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, WAIT_S), "nothing came in time"

    def operations(self) -> list[Operation]:
        told = [payload for subject, payload in self.said if "operations" in subject]
        return [one for payload in told for one in read_operations(payload).operations]


class HandClock(SystemClock):
    """The day is set by hand; durations are real."""

    def __init__(self, now_ns: int = 100 * MINUTE_NS) -> None:
        self.now = now_ns

    def now_ns(self) -> int:
        return self.now


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_S", 0.01)
    monkeypatch.setattr(module, "RETRY_S", 0.01)


def end(collector: Collector, took_ms: float, name: str = "commit", **attributes: object) -> None:
    collector.ended(name, int(took_ms * NS_PER_MS), (7, 8, 9), attributes)


def test_slow_operations_are_told_at_once_and_all_are_kept_by_the_minute(quick: None) -> None:
    bus, clock = Bus(), HandClock()
    collector = Collector(clock, "oms")
    reporter = Reporter(bus.connect, "p1", collector)
    reporter.start()
    end(collector, 10)
    end(collector, 60, fund="f1")
    bus.wait(lambda: len(bus.said) == 1)
    (told,) = bus.operations()
    assert bus.said[0][0] == "mts.telemetry.operations.oms"
    assert (told.service, told.name, told.trace_id, told.parent_id) == ("oms", "commit", 7, 9)
    assert (told.duration_ns, told.attributes) == (60 * NS_PER_MS, {"fund": "f1"})
    bus.wait(lambda: any(unpacked(message).totals.durations["commit"].count == 2 for message in bus.kept.values()))
    clock.now += MINUTE_NS
    end(collector, 5)
    reporter.close()
    assert list(bus.kept) == [f"mts.telemetry.rollups.oms.p1.{minute}.0" for minute in (100, 101)][: len(bus.kept)]
    found = asyncio.run(rollups_since(bus, 100 * MINUTE_NS + 5))
    assert sum(rollup.totals.durations["commit"].count for rollup in found) == 3
    end(collector, 60)
    assert len(bus.said) == 1  # closed is closed


def test_what_happens_while_the_bus_is_away_is_told_later(quick: None) -> None:
    bus, clock = Bus(), HandClock()
    bus.up.clear()
    collector = Collector(clock, "oms")
    reporter = Reporter(bus.connect, "p1", collector)
    reporter.start()
    for _ in range(3):
        end(collector, 70)
        collector_has_it = threading.Event()
        collector_has_it.wait(0.05)  # the reporter's turn: it notes the minute
        clock.now += MINUTE_NS
    bus.up.set()
    bus.wait(lambda: len(bus.operations()) == 3)
    reporter.close()
    found = asyncio.run(rollups_since(bus, 0))
    assert sum(rollup.totals.durations["commit"].count for rollup in found) == 3


def test_more_than_can_be_sent_is_counted(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUE_DEPTH_MAX", 5)
    bus = Bus()
    bus.up.clear()
    collector = Collector(service="oms")
    reporter = Reporter(bus.connect, "p1", collector)
    reporter.start()
    for _ in range(8):
        end(collector, 70)
    bus.up.set()
    bus.wait(lambda: len(bus.operations()) == 5)
    reporter.close()
    assert sum(read_operations(payload).dropped for _, payload in bus.said) == 3


def test_a_listener_lowers_the_threshold_while_it_listens(quick: None) -> None:
    bus = Bus()
    collector = Collector(service="oms")
    reporter = Reporter(bus.connect, "p1", collector)
    reporter.start()
    bus.wait(lambda: bool(bus.hearers))

    async def work() -> None:
        while True:
            end(collector, 1)
            end(collector, 3)
            await asyncio.sleep(0.005)

    async def listen() -> list[int]:
        listening = Listening(bus, 2 * NS_PER_MS)
        await listening.start()
        working = asyncio.create_task(work())
        found = []
        async for operation in listening.operations():
            found.append(operation.duration_ns // NS_PER_MS)
            if len(found) == 3:
                break
        working.cancel()
        assert (listening.missed, listening.unreadable) == (0, 0)
        return found

    assert asyncio.run(asyncio.wait_for(listen(), WAIT_S)) == [3, 3, 3]
    hear = next(heard for wanted, heard in bus.hearers if "listeners" in wanted)
    hear(b"nonsense")  # somebody else's: nobody minds
    hear(listener_message("gone", 0, 0.0))
    reporter.close()
    assert {one.duration_ns // NS_PER_MS for one in bus.operations()} == {3}


def test_a_new_process_hears_at_once_who_listens(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening_module, "ANNOUNCE_S", WAIT_S)  # nobody repeats anything unasked
    bus, collector = Bus(), Collector(service="oms")
    reporter = Reporter(bus.connect, "p1", collector)

    async def listen() -> int:
        listening = Listening(bus, 2 * NS_PER_MS)
        await listening.start()
        heard = asyncio.create_task(anext(listening.operations()))
        reporter.start()
        while not heard.done():
            end(collector, 3)
            await asyncio.sleep(0.005)
        return heard.result().duration_ns // NS_PER_MS

    assert asyncio.run(asyncio.wait_for(listen(), WAIT_S / 2)) == 3
    assert bus.newcomers == [(NEWCOMERS, b"p1")]
    reporter.close()


names = st.sampled_from(["submit", "commit", "gate 1", "fünf"])
durations = st.integers(1, 10**12)
recorded = st.lists(st.tuples(names, durations), min_size=1, max_size=60)


@given(recorded, st.dictionaries(names, st.integers(0, 5)))
def test_a_rollup_survives_its_messages(ended: list[tuple[str, int]], failures: dict[str, int]) -> None:
    plain = Recorder()
    for name, duration_ns in ended:
        plain.record(name, duration_ns)
    failures = {name: failures.get(name, 0) for name in plain.steps}
    rollup = Rollup("oms", "p1", 29_400_000, Totals(plain.steps, failures))
    (message,) = packed(rollup)
    assert unpacked(message) == rollup


def test_many_operations_go_in_parts_that_stay_in_place() -> None:
    plain = Recorder()
    for number in range(120):
        plain.record(f"step {number}", 10**number if number < 15 else 5)
    rollup = Rollup("oms", "p1", 1, Totals(plain.steps, {}))
    before = packed(rollup)
    plain.record("one more", 5)
    after = packed(rollup)
    assert (len(before), before[:2]) == (3, after[:2])
    assert {name for part in after for name in unpacked(part).totals.durations} == set(plain.steps)
    assert rollup_subject(rollup, 2) == "mts.telemetry.rollups.oms.p1.1.2"


@pytest.mark.parametrize("read", [unpacked, read_operations, read_listener])
@pytest.mark.parametrize(
    "message", [b"", b"{}", b"[1]", b'{"operations": 3, "dropped": 1}', b'{"operations": {"a": []}}']
)
def test_nonsense_is_a_clear_error(read: Callable[[bytes], object], message: bytes) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read(message)


def test_ranks_are_by_p99_or_by_total_time_over_all_processes() -> None:
    def of(service: str, instance: str, **steps: list[float]) -> Rollup:
        plain = Recorder()
        for name, took in steps.items():
            for took_ms in took:
                plain.record(name, int(took_ms * NS_PER_MS))
        return Rollup(service, instance, 1, Totals(plain.steps, dict.fromkeys(steps, 1)))

    rollups = [of("oms", "a", commit=[1.0] * 600, slow=[90.0]), of("oms", "b", commit=[3.0] * 20)]
    rollups.append(of("riskengine", "c", commit=[2.0]))
    rows = ranked(rollups, 10)
    assert [(row.service, row.operation) for row in rows] == [
        ("oms", "slow"),
        ("oms", "commit"),
        ("riskengine", "commit"),
    ]
    assert [(row.count, row.failures) for row in rows] == [(1, 1), (620, 2), (1, 1)]
    assert rows[1].p99_ms == pytest.approx(3.0, rel=0.016) and rows[1].total_s == pytest.approx(0.66)
    assert [row.operation for row in ranked(rollups, 1, "total")] == ["commit"]
    with pytest.raises(UnknownNameError, match="p99"):
        ranked(rollups, 1, "p95")


def test_secrets_never_leave_in_attributes() -> None:
    remember("planted-secret-value")
    operation = Operation("oms", "http.get", 1, 2, 0, 0, 5, {"url": "https://a/?apikey=abcdef", "token": "xyz", "n": 3})
    noisy = Operation("oms", "x", 1, 2, 0, 0, 5, {"note": "with planted-secret-value in it", "long": "x" * 9_999})
    message = operations_message([operation, noisy], 0)
    assert b"abcdef" not in message and b"xyz" not in message and b"planted" not in message
    assert len(message) < 2_000 and json.loads(message)["operations"][0][7]["n"] == 3
