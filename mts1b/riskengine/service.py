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
from mts1b.foundation.events import FundEvent, NavMarked, OrderEvent
from mts1b.foundation.ids import FundId, IdempotencyKey, Symbol
from mts1b.foundation.order import Order
from mts1b.riskengine.activity import Repeat, repeat_name
from mts1b.riskengine.chain import Chain
from mts1b.riskengine.context import GateContext
from mts1b.riskengine.covariance import Covariance
from mts1b.riskengine.gates import drawdown, schema
from mts1b.riskengine.limits import RiskLimits
from mts1b.riskengine.master import Borrow, MasterData, Reference
from mts1b.riskengine.replacing import as_new, extra, only_shrinks
from mts1b.riskengine.snapshot import RiskSnapshot
from mts1b.riskengine.state import RiskState
from mts1b.riskengine.verdict import ACCEPTED, Decision, Mode, Refused, Standing, stricter


class RiskService:
    """Decides about a fund's orders. Calls come one at a time; nothing here waits.

    Fresh, it knows no NAV and no instrument and refuses everything: `refer` it to limits and master data, `restore` it
    from the journal (the OMS does both when it starts) and `mark` it.
    """

    def __init__(self, fund_id: FundId, limits: RiskLimits, clock: Clock, master: MasterData | None = None) -> None:
        self.state = RiskState(fund_id)
        self.limits, self.limits_version = limits, 0
        self.versions: Mapping[str, int] = {}
        self._clock = clock
        self._chain = Chain(clock.monotonic_ns)
        self._counts: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._assessed_nav: Decimal | None = None
        if master is not None:
            self.state.set_master(master)

    def check(self, command: SubmitOrder | CancelOrder) -> Decision:
        """Decide. An accepted order counts as working from now on, until its events say otherwise or `release`.

        Cancels pass: taking an order back never adds risk.
        """
        now_ns = self._clock.now_ns()
        if isinstance(command, CancelOrder):
            self.state.activity.messaged(now_ns)
            return Decision(ACCEPTED, (), self.state.standing, self.limits_version)
        if self.limits.dedup_window_s is not None:
            self.state.forget_keys(now_ns, self.limits.dedup_window_s)
        verdict, spent_ns = self._chain.evaluate(command, GateContext(self.limits, self.state, now_ns))
        self._counts["checked"] += 1
        if isinstance(verdict, Refused):
            self._counts[f"refused_gate_{verdict.gate}"] += 1
            self._refusals[f"{verdict.gate}:{verdict.reason}"] += 1
        else:
            self.state.reserve(command, now_ns)
        return Decision(verdict, spent_ns, self.state.standing, self.limits_version)

    def check_replace(self, order: Order) -> Decision:
        """Decide about the terms in `order.wanted`. What an accepted replacement adds counts as working from now on,
        until `release` of its `replace_key`.

        Terms that add nothing pass, as cancels do, once they are well formed.
        """
        now_ns, command = self._clock.now_ns(), as_new(order)
        if only_shrinks(order):
            self.state.activity.messaged(now_ns)
            formed = schema.gate(command, GateContext(self.limits, self.state, now_ns))
            return Decision(formed, (), self.state.standing, self.limits_version)
        with self.state.without(order.order_id):
            verdict, spent_ns = self._chain.evaluate(command, GateContext(self.limits, self.state, now_ns))
        self._counts["checked_replaces"] += 1
        if isinstance(verdict, Refused):
            self._refusals[f"{verdict.gate}:{verdict.reason}"] += 1
        elif extra(order):
            self.state.reserve(replace(command, quantity=extra(order)), now_ns)
        else:
            self.state.activity.messaged(now_ns)
        return Decision(verdict, spent_ns, self.state.standing, self.limits_version)

    def release(self, key: IdempotencyKey) -> None:
        """The accepted order of this key was not journalled: stop counting it."""
        self.state.release(key)

    def on_event(self, event: OrderEvent | FundEvent) -> None:
        """Follow one journalled event."""
        traded = self.state.apply(event)
        if traded is not None:
            self._throttle(traded, event.ts_ns)
        if self.state.nav != self._assessed_nav:  # most events leave it
            self._latch(new_day=False)

    def on_events(self, events: Sequence[OrderEvent | FundEvent]) -> None:
        """Follow journalled events in their order."""
        for event in events:
            self.on_event(event)

    def restore(self, snapshot: RiskSnapshot) -> None:
        """Start from the journal: a restarted engine, or a restarted OMS, begins here. Never loosens the standing."""
        before = self.state.standing
        self.state.restore(snapshot)
        after = snapshot.standing
        self.state.standing = Standing(
            stricter(before.latched, after.latched),
            stricter(before.manual, after.manual),
            before.throttled | after.throttled,
        )
        for order in snapshot.recent:
            if order.traded_ns is not None:
                self._throttle(order.repeat, order.traded_ns)
        self._latch(new_day=False)

    def refer(self, reference: Reference) -> None:
        """Go by these limits and master data from the next order on; open orders are not looked at again."""
        self.limits, self.limits_version = reference.limits, reference.limits_version
        self.versions = reference.versions
        if reference.master is not self.state.book.master:
            self.state.set_master(reference.master)
        self.state.set_borrow(reference.borrow, reference.borrow_ns)
        self._latch(new_day=False)

    def mark(self, prices: Mapping[Symbol, Decimal], ts_ns: int) -> NavMarked:
        """Value the fund at new prices per share, pairs of currencies among them; may make the latch stricter."""
        new_day = ts_ns // NS_PER_DAY > self.state.marked_ns // NS_PER_DAY
        marked = self.state.mark(prices, ts_ns, self._clock.now_ns())
        self._latch(new_day)
        return marked

    def set_limits(self, limits: RiskLimits) -> None:
        """Replace all limits at once; open orders are not looked at again."""
        self.limits, self._assessed_nav = limits, None

    def set_covariance(self, symbols: Sequence[Symbol], matrix: NDArray[np.float64]) -> None:
        """Daily covariance of returns [S, S] for gate 4's value at risk. InputError on a bad shape."""
        self.state.set_covariance(Covariance(symbols, matrix))

    def set_borrow(self, borrow: Iterable[tuple[Symbol, Borrow]], ts_ns: int) -> None:
        """Replace what can be borrowed, as known at `ts_ns`."""
        self.state.set_borrow(borrow, ts_ns)

    def standing(self) -> Standing:
        """What holds the fund back."""
        return self.state.standing

    def mode(self) -> Mode:
        """How much the fund may do."""
        return self.state.mode

    def halt(self, mode: Mode = Mode.HALTED) -> Standing:
        """A person's word that only cancels pass, or with REDUCING only what brings positions nearer to zero."""
        return self._stand(manual=stricter(self.state.standing.manual, mode))

    def resume(self) -> Standing:
        """Take the person's word back. What the drawdown has latched, and throttled repeats, stay."""
        return self._stand(manual=Mode.ACTIVE)

    def rearm(self) -> Standing:
        """A person's word that the fund may trade again, whatever held it: drawdown counts from NAV now, and repeats
        are counted from none."""
        self.state.peak_nav = self.state.day_start_nav = self.state.nav
        self.state.activity.forget_trades()
        latched = drawdown.assess(self.state, self.limits)
        return self._stand(latched=latched, manual=Mode.ACTIVE, throttled=frozenset())

    def statistics(self) -> dict[str, Any]:
        """Counts since start, refusals by gate and reason, and where the fund stands."""
        state, now_ns = self.state, self._clock.now_ns()
        messages, traded = state.activity.day(now_ns)
        return {
            **self._counts,
            "refusals": dict(sorted(self._refusals.items())),
            "mode": state.mode.value,
            "latched": state.standing.latched.value,
            "manual": state.standing.manual.value,
            "throttled": sorted(state.standing.throttled),
            "limits_version": self.limits_version,
            **{f"{table}_version": version for table, version in sorted(self.versions.items())},
            "nav": state.nav,
            "day_start_nav": state.day_start_nav,
            "peak_nav": state.peak_nav,
            "gross": state.totals.gross,
            "net": state.totals.net,
            "cash": state.book.all_cash,
            "margin": state.totals.margin,
            "open_orders": state.open_orders,
            "messages_today": messages,
            "traded_today": traded,
            "instruments": len(state.book.master.instruments),
            "borrow_ns": state.borrow_ns,
            "keys": len(state.keys),
        }

    def _stand(self, **changes: Any) -> Standing:
        self.state.standing = replace(self.state.standing, **changes)
        return self.state.standing

    def _latch(self, new_day: bool) -> None:
        self._assessed_nav = self.state.nav
        asked = drawdown.assess(self.state, self.limits)
        latched = drawdown.latch(self.state.standing.latched, asked, new_day)
        if latched is not self.state.standing.latched:
            self._stand(latched=latched)

    def _throttle(self, repeat: Repeat, ts_ns: int) -> None:
        """A strategy that has traded the same way too often may not again before a person has looked."""
        repeats_max, window_s = self.limits.repeats_max, self.limits.repeats_window_s
        if repeats_max is None or window_s is None:
            return  # gate 3 refuses everything
        if self.state.activity.repeats(repeat, ts_ns, window_s) >= repeats_max:
            self._stand(throttled=self.state.standing.throttled | {repeat_name(repeat)})
