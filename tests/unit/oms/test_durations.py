"""What each step took is recorded, to the nanosecond of the clock that is handed in."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from mts1b.foundation.clock import NS_PER_MS
from mts1b.foundation.commands import SubmitGroup
from mts1b.foundation.order import OrderStatus
from mts1b.oms.admission import GATES_TIMED
from tests.unit.oms.desk import Desk
from tests.unit.oms.test_groups import bracket

RISK_MS, JOURNAL_MS, VENUE_MS = 3, 11, 7
GATES = tuple(range(1, GATES_TIMED + 1))


class Kept:
    """Durations by step, in milliseconds where they are whole ones."""

    def __init__(self) -> None:
        self.steps: dict[str, list[int]] = {}

    def record(self, step: str, ns: int) -> None:
        self.steps.setdefault(step, []).append(ns)


async def timed() -> tuple[Desk, Kept]:
    """A desk on which risk, journal and venue take their time."""
    desk, kept = Desk(), Kept()
    oms: Any = await desk.start()
    for part in (oms._steps, oms._dispatch, oms._admissions):
        part._recorder = kept
    check, commit, submit = oms._risk.check, desk.journal._commit_now, desk.exchange.submit  # type: ignore[attr-defined]

    async def slow_check(command: Any) -> Any:
        desk.clock.advance(RISK_MS * NS_PER_MS)
        return replace(await check(command), gate_ns=GATES)

    def slow_commit(entries: Any) -> None:
        desk.clock.advance(JOURNAL_MS * NS_PER_MS)
        commit(entries)

    async def slow_submit(order: Any) -> Any:
        desk.clock.advance(VENUE_MS * NS_PER_MS)
        return await submit(order)

    oms._risk.check, desk.journal._commit_now = slow_check, slow_commit  # type: ignore[attr-defined]
    desk.exchange.submit = slow_submit  # type: ignore[method-assign]
    return desk, kept


def in_ms(kept: Kept, step: str) -> list[int]:
    """Clocks of the desk tick by nanoseconds besides."""
    return [round(ns / NS_PER_MS) for ns in kept.steps[step]]


def test_of_an_order() -> None:
    async def case() -> None:
        desk, kept = await timed()
        order = await desk.oms.submit(desk.command(1))
        assert order.status is OrderStatus.WORKING
        assert in_ms(kept, "oms_receive") == [JOURNAL_MS]
        assert in_ms(kept, "risk_check") == [RISK_MS]
        assert in_ms(kept, "broker_submit") == [VENUE_MS]
        assert in_ms(kept, "oms_journal") == [JOURNAL_MS, JOURNAL_MS], "the order, and what the venue said"
        assert in_ms(kept, "oms_submit") == [RISK_MS + 2 * JOURNAL_MS + VENUE_MS]
        assert {step: ns for step, ns in kept.steps.items() if step.startswith("risk_gate_")} == {
            f"risk_gate_{gate}": [gate] for gate in GATES
        }

    asyncio.run(case())


def test_of_a_group_it_is_the_whole() -> None:
    async def case() -> None:
        desk, kept = await timed()
        command: SubmitGroup = bracket()
        await desk.oms.submit_group(command)
        entries = 3
        assert in_ms(kept, "oms_submit") == [entries * RISK_MS + 2 * JOURNAL_MS + VENUE_MS]

    asyncio.run(case())
