"""The event engine: one strategy, one set of values, an account of cash and whole shares, bar after bar.

Where the kernels ask "how good are 100,000 combinations", this asks "what would my account have looked like": exact
books, each fill paid for, nothing approximated to first order. Its decisions come from the live stepper, which is
given one bar at a time, so that it cannot see the next one.

In the life of bar t, in this order: interest and borrow fees for the time since bar t - 1; names without a bar for too
long are closed at their last price; what was decided on the close of bar t - 1 is filled at the open (or the vwap) of
bar t; the close marks the books; the strategy decides. With fill "close", what it decides is filled at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.account import Account
from mts1b.backtester.costs import liquidity
from mts1b.backtester.execution import check_prices
from mts1b.backtester.ledger import YEAR_NS, Fills, Ledger, Trades
from mts1b.backtester.orders import Market, decide_orders
from mts1b.foundation.errors import InputError
from mts1b.strategy.definition import Strategy, Values
from mts1b.strategy.panel import Panel

Floats = NDArray[np.float64]

Decide = Callable[[int], Floats]
"""The targets [S] decided on the close of bar t. Called once for each bar, in order."""


@dataclass(frozen=True, slots=True)
class Run:
    """What became of an account: series [T] at the close of each bar, tables [T, S].

    equity, cash   in money; cash is that of all sleeves
    gross          sum of absolute values held over equity (0 once that is gone)
    traded         value traded at the bar over NAV before it, both ways
    costs          commission, half-spread and impact of the bar, over the same
    changed        names whose target in force changed at the bar
    in_market      whether anything was held at some time of the bar
    targets        decided on the close of the bar;  quantity  shares held after it
    """

    account: Account
    values: Mapping[str, float]
    ts_ns: NDArray[np.int64]
    symbols: tuple[str, ...]
    equity: Floats
    cash: Floats
    gross: Floats
    traded: Floats
    costs: Floats
    changed: Floats
    in_market: NDArray[np.bool_]
    targets: Floats
    quantity: Floats
    trades: Trades
    costs_paid: float
    borrow_paid: float
    interest_earned: float
    fills: Fills | None = None

    @property
    def returns(self) -> Floats:
        """Return of each bar [T], the first one from the capital; 0 once the account is ruined."""
        before = np.concatenate([[self.account.capital], self.equity[:-1]])
        alive = before > 0.0
        return np.where(alive, self.equity / np.where(alive, before, 1.0) - 1.0, 0.0)


def backtest(
    strategy: Strategy, values: Values, panel: Panel, account: Account | None = None, keep_fills: bool = False
) -> Run:
    """Run one set of parameter values through an account.

    InputError for an unknown or out-of-range parameter, a window longer than the history or targets that are not
    finite; DataError for bad prices.
    """
    check_panel(panel)
    chosen = strategy.resolve(values)
    strategy.check_history(chosen, len(panel.ts_ns))
    stepper = strategy.stepper(chosen, panel.symbols, panel.sectors)

    def decide(t: int) -> Floats:
        row = stepper.warm(panel.rows(t, t + 1))[0]
        if not np.isfinite(row).all():
            raise InputError(
                strategy.name, chosen, "gives weights that are not finite", "guard the division, or clip()"
            )
        return row

    return simulate(decide, panel, account or Account(), chosen, keep_fills)


def check_panel(panel: Panel) -> None:
    """InputError for a panel without bars, DataError for the first price or volume that cannot be."""
    if not len(panel.ts_ns) or not panel.symbols:
        size = (len(panel.ts_ns), len(panel.symbols))
        raise InputError("panel", size, "holds no bars", "choose names and dates with bars")
    check_prices(panel)


def simulate(
    decide: Decide,
    panel: Panel,
    account: Account,
    values: Mapping[str, float] | None = None,
    keep_fills: bool = False,
) -> Run:
    """Trade whatever `decide` says over a checked panel."""
    return _Simulation(decide, panel, account, keep_fills).run(values or {})


def fill_prices(panel: Panel, fill: str) -> Floats:
    """Price [T, S] at which orders are filled in each bar, NaN where there is none."""
    if fill == "next_open":
        return panel.open
    if fill == "close":
        return panel.close
    typical = (panel.high + panel.low + panel.close) / 3.0
    return typical if panel.vwap is None else np.where(np.isfinite(panel.vwap), panel.vwap, typical)


class _Simulation:
    def __init__(self, decide: Decide, panel: Panel, account: Account, keep_fills: bool) -> None:
        self.decide, self.panel, self.account = decide, panel, account
        bars, names = panel.close.shape
        self.ledger = Ledger(account.capital, names, account.capital_by == "sleeve", keep_fills)
        self.prices = fill_prices(panel, account.fill)
        self.tradable = np.isfinite(self.prices) & np.isfinite(panel.close)
        self.known = liquidity(panel, int(account.impact_bars)) if account.impact > 0.0 else None
        self.unknown = np.full(names, np.nan)
        self.unfinished = np.zeros(names, dtype=np.bool_)
        self.in_force = np.zeros(names)
        self.missing = np.zeros(names, dtype=np.int64)
        self.series = {name: np.zeros(bars) for name in ("equity", "cash", "gross", "traded", "costs", "changed")}
        self.in_market = np.zeros(bars, dtype=np.bool_)
        self.targets, self.quantity = np.zeros((bars, names)), np.zeros((bars, names))

    def run(self, values: Mapping[str, float]) -> Run:
        ts_ns, close = self.panel.ts_ns, self.panel.close
        bars, names = close.shape
        at_close = self.account.fill == "close"
        decided = np.zeros(names)
        for t in range(bars):
            self.in_market[t] = bool(self.ledger.quantity.any())
            if t:
                years = float(ts_ns[t] - ts_ns[t - 1]) / YEAR_NS
                self.ledger.accrue(years, self.account.cash_rate, self.account.borrow_rate)
            self._delist(t)
            if t and not at_close:
                self._trade(t, decided, t - 1)
            self.ledger.mark(close[t])
            self.targets[t] = decided = self.decide(t)
            if at_close:
                self._trade(t, decided, t)
            self._record(t)
        series = self.series
        ledger = self.ledger
        return Run(
            account=self.account,
            values=dict(values),
            ts_ns=ts_ns,
            symbols=self.panel.symbols,
            **series,
            in_market=self.in_market,
            targets=self.targets,
            quantity=self.quantity,
            trades=ledger.trades(bars - 1),
            costs_paid=ledger.costs_paid,
            borrow_paid=ledger.borrow_paid,
            interest_earned=ledger.interest_earned,
            fills=ledger.fills(),
        )

    def _delist(self, t: int) -> None:
        self.missing = np.where(np.isfinite(self.panel.close[t]), 0, self.missing + 1)
        gone = (self.missing >= self.account.delist_after_bars) & (self.ledger.quantity != 0.0)
        if gone.any():
            self.ledger.settle(t, np.flatnonzero(gone))
        self.unfinished &= self.missing < self.account.delist_after_bars

    def _trade(self, t: int, targets: Floats, decided_at: int) -> None:
        """Fill at bar t what was decided on the close of bar `decided_at`."""
        account, ledger, tradable = self.account, self.ledger, self.tradable[t]
        ends = account.close_at_end and t == len(self.panel.ts_ns) - 1
        if ends:
            targets = np.zeros(len(targets))
        else:  # nothing is decided on a bar without a close
            tradable = tradable & np.isfinite(self.panel.close[decided_at])
        if account.direction == "long":
            targets = np.maximum(targets, 0.0)
        wanted = np.where(tradable, targets, self.in_force)
        changed = wanted != self.in_force
        self.series["changed"][t] = changed.sum()
        self.in_force = wanted
        rows = (
            (self.unknown,) * 2
            if self.known is None
            else (row[decided_at] for row in (self.known.volume, self.known.volatility))
        )
        market = Market(self.prices[t], tradable, self.panel.volume[t], *rows)
        before = float(ledger.nav(np.where(tradable, market.price, ledger.last)).sum())
        orders = decide_orders(targets, changed, ledger, market, account, self.unfinished)
        self.unfinished = orders.unfinished
        ledger.fill(t, orders.shares, market.price, orders.costs)
        if before > 0.0:
            money = np.abs(orders.shares[orders.shares != 0.0]) @ market.price[orders.shares != 0.0]
            self.series["traded"][t] = money / before
            self.series["costs"][t] = orders.costs.sum() / before
        if ends:
            ledger.settle(t, np.flatnonzero(ledger.quantity * ~tradable))

    def _record(self, t: int) -> None:
        ledger, series = self.ledger, self.series
        value = ledger.value(ledger.last)
        equity = float(ledger.cash.sum() + value.sum())
        series["equity"][t], series["cash"][t] = equity, float(ledger.cash.sum())
        series["gross"][t] = np.abs(value).sum() / equity if equity > 0.0 else 0.0
        self.quantity[t] = ledger.quantity
        self.in_market[t] |= bool(ledger.quantity.any())
