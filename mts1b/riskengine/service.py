"""One fund's risk engine as a plain object: the risk actor holds one and forwards its calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.clock import NS_PER_DAY, Clock
from mts1b.foundation.commands import CancelOrder, SubmitOrder
from mts1b.foundation.events import NavMarked, OrderEvent
from mts1b.foundation.ids import FundId, IdempotencyKey, Symbol
from mts1b.foundation.order import Order
from mts1b.riskengine.chain import Chain
from mts1b.riskengine.context import Gate, GateContext
from mts1b.riskengine.covariance import Covariance
from mts1b.riskengine.gates import drawdown
from mts1b.riskengine.limits import RiskLimits
from mts1b.riskengine.replacing import as_new, extra, only_shrinks
from mts1b.riskengine.state import Borrow, RiskSnapshot, RiskState
from mts1b.riskengine.verdict import ACCEPTED, Decision, Mode, Refused


class RiskService:
    """Decides about a fund's orders. Calls come one at a time; nothing here waits.

    Fresh, it knows no NAV and refuses everything: `restore` it from the journal (the OMS does so when it starts) and
    `mark` it.
    """

    def __init__(self, fund_id: FundId, limits: RiskLimits, clock: Clock, veto: Gate | None = None) -> None:
        self.state = RiskState(fund_id)
        self.limits = limits
        self._clock = clock
        self._chain = Chain(clock.monotonic_ns, veto)
        self._counts: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()

    def check(self, command: SubmitOrder | CancelOrder) -> Decision:
        """Decide. An accepted order counts as working from now on, until its events say otherwise or `release`.

        Cancels pass: taking an order back never adds risk.
        """
        if isinstance(command, CancelOrder):
            return Decision(ACCEPTED, (), self.state.mode)
        now_ns = self._clock.now_ns()
        if self.limits.dedup_window_s is not None:
            self.state.forget_keys(now_ns, self.limits.dedup_window_s)
        decision = self._chain.evaluate(command, GateContext(self.limits, self.state, now_ns))
        self._counts["checked"] += 1
        if isinstance(decision.verdict, Refused):
            self._counts[f"refused_gate_{decision.verdict.gate}"] += 1
            self._refusals[f"{decision.verdict.gate}:{decision.verdict.reason}"] += 1
        else:
            self.state.reserve(command, now_ns)
        return decision

    def check_replace(self, order: Order) -> Decision:
        """Decide about the terms in `order.wanted`. What an accepted replacement adds counts as working from now on,
        until `release` of its `replace_key`.

        Terms that add nothing pass, as cancels do.
        """
        if only_shrinks(order):
            return Decision(ACCEPTED, (), self.state.mode)
        now_ns = self._clock.now_ns()
        command = as_new(order)
        with self.state.without(order.order_id):
            decision = self._chain.evaluate(command, GateContext(self.limits, self.state, now_ns))
        self._counts["checked_replaces"] += 1
        if isinstance(decision.verdict, Refused):
            self._refusals[f"{decision.verdict.gate}:{decision.verdict.reason}"] += 1
        elif extra(order):
            self.state.reserve(replace(command, quantity=extra(order)), now_ns)
        return decision

    def release(self, key: IdempotencyKey) -> None:
        """The accepted order of this key was not journalled: stop counting it."""
        self.state.release(key)

    def on_event(self, event: OrderEvent) -> None:
        """Follow one journalled event."""
        self.state.apply(event)
        self._latch(new_day=False)

    def on_events(self, events: Sequence[OrderEvent]) -> None:
        """Follow journalled events in their order."""
        for event in events:
            self.on_event(event)

    def restore(self, snapshot: RiskSnapshot) -> None:
        """Start from the journal: a restarted engine, or a restarted OMS, begins here. Never loosens the mode."""
        before = self.state.mode
        self.state.restore(snapshot)
        self.state.mode = drawdown.stricter(before, snapshot.mode)
        self._latch(new_day=False)

    def mark(self, prices: Mapping[Symbol, Decimal], ts_ns: int) -> NavMarked:
        """Value the fund at new prices per share; may make the mode stricter."""
        new_day = ts_ns // NS_PER_DAY > self.state.marked_ns // NS_PER_DAY
        marked = self.state.mark(prices, ts_ns)
        self._latch(new_day)
        return marked

    def set_limits(self, limits: RiskLimits) -> None:
        """Replace all limits at once; open orders are not looked at again."""
        self.limits = limits

    def set_covariance(self, symbols: Sequence[Symbol], matrix: NDArray[np.float64]) -> None:
        """Daily covariance of returns [S, S] for gate 4's value at risk. InputError on a bad shape."""
        self.state.set_covariance(Covariance(symbols, matrix))

    def set_borrow(self, borrow: Iterable[tuple[Symbol, Borrow]], ts_ns: int) -> None:
        """Replace what can be borrowed, as known at `ts_ns`."""
        self.state.set_borrow(borrow, ts_ns)

    def rearm(self) -> Mode:
        """A person's word that the fund may trade again: the latch opens, the peak starts from NAV now."""
        self.state.peak_nav = self.state.day_start_nav = self.state.nav
        self.state.mode = drawdown.assess(self.state, self.limits)
        return self.state.mode

    def mode(self) -> Mode:
        """How much the fund may do."""
        return self.state.mode

    def halt(self) -> Mode:
        """Only cancels pass until `rearm`."""
        self.state.mode = Mode.HALTED
        return self.state.mode

    def statistics(self) -> dict[str, Any]:
        """Counts since start, refusals by gate and reason, and where the fund stands."""
        return {
            **self._counts,
            "refusals": dict(sorted(self._refusals.items())),
            "mode": self.state.mode.value,
            "nav": self.state.nav,
            "gross": self.state.totals.gross,
            "open_orders": self.state.open_orders,
            "keys": len(self.state.keys),
        }

    def _latch(self, new_day: bool) -> None:
        asked = drawdown.assess(self.state, self.limits)
        self.state.mode = drawdown.latch(self.state.mode, asked, new_day)
