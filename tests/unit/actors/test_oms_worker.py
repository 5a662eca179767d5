"""The OMS worker by itself: it brings its OMS back without being asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, cast

import numpy as np
import pytest

from actors import oms as worker_module
from actors.local import Local
from actors.oms import OmsWorker, RiskMarks
from mts1b.brokers.paper.matching import Rules
from mts1b.foundation.alerts import Finding, Severity
from mts1b.foundation.clock import NS_PER_DAY
from mts1b.foundation.commands import CancelOrder, SubmitOrder
from mts1b.foundation.errors import InvariantBroken, LeaseLost, StackError
from mts1b.foundation.events import NavMarked
from mts1b.foundation.order import Order, OrderStatus
from mts1b.oms.local_risk import LocalRisk
from mts1b.oms.ports import JournalPort
from mts1b.oms.service import Oms
from mts1b.platform.telemetry import Recorder
from mts1b.riskengine import RiskService
from mts1b.riskengine.verdict import Mode
from mts1b.testing.journal import MemoryJournal
from tests.unit.oms.desk import FUND, OPENING_CASH, PRICE, SYMBOLS, Desk
from tests.unit.riskengine.books import MASTER, limits

S = OrderStatus
PRICES = {symbol: PRICE for symbol in SYMBOLS}


class Office(Desk):
    """A desk whose OMS sits in a worker."""

    journal: JournalPort

    def hire(self, **given: Any) -> OmsWorker:
        self.risk = RiskService(FUND, limits(**self.changes), self.clock, MASTER)
        self.risk.set_covariance(SYMBOLS, np.eye(len(SYMBOLS)) * 1e-4)
        port = LocalRisk(self.risk)
        self.oms = Oms(FUND, self.journal, port, self.venue, self.bus, self.clock, OPENING_CASH, content_window_s=0.0)

        async def build(_: Recorder) -> Oms:
            return self.oms

        self.worker = OmsWorker(build, self.venue, cast(RiskMarks, Local(self.risk)), Recorder(), **given)
        return self.worker

    async def again(self, command: SubmitOrder) -> Order:
        """As a strategy does: the same key until the OMS is there."""
        async with asyncio.timeout(5):
            while True:
                try:
                    return await self.worker.submit(command)
                except StackError:
                    await asyncio.sleep(0.01)


def run(case: Callable[[Office], Awaitable[None]], monkeypatch: pytest.MonkeyPatch, **given: Any) -> None:
    for name, value in (("RETRY_S", 0.01), ("LOCK_RETRY_S", 0.01), ("LEASE_S", 0.05), ("SETTLE_S", 0.01)):
        monkeypatch.setattr(worker_module, name, value, raising=False)

    async def whole() -> None:
        office = Office()
        worker = office.hire(**given)
        await worker.start()
        await worker.mark(PRICES, office.session)
        await case(office)
        await office.worker.close()

    asyncio.run(whole())


@pytest.mark.parametrize("failures", [1, 3])
def test_a_failed_commit_is_recovered_from_without_a_report(failures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Finding] = []

    class Alerts:
        def tell(self, finding: Finding) -> None:
            heard.append(finding)

    async def case(office: Office) -> None:
        office.store.fail_next = True
        with pytest.raises(StackError, match="commit failed"):
            await office.worker.submit(office.command(1))
        opened: list[int] = []
        open_ = office.journal.open

        async def flaky() -> None:
            opened.append(1)
            if len(opened) < failures:
                raise StackError("journal", "down", "not there yet", "wait")
            await open_()

        monkeypatch.setattr(office.journal, "open", flaky)
        assert (await office.again(office.command(1))).status in (S.WORKING, S.DENIED)
        assert len(opened) == failures

    run(case, monkeypatch, alerts=Alerts())
    assert [(finding.alert, finding.subject, finding.severity) for finding in heard] == [
        ("oms_recovered", FUND, Severity.WARNING)
    ]
    assert heard[0].lasts_s > 0


def test_a_recovery_that_goes_on_failing_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Finding] = []

    class Alerts:
        def tell(self, finding: Finding) -> None:
            heard.append(finding)

    async def case(office: Office) -> None:
        open_, failed = office.journal.open, list[int]()

        async def full() -> None:
            failed.append(1)
            if len(failed) < 20:
                raise StackError("journal", "53100", "No space left on device", "make room")
            await open_()

        monkeypatch.setattr(office.journal, "open", full)
        monkeypatch.setattr(worker_module, "RETRY_S", 0.001)
        monkeypatch.setattr(worker_module, "RETRY_S_MAX", 0.004)
        office.store.fail_next = True
        with pytest.raises(StackError):
            await office.worker.submit(office.command(1))
        await office.again(office.command(1))

    run(case, monkeypatch, alerts=Alerts())
    told = [finding.alert for finding in heard]
    assert told[0] == "oms_halted" and told[-1] == "oms_recovered" and told.count("oms_recovered") == 1
    assert heard[0].severity is Severity.CRITICAL and "make room" in heard[0].summary


@pytest.mark.parametrize("refusals", [2, 1000])
def test_the_writer_lock_is_waited_for_and_then_given_up(refusals: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given_up: list[BaseException] = []

    async def case(office: Office) -> None:
        left = [refusals]
        open_ = office.journal.open

        async def held() -> None:
            left[0] -= 1
            if left[0] >= 0:
                raise LeaseLost("fund_id", FUND, "another OMS writes this fund", "stop it first")
            await open_()

        monkeypatch.setattr(office.journal, "open", held)
        office.store.fail_next = True
        with pytest.raises(StackError, match="commit failed"):
            await office.worker.submit(office.command(1))
        if refusals < 5:
            assert (await office.again(office.command(1))).status is S.WORKING
            assert not given_up
        else:
            await told(given_up)
            with pytest.raises(LeaseLost):
                await office.worker.submit(office.command(2))

    run(case, monkeypatch, give_up=given_up.append)
    assert [type(error) for error in given_up] == ([] if refusals < 5 else [LeaseLost])


def test_a_defect_ends_the_worker_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up: list[BaseException] = []

    async def case(office: Office) -> None:
        async def broken(_: object) -> None:
            raise InvariantBroken("order", "o", "cannot be")

        monkeypatch.setattr(office.oms, "on_reports", broken)
        await office.worker.submit(office.command(1))
        await told(given_up)
        with pytest.raises(InvariantBroken):
            await office.worker.holdings()

    run(case, monkeypatch, give_up=given_up.append)
    assert [type(error) for error in given_up] == [InvariantBroken]


async def told(given_up: list[BaseException]) -> None:
    async with asyncio.timeout(5):
        while not given_up:  # noqa: ASYNC110 a callback tells
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("cancel", [False, True])
def test_the_venue_is_asked_again_until_it_answers(cancel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(office: Office) -> None:
        if cancel:
            order = await office.worker.submit(office.command(1))
            office.venue.script = ["lost"] * 6
            order = await office.worker.cancel(CancelOrder(order.order_id, "x"))
            assert order.status is S.PENDING_CANCEL
        else:
            office.venue.script = ["lost"] * 6
            order = await office.worker.submit(office.command(1))
            assert order.status is S.IN_DOUBT
        async with asyncio.timeout(5):
            while order.status in (S.IN_DOUBT, S.SUBMITTING, S.PENDING_CANCEL):  # sent again on its way
                await asyncio.sleep(0.01)
                order = office.store.orders[order.order_id]
        assert order.status is (S.CANCELLED if cancel else S.WORKING)

    run(case, monkeypatch)


def test_a_fill_between_the_two_valuations_is_no_disagreement(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(office: Office) -> None:
        await office.worker.submit(office.command(1))
        mark, traded = office.risk.mark, list[int]()

        async def late(prices: Any, ts_ns: int) -> NavMarked:
            if not traded:
                traded.append(1)
                await office.trade()
            return mark(prices, ts_ns)

        monkeypatch.setattr(office.risk, "mark", late)
        office.exchange.exchange.rules = Rules(fee_bps=Decimal(10))
        marked = await office.worker.mark(PRICES, (office.session + 2) * NS_PER_DAY)
        assert traded and marked.nav == office.oms.nav() == OPENING_CASH - 1

    run(case, monkeypatch)


async def restarted(office: Office) -> None:
    """Both processes die and start again: only the journal remains."""
    await office.worker.close()
    office.journal = MemoryJournal(office.store, FUND)
    await office.hire().start()


@pytest.mark.parametrize("by", ["person", "drawdown"])
def test_no_restart_loosens_the_mode_and_a_re_arm_outlives_it(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(office: Office) -> None:
        office.changes = {"day_drawdown_reduce": "0.0005"}
        office.risk.set_limits(limits(**office.changes))
        await office.worker.submit(office.command(1))
        await office.trade()
        day_ns = office.session * NS_PER_DAY
        await office.worker.mark(PRICES, day_ns + 1)
        if by == "person":
            assert (await office.worker.halt()).mode is Mode.HALTED
        else:
            for symbol in SYMBOLS:
                await office.worker.mark({**PRICES, symbol: PRICE / 1000}, day_ns + 2)
            assert office.risk.mode() is not Mode.ACTIVE
        mode = office.risk.mode()
        await office.worker.mark(PRICES, day_ns + 3)
        await restarted(office)
        assert office.risk.mode() is mode
        await office.worker.rearm()
        await restarted(office)
        assert office.risk.mode() is Mode.ACTIVE
        assert office.risk.state.peak_nav == office.oms.nav() == office.risk.state.day_start_nav

    run(case, monkeypatch)


def test_it_begins_without_being_asked_however_often_that_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "RETRY_S", 0.01)

    async def whole() -> None:
        office, opened = Office(), []
        worker, open_ = office.hire(), office.journal.open

        async def flaky() -> None:
            opened.append(1)
            if len(opened) < 3:
                raise StackError("journal", "down", "not there yet", "wait")
            await open_()

        reports, follow = asyncio.Event(), office.venue.reports

        def followed(after: int = 0) -> object:
            reports.set()
            return follow(after)

        monkeypatch.setattr(office.journal, "open", flaky)
        monkeypatch.setattr(office.venue, "reports", followed)
        worker.begin()
        async with asyncio.timeout(5):
            await reports.wait()  # it follows the venue
        assert len(opened) == 3
        await worker.close()

    asyncio.run(whole())


def test_closed_before_it_could_begin_it_does_not_go_on_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "RETRY_S", 0.0)

    async def whole() -> None:
        office, opened, thrice = Office(), [], asyncio.Event()
        worker = office.hire()

        async def down() -> None:
            opened.append(1)
            if len(opened) == 3:
                thrice.set()
            raise StackError("journal", "down", "not there yet", "wait")

        monkeypatch.setattr(office.journal, "open", down)
        worker.begin()
        async with asyncio.timeout(5):
            await thrice.wait()
        await worker.close()
        tried = len(opened)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(opened) == tried

    asyncio.run(whole())
