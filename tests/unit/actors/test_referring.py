"""A fund's limits and master data change between two orders, on record before they hold; no restart of risk brings old
ones back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, cast

import numpy as np
import pytest

from actors import oms as worker_module
from actors.local import Local
from actors.oms import OmsWorker, RiskMarks
from actors.referring import Referring
from actors.risk import RiskWorker
from actors.risk_link import RiskLink
from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.order import Order, OrderStatus, Side
from mts1b.oms.service import Oms
from mts1b.platform.telemetry import Recorder
from mts1b.refdata.rows import ADV, BORROW, INSTRUMENTS, AdvRow, BorrowRow, InstrumentRow
from mts1b.riskengine import Reference, RiskService
from mts1b.testing.refdata import MemoryLimits, MemoryMaster
from tests.unit.oms.desk import FUND, OPENING_CASH, PRICE, SYMBOLS, Desk
from tests.unit.riskengine.books import MASTER, limits

PRICES = {symbol: PRICE for symbol in SYMBOLS}


class Office(Desk):
    """A desk whose risk sits in a worker that can be started again, and whose limits are stored."""

    def __init__(self) -> None:
        super().__init__()
        self.limits, self.master = MemoryLimits(), MemoryMaster()

    def hire(self) -> OmsWorker:
        self.restart_risk()

        async def call(method: str, *given: Any) -> Any:
            return getattr(self.there, method)(*given)

        self.link = RiskLink(call, lambda method, *given: getattr(self.there, method)(*given))
        journal = self.journal
        self.oms = Oms(FUND, journal, self.link, self.venue, self.bus, self.clock, OPENING_CASH, content_window_s=0.0)
        self.link.restore_it = self.oms.restore_risk
        handed = Reference(limits(), master=MASTER)
        self.referring = Referring(self.limits, self.master, self.link, FUND, handed, self.clock)

        async def build(_: Recorder) -> Oms:
            await self.referring.begin()
            return self.oms

        marks = cast(RiskMarks, Local(self.link))
        self.worker = OmsWorker(build, self.venue, marks, Recorder(), referring=self.referring)
        return self.worker

    def restart_risk(self) -> None:
        """A fresh one, as Ray makes it: with what was handed in."""
        self.risk = RiskService(FUND, limits(), self.clock, MASTER)
        self.risk.set_covariance(SYMBOLS, np.eye(len(SYMBOLS)) * 1e-4)
        self.there = RiskWorker(self.risk)

    async def short(self, number: int) -> Order:
        """An order that only gate 6 has anything against: a short sale."""
        return await self.worker.submit(self.command(number, side=Side.SELL))

    def refusal(self, order: Order) -> str:
        return next(said["reason"] for said in self.on_record("order_denied") if said["order_id"] == order.order_id)

    def on_record(self, kind: str) -> list[dict[str, Any]]:
        return [json.loads(link.content) for link in self.store.links if link.kind == kind]


def run(case: Callable[[Office], Awaitable[None]], monkeypatch: pytest.MonkeyPatch, office: Office) -> None:
    monkeypatch.setattr(worker_module, "REFER_S", 0.01)

    async def whole() -> None:
        await office.hire().start()
        await office.worker.mark(PRICES, office.session)
        async with asyncio.timeout(10):
            await case(office)
        await office.worker.close()

    asyncio.run(whole())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 nothing tells of it
        await asyncio.sleep(0.005)


def test_a_new_version_holds_from_the_next_order_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(office: Office) -> None:
        first = await office.worker.submit(office.command(1))
        office.limits.put(FUND, limits(quantity_max="50"), "ann", "too large")
        await until(lambda: office.risk.limits_version == 2)
        second = await office.worker.submit(office.command(2))
        assert (first.status, second.status) == (OrderStatus.WORKING, OrderStatus.DENIED)
        assert [said["limits_version"] for said in office.on_record("order_received")] == [1, 2]
        assert [said["limits_version"] for said in office.on_record("order_denied")] == [2]
        referred = [(said["version"], said["by"], said["why"]) for said in office.on_record("limits_referred")]
        assert referred[0][:2] == (1, "session")
        assert referred[1:] == [(2, "ann", "too large")]
        assert (await office.worker.statistics())["limits_version"] == 2

    run(case, monkeypatch, Office())


def test_stored_limits_come_before_those_handed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office()
    office.limits.put(FUND, limits(quantity_max="50"), "ann")

    async def case(office: Office) -> None:
        assert (await office.worker.submit(office.command(1))).status is OrderStatus.DENIED
        assert len(office.limits.versions[FUND]) == 1

    run(case, monkeypatch, office)


def test_a_restarted_risk_begins_with_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(office: Office) -> None:
        office.limits.put(FUND, limits(quantity_max="50"), "ann")
        await until(lambda: office.risk.limits_version == 2)
        office.restart_risk()
        assert (await office.worker.submit(office.command(1))).status is OrderStatus.DENIED
        assert office.risk.limits_version == 2

    run(case, monkeypatch, Office())


def test_without_the_store_the_last_version_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(office: Office) -> None:
        office.limits.is_away = True
        assert await office.referring.refresh(office.oms) == 1
        assert (await office.worker.submit(office.command(1))).status is OrderStatus.WORKING
        office.limits.put(FUND, limits(quantity_max="50"), "ann")
        office.limits.is_away = False
        await until(lambda: office.risk.limits_version == 2)

    run(case, monkeypatch, Office())


async def loaded(office: Office, kind: str, *rows: InstrumentRow | AdvRow | BorrowRow) -> None:
    """Returns once risk goes by them."""
    version = office.master.put(kind, rows, office.clock.now_ns()).version
    await until(lambda: office.risk.versions.get(kind) == version)


def test_a_loaded_borrow_list_lets_shorts_through_until_it_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    row = BorrowRow(symbol="A", quantity=Decimal(150), rate=Decimal("0.01"))

    async def case(office: Office) -> None:
        assert office.refusal(await office.short(1)) == "borrow_unknown"
        await loaded(office, BORROW, row)
        assert (await office.short(2)).status is OrderStatus.WORKING
        assert office.refusal(await office.short(3)) == "borrow_quantity"  # the first is to be borrowed too
        office.clock.advance(3601 * NS_PER_S)
        office.master.is_away = True  # what is not refreshed grows old
        assert office.refusal(await office.short(4)) == "borrow_stale"
        office.master.is_away = False
        await loaded(office, BORROW, row.model_copy(update={"quantity": Decimal(500), "restricted": True}))
        assert office.refusal(await office.short(5)) == "short_sale_restriction"
        await loaded(office, BORROW, row.model_copy(update={"quantity": Decimal(500), "located": Decimal(0)}))
        assert office.refusal(await office.short(6)) == "locate"
        await loaded(office, BORROW, row.model_copy(update={"symbol": "B"}))
        assert office.refusal(await office.short(7)) == "borrow_unknown"
        referred = [(said["table"], said["version"], said["by"]) for said in office.on_record("master_referred")]
        assert referred == [(BORROW, version, "ann") for version in (1, 2, 3, 4)]

    run(case, monkeypatch, Office())


def test_loaded_instruments_and_volumes_bind_and_outlive_a_restart_of_risk(monkeypatch: pytest.MonkeyPatch) -> None:
    row = InstrumentRow(symbol="A", tick=Decimal("0.01"), lot=Decimal(30), currency="USD", session="always")

    async def case(office: Office) -> None:
        assert (await office.worker.submit(office.command(1))).status is OrderStatus.WORKING
        await loaded(office, INSTRUMENTS, row)
        office.restart_risk()
        assert office.refusal(await office.worker.submit(office.command(2))) == "off_lot"
        assert office.refusal(await office.worker.submit(office.command(3, symbol="B"))) == "instrument_unknown"
        assert (await office.worker.submit(office.command(4, quantity=90))).status is OrderStatus.WORKING
        await loaded(office, ADV, AdvRow(symbol="A", adv=Decimal(100)))
        assert office.refusal(await office.worker.submit(office.command(5, quantity=120))).startswith("adv")

    run(case, monkeypatch, Office())
