"""Risk in the OMS's own process, behind the port: no hop. Which placement is used is decided where actors are wired."""

from __future__ import annotations

from collections.abc import Sequence

from mts1b.foundation.commands import CancelOrder, SubmitOrder
from mts1b.foundation.events import FundEvent, OrderEvent
from mts1b.foundation.ids import IdempotencyKey
from mts1b.foundation.order import Order
from mts1b.riskengine.master import Reference
from mts1b.riskengine.service import RiskService
from mts1b.riskengine.snapshot import RiskSnapshot
from mts1b.riskengine.verdict import Decision, Mode, Standing


class LocalRisk:
    """A RiskPort over a RiskService at hand."""

    def __init__(self, service: RiskService) -> None:
        self.service = service

    async def check(self, command: SubmitOrder | CancelOrder) -> Decision:
        return self.service.check(command)

    async def check_replace(self, order: Order) -> Decision:
        return self.service.check_replace(order)

    def tell(self, events: Sequence[OrderEvent | FundEvent]) -> None:
        self.service.on_events(events)

    def release(self, key: IdempotencyKey) -> None:
        self.service.release(key)

    async def halt(self, mode: Mode) -> Standing:
        return self.service.halt(mode)

    async def resume(self) -> Standing:
        return self.service.resume()

    async def rearm(self) -> Standing:
        return self.service.rearm()

    async def refer(self, reference: Reference) -> None:
        self.service.refer(reference)

    async def restore(self, snapshot: RiskSnapshot) -> None:
        self.service.restore(snapshot)
