"""The risk worker: the fund's risk engine, which answers nothing until it has been given the journal's view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from mts1b.foundation.commands import CancelOrder, SubmitOrder
from mts1b.foundation.errors import StackError
from mts1b.foundation.events import FundEvent, NavMarked, OrderEvent
from mts1b.foundation.ids import IdempotencyKey, Symbol
from mts1b.foundation.order import Order
from mts1b.riskengine.master import Reference
from mts1b.riskengine.service import RiskService
from mts1b.riskengine.snapshot import RiskSnapshot
from mts1b.riskengine.verdict import Decision, Mode, Standing


class RiskWorker:
    """Calls come one at a time and in order. A fresh or restarted one raises StackError until `restore`."""

    def __init__(self, service: RiskService) -> None:
        self._service = service
        self._restored = False

    @property
    def is_restored(self) -> bool:
        """Whether it has the journal's view, and has followed all that it was told since."""
        return self._restored

    def check(self, command: SubmitOrder | CancelOrder, told: Sequence[OrderEvent | FundEvent] = ()) -> Decision:
        """Decide, after following what is `told` with the question."""
        self.tell(told)
        self._require_restored()
        return self._service.check(command)

    def check_replace(self, order: Order, told: Sequence[OrderEvent | FundEvent] = ()) -> Decision:
        """Decide about other terms, after following what is `told` with the question."""
        self.tell(told)
        self._require_restored()
        return self._service.check_replace(order)

    def tell(self, events: Sequence[OrderEvent | FundEvent]) -> None:
        """Follow journalled events; what a worker that is not restored is told, the journal's view will hold.

        Nobody waits for this: when it fails, the worker's view is worthless and has to be restored.
        """
        if self._restored:
            self._restored = False
            self._service.on_events(events)
            self._restored = True

    def release(self, key: IdempotencyKey) -> None:
        if self._restored:
            self._service.release(key)

    def restore(self, snapshot: RiskSnapshot) -> None:
        self._service.restore(snapshot)
        self._restored = True

    def mark(
        self, prices: Mapping[Symbol, Decimal], ts_ns: int, told: Sequence[OrderEvent | FundEvent] = ()
    ) -> NavMarked:
        """Value the fund, after following what is `told`."""
        self.tell(told)
        self._require_restored()
        return self._service.mark(prices, ts_ns)

    def refer(self, reference: Reference) -> None:
        """Go by these limits and master data from the next order on."""
        self._service.refer(reference)

    def standing(self) -> Standing:
        """What holds the fund back."""
        self._require_restored()
        return self._service.standing()

    def halt(self, mode: Mode = Mode.HALTED) -> Standing:
        """A person's word; see `RiskService.halt`."""
        self._require_restored()
        return self._service.halt(mode)

    def resume(self) -> Standing:
        """Take that word back."""
        self._require_restored()
        return self._service.resume()

    def rearm(self, told: Sequence[OrderEvent | FundEvent] = ()) -> Standing:
        """Trade again; drawdown counts from NAV now, after following what is `told`."""
        self.tell(told)
        self._require_restored()
        return self._service.rearm()

    def statistics(self) -> dict[str, Any]:
        return self._service.statistics()

    def _require_restored(self) -> None:
        if not self._restored:
            raise StackError("risk", "fresh", "has no view of the fund", "restore it from the journal")
