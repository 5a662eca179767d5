"""Exact books of one combination, readable: numpy, float64, one bar after the other. What the kernels must equal.

The life of bar t is that of the event engine (`mts1b.backtester.event`): interest and borrow fees since the bar before;
names that ended are closed at their last price; what was decided is filled; the close marks the books. Costs are those
of `mts1b.backtester.costs`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.account import Account
from mts1b.backtester.costs import commission, slippage
from mts1b.backtester.execution import Execution
from mts1b.backtester.holdings import BAND_MIN, FITTING_ROUNDS
from mts1b.backtester.offered import Offered
from mts1b.quantkit.metrics import ratio

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Books:
    """What became of one combination.

    returns, traded, paid, changed, gross   [T]: net return; value traded and costs over NAV; targets changed; sum of
                                            absolute values held over NAV at the close
    trades                                  round trips [N, 3]: bar of the end, profit, bars held
    name_returns                            of each sleeve [T, S];  None for a portfolio
    name_changed, name_entered              targets changed and positions opened of each name [S]
    quantity                                shares held after each bar [T, S]
    """

    returns: Floats
    traded: Floats
    paid: Floats
    changed: Floats
    gross: Floats
    trades: Floats
    name_returns: Floats | None
    name_changed: Floats
    name_entered: Floats
    quantity: Floats


def books(targets: Floats, offer: Offered, execution: Execution) -> Books:
    """Trade `targets` [T, S], row t decided on the close of bar t."""
    return _Books(targets, offer, execution).run()


class _Books:
    def __init__(self, targets: Floats, offer: Offered, execution: Execution) -> None:
        self.targets = np.maximum(targets, 0.0) if execution.long_only else targets
        self.offer, self.execution, self.account = offer, execution, Account.matching(execution)
        self.bars, self.names = targets.shape
        self.sleeves = execution.capital_by == "sleeve"
        self.parts = 1 if self.sleeves else self.names
        self.rounds = (1 if execution.is_proportional else FITTING_ROUNDS) if self.sleeves else 0
        self.cash = np.full(self.names if self.sleeves else 1, execution.capital)
        if self.sleeves:
            self.cash /= self.names
        self.worth = self.cash.copy()
        self.quantity, self.in_force, self.profit, self.age = (np.zeros(self.names) for _ in range(4))
        self.unfinished = np.zeros(self.names, dtype=np.bool_)
        self.found: list[tuple[float, float, float]] = []

    def run(self) -> Books:
        shape = (self.bars, self.names)
        returns, traded, paid, changed, gross = (np.zeros(self.bars) for _ in range(5))
        name_returns, quantity = np.zeros(shape), np.zeros(shape)
        name_changed, name_entered = np.zeros(self.names), np.zeros(self.names)
        for t in range(self.bars):
            self._accrue(t)
            self._delist(t)
            held, base = self.quantity, self.worth / self.parts
            mark = np.where(self.offer.tradable[t], self.offer.price[t], self.offer.before[t])
            nav = float(self._nav(mark).sum())
            orders, costs, moved = self._trade(t, mark) if t >= self.offer.lag else (np.zeros(self.names),) * 3
            last = self.offer.last[t]
            self._follow(t, held, orders, costs, mark, base)
            value = self.quantity * last
            worth = self._nav(last)
            if nav > 0.0:
                traded[t], paid[t] = (np.abs(orders) * mark).sum() / nav, costs.sum() / nav
            if worth.sum() > 0.0:
                gross[t] = np.abs(value).sum() / worth.sum()
            returns[t] = _growth(worth.sum(), self.worth.sum())
            name_returns[t] = _growth(worth, self.worth)
            changed[t] = moved.sum()
            name_changed += moved
            name_entered += (self.quantity != 0.0) & (held * self.quantity <= 0.0)
            quantity[t], self.worth = self.quantity, worth
        trades = np.array(self.found, dtype=np.float64).reshape(-1, 3)
        by_name = name_returns if self.sleeves else None
        return Books(returns, traded, paid, changed, gross, trades, by_name, name_changed, name_entered, quantity)

    def _nav(self, marks: Floats) -> Floats:
        """Net asset value, [1], or of each sleeve [S]."""
        return self.cash + self._total(self.quantity * marks)

    def _total(self, values: Floats) -> Floats:
        return values if self.sleeves else values.sum(keepdims=True)

    def _accrue(self, t: int) -> None:
        years = self.offer.years[t]
        owed = self._total(np.maximum(-self.quantity * self.offer.before[t], 0.0))
        self.cash = (
            self.cash + self.cash * (self.execution.cash_rate * years) - owed * (self.execution.borrow_rate * years)
        )

    def _delist(self, t: int) -> None:
        """Close what has ended at its last price: its trade ends there, at no cost."""
        gone = self.offer.gone[t]
        self.cash = self.cash + self._total(np.where(gone, self.quantity * self.offer.before[t], 0.0))
        for s in np.flatnonzero(gone & (self.quantity != 0.0)).tolist():
            self._end(t, s, self.profit[s])
        self.quantity = np.where(gone, 0.0, self.quantity)
        self.unfinished = self.unfinished & ~gone

    def _trade(self, t: int, mark: Floats) -> tuple[Floats, Floats, Floats]:
        """Fill what was decided: signed shares, their costs in money and which targets changed, [S] each."""
        offer, execution = self.offer, self.execution
        tradable = offer.tradable[t]
        target = np.where(tradable, self.targets[t - offer.lag], self.in_force)
        changed = target != self.in_force
        nav = self._nav(mark)
        share = np.maximum(nav, 0.0) / self.parts
        turned = np.sign(target) != np.sign(self.quantity)
        apart = np.abs(self.quantity * mark - share * target)
        drifted = apart > max(execution.band, BAND_MIN) * share if execution.band < np.inf else np.zeros_like(turned)
        moved = tradable & (changed | turned | self.unfinished | drifted)
        orders = np.where(moved, share * target / np.where(tradable, mark, 1.0) - self.quantity, 0.0)
        most = offer.most[t]
        self.unfinished = np.where(tradable, np.abs(orders) > most, self.unfinished)
        orders = np.clip(orders, -most, most)
        costs = self._costs(t, orders, mark)
        for _ in range(self.rounds):
            orders = self._fitted(orders, costs, nav, mark, np.maximum(np.abs(target), 1.0))
            costs = self._costs(t, orders, mark)
        self.cash = self.cash - self._total(orders * mark + costs)
        self.quantity, self.in_force = self.quantity + orders, target
        return orders, costs, changed.astype(np.float64)

    def _costs(self, t: int, orders: Floats, mark: Floats) -> Floats:
        """Commission, half-spread and impact of each order, in money."""
        shares = np.abs(orders)
        slipped = slippage(shares, mark, self.account, self.offer.volume[t], self.offer.volatility[t])
        return commission(shares, mark, self.account) + slipped * shares * mark

    def _fitted(self, orders: Floats, costs: Floats, nav: Floats, mark: Floats, limit: Floats) -> Floats:
        """Orders whose opening part is cut until value held is at most `limit` times what the sleeve is then worth."""
        shares = np.abs(orders)
        closing = np.where(self.quantity * orders < 0.0, np.minimum(shares, np.abs(self.quantity)), 0.0)
        opening = shares - closing
        rate = ratio(costs, shares * mark)
        kept = (np.abs(self.quantity) - closing) * mark
        room = (limit * (nav - rate * closing * mark) - kept) / (1.0 + limit * rate)
        fitting = np.minimum(opening, np.maximum(room, 0.0) / np.where(mark > 0.0, mark, 1.0))
        return np.sign(orders) * (closing + fitting)

    def _follow(self, t: int, held: Floats, orders: Floats, costs: Floats, mark: Floats, base: Floats) -> None:
        """Book the bar's profit of every name to its trade, as a fraction of its share `base` before the bar."""
        base = np.broadcast_to(base, (self.names,))
        for s in range(self.names):
            unit = 1.0 / base[s] if base[s] > 0.0 else 0.0
            closing = min(abs(orders[s]), abs(held[s])) if held[s] * orders[s] < 0.0 else 0.0
            paid = costs[s] * (closing / abs(orders[s])) if orders[s] != 0.0 else 0.0
            night = held[s] * (mark[s] - self.offer.before[t, s])
            day = self.quantity[s] * (self.offer.last[t, s] - mark[s])
            if held[s] != 0.0 and held[s] * self.quantity[s] <= 0.0:
                self._end(t, s, self.profit[s] + (night - paid) * unit)
                night, paid = 0.0, costs[s] - paid
            else:
                paid = costs[s]
            self.profit[s] += (night + day - paid) * unit
            self.age[s] += self.quantity[s] != 0.0

    def _end(self, t: int, s: int, profit: float) -> None:
        self.found.append((t, profit, self.age[s]))
        self.profit[s], self.age[s] = 0.0, 0.0


def _growth(after: Floats, before: Floats) -> Floats:
    """Return of a bar; 0 once all is lost."""
    return np.where(before > 0.0, after / np.where(before > 0.0, before, 1.0) - 1.0, 0.0)
