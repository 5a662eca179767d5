"""The books of one run: cash and shares, what is owed on them, and the round trips they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Columns = tuple[NDArray[Any], ...]

YEAR_NS = 365 * 86_400 * 10**9
"""The year of interest and borrow fees: 365 days."""


@dataclass(frozen=True, slots=True)
class Trades:
    """Round trips, from flat to flat or turned, in the order they ended; arrays [N].

    name         number of the symbol
    entry_bar, exit_bar
    quantity     shares opened, below 0 for a short
    entry_price, exit_price   means over the fills, slippage not included
    costs        commission, half-spread and impact, in money
    pnl          in money, after costs; interest and borrow fees belong to the account
    is_open      still held after the last bar: the exit is its last close
    """

    name: Whole
    entry_bar: Whole
    exit_bar: Whole
    quantity: Floats
    entry_price: Floats
    exit_price: Floats
    costs: Floats
    pnl: Floats
    is_open: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.name)

    @property
    def returns(self) -> Floats:
        """Profit and loss as a fraction of the money that was put in."""
        return self.pnl / (np.abs(self.quantity) * self.entry_price)


@dataclass(frozen=True, slots=True)
class Fills:
    """Every fill in order, arrays [N]: bar, number of the symbol, signed shares, price, costs in money.

    `price` is the market's; costs hold the slippage. The close of a delisted name costs nothing.
    """

    bar: Whole
    name: Whole
    quantity: Floats
    price: Floats
    costs: Floats


class Ledger:
    """Cash and shares of S names. `cash` is [1], or [S] when each name has a sleeve of its own."""

    def __init__(self, capital: float, names: int, sleeves: bool, keep_fills: bool) -> None:
        self.sleeves = sleeves
        self.cash = np.full(names, capital / names) if sleeves else np.array([capital])
        self.quantity = np.zeros(names)
        self.last = np.full(names, np.nan)
        self.costs_paid = 0.0
        self.borrow_paid = 0.0
        self.interest_earned = 0.0
        self._entry_bar = np.zeros(names, dtype=np.int64)
        # of the running round trip: shares and money in, shares and money out, costs
        self._in, self._in_money, self._out, self._out_money, self._costs = (np.zeros(names) for _ in range(5))
        self._trades: list[Columns] = []
        self._fills: list[Columns] | None = [] if keep_fills else None

    def total(self, values: Floats) -> Floats:
        """Sum [1] over the portfolio, or the values themselves [S] when each name is its own account."""
        return values if self.sleeves else values.sum(keepdims=True)

    def value(self, prices: Floats) -> Floats:
        """Signed value of the shares [S]; 0 where none are held, whatever the price."""
        return np.where(self.quantity != 0.0, self.quantity * prices, 0.0)

    def nav(self, prices: Floats) -> Floats:
        """Net asset value by account, [1] or [S]."""
        return self.cash + self.total(self.value(prices))

    def accrue(self, years: float, cash_rate: float, borrow_rate: float) -> None:
        """Interest on cash and the fee on borrowed shares, for the time since they were last accrued."""
        interest = self.cash * (cash_rate * years)
        owed = self.total(np.maximum(-self.value(self.last), 0.0)) * (borrow_rate * years)
        self.cash = self.cash + interest - owed
        self.interest_earned += float(interest.sum())
        self.borrow_paid += float(owed.sum())

    def mark(self, close: Floats) -> None:
        """The close of a bar, NaN where there is none."""
        self.last = np.where(np.isfinite(close), close, self.last)

    def fill(self, bar: int, orders: Floats, prices: Floats, costs: Floats) -> None:
        """Trade `orders` [S] (signed shares) at `prices`, paying `costs` [S] in money."""
        traded = np.flatnonzero(orders)
        if not len(traded):
            return
        order, price, cost = orders[traded], prices[traded], costs[traded]
        spent = np.zeros(len(orders))
        spent[traded] = order * price + cost
        self.cash = self.cash - self.total(spent)
        self.costs_paid += float(cost.sum())
        if self._fills is not None:
            self._fills.append((np.full(len(traded), bar), traded, order, price, cost))
        held = self.quantity[traded]
        closing = np.where(held * order < 0.0, np.minimum(np.abs(order), np.abs(held)), 0.0)
        part = closing / np.abs(order)
        self._close(bar, traded, closing, price, cost * part)
        self.quantity[traded] = held + order
        self._open(bar, traded, np.abs(order) - closing, price, cost * (1.0 - part))

    def settle(self, bar: int, names: Whole) -> None:
        """Close names at their last price, at no cost."""
        orders = np.zeros(len(self.quantity))
        orders[names] = -self.quantity[names]
        self.fill(bar, orders, self.last, np.zeros(len(orders)))

    def _open(self, bar: int, names: Whole, shares: Floats, price: Floats, cost: Floats) -> None:
        opened = shares > 0.0
        names, shares, price, cost = names[opened], shares[opened], price[opened], cost[opened]
        fresh = names[self._in[names] == 0.0]
        self._entry_bar[fresh] = bar
        self._in[names] += shares
        self._in_money[names] += shares * price
        self._costs[names] += cost

    def _close(self, bar: int, names: Whole, shares: Floats, price: Floats, cost: Floats) -> None:
        closed = shares > 0.0
        names, shares, price, cost = names[closed], shares[closed], price[closed], cost[closed]
        self._out[names] += shares
        self._out_money[names] += shares * price
        self._costs[names] += cost
        done = names[np.abs(self.quantity[names]) == shares]
        self._end(bar, done, is_open=False)

    def _end(self, bar: int, names: Whole, is_open: bool) -> None:
        if not len(names):
            return
        side = np.sign(self.quantity[names])
        money_in, money_out, costs = self._in_money[names], self._out_money[names], self._costs[names]
        shares_in, shares_out = self._in[names], self._out[names]
        self._trades.append(
            (
                names,
                self._entry_bar[names],
                np.full(len(names), bar),
                side * shares_in,
                money_in / shares_in,
                money_out / shares_out,
                costs,
                side * (money_out - money_in) - costs,
                np.full(len(names), is_open),
            )
        )
        for column in (self._in, self._in_money, self._out, self._out_money, self._costs):
            column[names] = 0.0

    def trades(self, bar: int) -> Trades:
        """All round trips, those still open (closed at the last price, at no cost) at the end. Ends the books."""
        held = np.flatnonzero(self.quantity)
        self._out[held] += np.abs(self.quantity[held])
        self._out_money[held] += np.abs(self.quantity[held]) * self.last[held]
        self._end(bar, held, is_open=True)
        return Trades(*_joined(self._trades, 9, (0, 1, 2), (8,)))

    def fills(self) -> Fills | None:
        """Every fill, when they were kept."""
        return None if self._fills is None else Fills(*_joined(self._fills, 5, (0, 1)))


def _joined(parts: list[Columns], columns: int, whole: tuple[int, ...], truths: tuple[int, ...] = ()) -> list[Any]:
    kinds = [np.int64 if i in whole else np.bool_ if i in truths else np.float64 for i in range(columns)]
    return [
        np.concatenate([part[i] for part in parts]).astype(kind) if parts else np.zeros(0, dtype=kind)
        for i, kind in enumerate(kinds)
    ]
