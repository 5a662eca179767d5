"""The watch and its sinks, without a server: what fails speaks, and nobody waits for anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from mts1b.foundation.alerts import Ease, Finding, Severity
from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.errors import InputError, StackError
from mts1b.foundation.redaction import remember
from mts1b.testing.clock import SimulatedClock
from mts1b.watchdog.book import Alert, Change, ChangeKind, Terms
from mts1b.watchdog.delivery import Delivery
from mts1b.watchdog.drift import DriftLevels
from mts1b.watchdog.published import AlertCleared, AlertRaised, alert_event
from mts1b.watchdog.series import FEATURE_ALERT, SERIES_MAX, SeriesBook, WindowTerms, judged, thinned
from mts1b.watchdog.sinks import WebhookSink, told
from mts1b.watchdog.watch import Watch


@dataclass
class Scripted:
    """A check that finds what it is told to, or raises it."""

    found: Sequence[Finding] | BaseException = ()
    hangs: bool = False
    name: str = "scripted"
    alerts: frozenset[str] = frozenset({"a"})
    period_s: float = 0.01
    timeout_s: float = 0.05

    async def findings(self) -> Sequence[Finding]:
        if self.hangs:
            await asyncio.Event().wait()
        if isinstance(self.found, BaseException):
            raise self.found
        return self.found


@dataclass
class Kept:
    """A sink that keeps what it is sent, or refuses it as often as it is told to."""

    name: str = "kept"
    refuses: int = 0
    changes: list[Change] = field(default_factory=list)

    async def send(self, change: Change) -> None:
        if self.refuses:
            self.refuses -= 1
            raise StackError("sink", self.name, "is away", "wait")
        self.changes.append(change)


def bad(subject: str = "s", severity: Severity = Severity.WARNING) -> Finding:
    return Finding("a", subject, severity, f"{subject} is bad", (("x_ms", 1.0),))


def watching(
    check: Scripted, terms: Terms = Terms(), clock: SimulatedClock | None = None
) -> tuple[Watch, list[Change]]:
    changes: list[Change] = []
    return Watch([check], {"a": terms}, changes.append, clock or SimulatedClock()), changes


async def until(happened: Callable[[], bool]) -> None:
    """Let the others run until something has happened, 5 s at most."""
    async with asyncio.timeout(5):
        while not happened():  # noqa: ASYNC110 - nothing in what is tested would set an event
            await asyncio.sleep(0)


def seen(changes: list[Change]) -> list[tuple[str, str, str]]:
    return [(change.kind.value, change.alert.alert, change.alert.subject) for change in changes]


def test_a_subject_that_is_no_longer_there_is_cleared() -> None:
    check = Scripted([bad("s"), bad("t")])
    watch, changes = watching(check)

    async def story() -> None:
        await watch.look("scripted")
        check.found = [bad("t")]
        await watch.look("scripted")

    asyncio.run(story())
    assert seen(changes) == [("raised", "a", "s"), ("raised", "a", "t"), ("cleared", "a", "s")]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (StackError("db", "primary", "does not answer", "wait"), "does not answer"),
        (ZeroDivisionError("a defect"), "ZeroDivisionError: a defect"),
        (None, "took more than"),
    ],
)
def test_a_check_that_fails_or_hangs_raises_its_own_alert_and_keeps_what_stands(
    error: BaseException | None, says: str
) -> None:
    check = Scripted([bad()])
    watch, changes = watching(check)

    async def story() -> None:
        await watch.look("scripted")
        check.hangs, check.found = error is None, error or ()
        for _ in range(2):
            await watch.look("scripted")
        check.hangs, check.found = False, [Finding("a", "s", Ease.WELL)]
        await watch.look("scripted")

    asyncio.run(story())
    assert seen(changes) == [
        ("raised", "a", "s"),
        ("raised", "watchdog_check", "scripted"),
        ("cleared", "a", "s"),
        ("cleared", "watchdog_check", "scripted"),
    ]
    assert says in changes[1].alert.summary


def test_terms_count_by_the_clock() -> None:
    clock = SimulatedClock()
    watch, changes = watching(Scripted([bad()]), Terms(raise_after_s=2), clock)

    async def story() -> None:
        for _ in range(3):
            await watch.look("scripted")
            clock.advance(NS_PER_S)

    asyncio.run(story())
    assert [change.ts_ns for change in changes] == [2 * NS_PER_S]


def test_it_looks_again_until_it_is_ended() -> None:
    watch, _ = watching(Scripted([bad()]))

    async def story() -> None:
        running = asyncio.create_task(watch.run())
        await until(lambda: watch.passes["scripted"] >= 3)
        running.cancel()

    asyncio.run(story())


def test_secrets_do_not_leave_in_a_summary() -> None:
    remember("open-sesame")
    watch, changes = watching(Scripted())
    watch.take([Finding("a", "s", Severity.WARNING, "nats://mts:open-sesame@h is down")])
    assert "sesame" not in changes[0].alert.summary and "is down" in changes[0].alert.summary


def change(number: int = 0, kind: ChangeKind = ChangeKind.RAISED) -> Change:
    return Change(kind, Alert(f"id{number}", "a", "s", Severity.CRITICAL, "it is bad", (("x_ms", 1.0),), 7), 8 + number)


def delivered(sinks: list[Kept], changes: list[Change]) -> Delivery:
    async def story() -> Delivery:
        delivery = Delivery(sinks, SimulatedClock())
        delivery.start()
        for item in changes:
            delivery.put(item)
        await asyncio.wait_for(delivery.idle(), 5)
        await delivery.close()
        return delivery

    return asyncio.run(story())


def test_every_sink_gets_every_change_in_order_though_one_is_away_for_a_while() -> None:
    sinks = [Kept("log"), Kept("nats", refuses=2)]
    sent = [change(n) for n in range(3)]
    delivery = delivered(sinks, sent)
    assert [sink.changes for sink in sinks] == [sent, sent]
    assert [sink.sent for sink in delivery.statistics()] == [3, 3]


def test_a_defect_of_a_sink_ends_neither_it_nor_the_others() -> None:
    class Defective(Kept):
        async def send(self, change: Change) -> None:
            if not self.changes:
                self.changes.append(change)
                raise ZeroDivisionError("a defect")
            await super().send(change)

    sinks = [Defective("webhook"), Kept("log")]
    delivered(sinks, [change()])
    assert [len(sink.changes) for sink in sinks] == [2, 1]


def test_a_sink_that_is_late_is_an_alert_and_holds_up_nobody() -> None:
    clock, away, there = SimulatedClock(), Kept("webhook", refuses=10**9), Kept("log")

    async def story() -> list[Finding]:
        delivery = Delivery([away, there], clock)
        delivery.start()
        delivery.put(change())
        delivery.put(change(1))
        await until(lambda: len(there.changes) == 2)
        assert [finding.state for finding in delivery.findings()] == [Ease.WELL, Ease.WELL]
        clock.advance(6 * NS_PER_S)
        found = delivery.findings()
        await delivery.close(0.0)
        return found

    late, fine = asyncio.run(story())
    assert (late.subject, late.state) == ("webhook", Severity.WARNING)
    assert late.summary == "2 changes wait for 6 s: is away" and fine.state is Ease.WELL


def test_events_tell_a_raising_from_a_clearing_and_from_a_worse_one() -> None:
    raised = alert_event(change())
    assert isinstance(raised, AlertRaised) and raised.event_id == "id0-critical" and raised.numbers == {"x_ms": 1.0}
    cleared = alert_event(change(0, ChangeKind.CLEARED))
    assert isinstance(cleared, AlertCleared) and cleared.event_id == "id0-cleared"
    assert cleared.alert_id == raised.alert_id


def test_the_webhook_gets_words_for_people_and_fields_for_programs() -> None:
    posted: list[dict[str, object]] = []

    async def post(body: dict[str, object]) -> None:
        posted.append(body)

    asyncio.run(WebhookSink(post).send(change()))
    assert posted[0]["text"] == told(change()) == "critical: a of s: it is bad"
    assert (posted[0]["kind"], posted[0]["severity"], posted[0]["alert_id"]) == ("raised", "critical", "id0")


def book() -> SeriesBook:
    return SeriesBook({FEATURE_ALERT: WindowTerms(50, DriftLevels())})


def test_a_series_drifts_and_comes_back() -> None:
    rng, series, key = np.random.default_rng(3), book(), (FEATURE_ALERT, "fund/sma")
    for _ in range(40):
        series.observe(key, rng.normal(size=4))
    assert judged(series.snapshot())[0].state is Ease.HOLDS  # nothing to compare with
    kept = series.expect(key, rng.normal(size=10_000), 2_500)
    assert len(kept) == 2_000 and judged(series.snapshot())[0].state is Ease.WELL
    for _ in range(45):
        series.observe(key, rng.normal(2, 1, size=4))
    assert judged(series.snapshot())[0].state is Severity.CRITICAL
    for _ in range(50):
        series.observe(key, rng.normal(size=4))
    assert judged(series.snapshot())[0].state is Ease.WELL
    series.replace(key, np.zeros(3))
    assert "3 of 20" in judged(series.snapshot())[0].summary


def test_series_are_bounded_and_the_silent_go_first() -> None:
    series = book()
    for number in range(SERIES_MAX + 5):
        series.observe((FEATURE_ALERT, str(number)), np.zeros(1))
        series.observe((FEATURE_ALERT, "busy"), np.zeros(1))
    held = series.subjects(FEATURE_ALERT)
    assert len(held) == SERIES_MAX and "busy" in held and "0" not in held
    with pytest.raises(InputError, match="alert"):
        series.observe(("nothing", "x"), np.zeros(1))


def test_thinned_keeps_both_ends() -> None:
    values = thinned(np.arange(10_001.0), 5)
    assert values.tolist() == [0, 2_500, 5_000, 7_500, 10_000]
