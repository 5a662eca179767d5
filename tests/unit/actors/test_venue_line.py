"""Requests go one way, reports come the other; a risk worker at hand answers like one that is away."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from actors.risk import RiskWorker
from actors.risk_link import InnerRisk
from actors.venue_line import VenueLine
from mts1b.brokers.port import Broker
from mts1b.foundation.errors import StackError
from mts1b.foundation.ids import IdempotencyKey


class Heard:
    """A broker that only notes what it is asked."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        async def call(*_given: object) -> None:
            self.calls.append(name)

        return call

    async def reports(self, after: int = 0):  # type: ignore[no-untyped-def]
        self.calls.append(f"reports {after}")
        yield after + 1


def test_it_speaks_on_one_line_and_hears_on_the_other() -> None:
    speaks, hears = Heard(), Heard()
    line = VenueLine(cast(Broker, speaks), cast(Broker, hears))

    async def use() -> list[object]:
        for ask in (line.submit, line.replace, line.cancel, line.query):
            await ask(cast("object", None))  # type: ignore[arg-type]
        found = [report async for report in line.reports(4)]
        await line.close()
        return cast("list[object]", found)

    assert asyncio.run(use()) == [5]
    assert speaks.calls == ["submit", "replace", "cancel", "query", "close"] and hears.calls == ["reports 4"]


def test_a_fresh_risk_worker_at_hand_is_restored_before_it_answers() -> None:
    restored: list[str] = []

    class Worker:
        def standing(self) -> str:
            if not restored:
                raise StackError("risk", "fresh", "has no view of the fund", "restore it")
            return "standing"

        def release(self, key: IdempotencyKey) -> None:
            restored.append(key)

    async def use() -> object:
        link = InnerRisk(cast(RiskWorker, Worker()))

        async def restore() -> None:
            link.release(IdempotencyKey("k"))

        with pytest.raises(StackError):
            await link.standing()
        link.restore_it = restore
        return await link.standing()

    assert asyncio.run(use()) == "standing" and restored == ["k"]
