"""A fund's limits change between two orders, on record before they hold; no restart of risk brings old ones back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

import numpy as np
import pytest

from actors import oms as worker_module
from actors.local import Local
from actors.oms import OmsWorker, RiskMarks
from actors.referring import Referring
from actors.risk import RiskWorker
from actors.risk_link import RiskLink
from mts1b.foundation.order import OrderStatus
from mts1b.oms.service import Oms
from mts1b.platform.telemetry import Recorder
from mts1b.riskengine import Reference, RiskService
from mts1b.testing.refdata import MemoryLimits
from tests.unit.oms.desk import FUND, OPENING_CASH, PRICE, SYMBOLS, Desk
from tests.unit.riskengine.books import MASTER, limits

PRICES = {symbol: PRICE for symbol in SYMBOLS}


class Office(Desk):
    """A desk whose risk sits in a worker that can be started again, and whose limits are stored."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = MemoryLimits()

    def hire(self) -> OmsWorker:
        self.restart_risk()

        async def call(method: str, *given: Any) -> Any:
            return getattr(self.there, method)(*given)

        self.link = RiskLink(call, lambda method, *given: getattr(self.there, method)(*given))
        journal = self.journal
        self.oms = Oms(FUND, journal, self.link, self.venue, self.bus, self.clock, OPENING_CASH, content_window_s=0.0)
        self.link.restore_it = self.oms.restore_risk
        handed = Reference(limits(), master=MASTER)
        self.referring = Referring(self.limits, self.link, FUND, handed, self.clock)

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
