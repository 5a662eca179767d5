"""Gate 7: last, bounded, open when it fails, on record; an order waits for its own veto only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mts1b.foundation.alerts import Finding
from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.order import OrderStatus
from mts1b.oms import veto as veto_module
from mts1b.riskengine.verdict import Mode
from tests.unit.oms.desk import Desk

S = OrderStatus


class Alerts:
    def __init__(self) -> None:
        self.told: list[Finding] = []

    def tell(self, finding: Finding) -> None:
        self.told.append(finding)


def run(case: Callable[[Desk, Alerts], Awaitable[None]], **changes: Any) -> None:
    async def whole() -> None:
        desk, alerts = Desk(**changes), Alerts()
        oms = await desk.start()
        oms._veto._alerts = alerts
        async with asyncio.timeout(20):
            await case(desk, alerts)
        await desk.oms.close()

    asyncio.run(whole())


def answers(desk: Desk) -> list[tuple[str, str]]:
    found = [json.loads(link.content) for link in desk.store.links if link.kind == "veto_asked"]
    return [(said["answer"], said["why"]) for said in found]


def test_an_objection_refuses_and_frees_what_was_reserved() -> None:
    async def case(desk: Desk, alerts: Alerts) -> None:
        async def veto(command: SubmitOrder) -> str | None:
            return "bad news" if command.idempotency_key == "k1" else None

        desk.oms.register_veto(veto)
        first = await desk.oms.submit(desk.command(1))
        assert (first.status, first.reason) == (S.DENIED, "gate 7: vetoed")
        assert desk.risk.statistics()["open_orders"] == 0
        assert (await desk.oms.submit(desk.command(2))).status is S.WORKING
        assert answers(desk) == [("objected", "bad news"), ("passed", "")]
        assert not alerts.told
        desk.oms.register_veto(None)
        assert (await desk.oms.submit(desk.command(3))).status is S.WORKING
        assert len(answers(desk)) == 2

    run(case)


def test_only_what_the_other_gates_let_through_is_asked_about() -> None:
    async def case(desk: Desk, alerts: Alerts) -> None:
        asked: list[str] = []

        async def veto(command: SubmitOrder) -> str | None:
            asked.append(command.idempotency_key)
            return None

        desk.oms.register_veto(veto)
        assert (await desk.oms.submit(desk.command(1, quantity=51))).reason == "gate 3: quantity"
        assert asked == [] and answers(desk) == []

    run(case, quantity_max="50")


@pytest.mark.parametrize("how", ["hangs", "stubborn", "raises", "nonsense", "gives up"])
def test_a_veto_that_fails_lets_the_order_pass_with_an_alert(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(veto_module, "VETO_TIMEOUT_S", 0.05)

    async def veto(_: SubmitOrder) -> Any:
        if how == "raises":
            raise RuntimeError("broken")
        if how == "gives up":
            raise asyncio.CancelledError
        if how == "nonsense":
            return 0
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if how == "hangs":
                raise
            await asyncio.sleep(0.01)  # will not be told to stop

    async def case(desk: Desk, alerts: Alerts) -> None:
        desk.oms.register_veto(veto)
        assert (await desk.oms.submit(desk.command(1))).status is S.WORKING
        ((answer, why),) = answers(desk)
        assert answer == "failed" and why
        assert [finding.alert for finding in alerts.told] == ["veto_failed"]
        assert desk.oms.statistics()["vetoes_failed"] == 1

    run(case)


def test_others_are_not_delayed_and_a_halt_meanwhile_counts() -> None:
    async def case(desk: Desk, alerts: Alerts) -> None:
        asked, answer = asyncio.Event(), asyncio.Event()

        async def veto(command: SubmitOrder) -> str | None:
            if command.idempotency_key == "k1":
                asked.set()
                await answer.wait()
            return None

        desk.oms.register_veto(veto)
        slow = asyncio.create_task(desk.oms.submit(desk.command(1)))
        await asked.wait()
        assert (await desk.oms.submit(desk.command(2, quantity=7))).status is S.WORKING
        assert not slow.done()
        halting = asyncio.create_task(desk.oms.halt(Mode.HALTED, "ann", ""))
        await asyncio.sleep(0)
        answer.set()
        assert (await slow).reason == "gate 5: halted"
        await halting

    run(case)
