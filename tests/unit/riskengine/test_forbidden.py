"""No gate accepts what its limit forbids: generated books, judged by a second reader that counts every world anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.events import OrderReceived
from mts1b.foundation.ids import Symbol
from mts1b.foundation.order import OrderType, Side
from mts1b.oms.machine import new_order
from mts1b.riskengine import Borrow
from tests.unit.riskengine.books import NOW_NS, SYMBOLS, command, service
from tests.unit.riskengine.test_service import fill_of

D = Decimal
PRICE, CASH, ZERO = D(10), D(100_000), D(0)
COVARIANCE = np.diag([0.0001, 0.0004, 0.0009])
BORROWABLE = {"A": 500, "B": 100, "C": 0}

CHOICES: dict[str, list[str]] = {
    "quantity_max": ["600", "3000"],
    "notional_max": ["8000", "30000"],
    "market_margin": ["0", "0.1"],
    "price_collar": ["0.02", "0.2"],
    "open_orders_max": ["3", "6"],
    "orders_per_s_max": ["4", "9"],
    "self_match_allowed": ["false", "true"],
    "gross_max": ["30000", "200000"],
    "net_max": ["20000", "200000"],
    "leverage_max": ["0.25", "3"],
    "net_to_nav_max": ["0.2", "3"],
    "name_to_nav_max": ["0.1", "3"],
    "sector_to_nav_max": ["0.3", "3"],
    "cash_to_nav_min": ["0.8", "-1"],
    "margin_to_nav_max": ["0.4", "3"],
    "adv_share_max": ["0.00001", "1"],
    "var_to_nav_max": ["0.003", "1"],
    "borrow_rate_max": ["0.005", "0.1"],
}
"""Each limit narrow and wide."""

ORDER = st.tuples(
    st.sampled_from(SYMBOLS),
    st.sampled_from(list(Side)),
    st.integers(1, 1200),
    st.sampled_from([None, "9", "9.9", "10", "10.1", "11"]),
    st.integers(0, 2),  # 2: it is filled when it was accepted
)


@dataclass
class Reader:
    """A fund as a list of orders. It knows no totals: each question counts the worlds that its open orders allow."""

    limits: dict[str, Any]
    cash: D = CASH
    held: dict[str, D] = field(default_factory=lambda: dict.fromkeys(SYMBOLS, ZERO))
    open: list[SubmitOrder] = field(default_factory=list)

    def worlds(self, orders: list[SubmitOrder]) -> Iterator[dict[str, D]]:
        """What could be held, whichever of these orders fill."""
        for filled in product((0, 1), repeat=len(orders)):
            world = dict(self.held)
            for order, is_filled in zip(orders, filled, strict=True):
                world[order.symbol] += is_filled * order.side.sign * order.quantity
            yield world

    def worst(self, orders: list[SubmitOrder], symbol: str) -> dict[str, D]:
        worlds = [{name: shares * PRICE for name, shares in world.items()} for world in self.worlds(orders)]
        gross = max(sum((abs(worth) for worth in world.values()), ZERO) for world in worlds)
        net = max(abs(sum(world.values(), ZERO)) for world in worlds)
        name = max(abs(world[symbol]) for world in worlds)
        return {"gross": gross, "net": net, "name": name, "var": self.at_risk(orders)}

    def at_risk(self, orders: list[SubmitOrder]) -> D:
        *_, every = self.worlds(orders)
        worth = np.array([float(every[name] * PRICE) for name in SYMBOLS])
        return D(2.3263478740408408 * float(np.sqrt(worth @ COVARIANCE @ worth)))

    def forbids(self, order: SubmitOrder, recent: int) -> list[str]:
        """The limits that the order breaks."""
        return [*self._static(order, recent), *self._exposed(order), *self._funded(order), *self._short(order)]

    def _static(self, order: SubmitOrder, recent: int) -> Iterator[str]:
        margin = D(self.limits["market_margin"]) if order.limit_price is None else ZERO
        dearest = max(PRICE, order.limit_price or PRICE) * (1 + margin)
        same_name = [item for item in self.open if item.symbol == order.symbol and item.side is not order.side]
        checks = {
            "quantity_max": order.quantity > D(self.limits["quantity_max"]),
            "notional_max": order.quantity * dearest > D(self.limits["notional_max"]),
            "price_collar": abs((order.limit_price or PRICE) - PRICE) > D(self.limits["price_collar"]) * PRICE,
            "open_orders_max": len(self.open) >= int(self.limits["open_orders_max"]),
            "orders_per_s_max": recent >= int(self.limits["orders_per_s_max"]),
            "self_match_allowed": self.limits["self_match_allowed"] == "false" and any(map(crossing(order), same_name)),
        }
        yield from (name for name, broken in checks.items() if broken)

    def _exposed(self, order: SubmitOrder) -> Iterator[str]:
        nav = self.cash + sum((shares * PRICE for shares in self.held.values()), ZERO)
        before, after = self.worst(self.open, order.symbol), self.worst([*self.open, order], order.symbol)
        for name, measure, limit in (
            ("gross_max", "gross", D(self.limits["gross_max"])),
            ("net_max", "net", D(self.limits["net_max"])),
            ("leverage_max", "gross", D(self.limits["leverage_max"]) * nav),
            ("net_to_nav_max", "net", D(self.limits["net_to_nav_max"]) * nav),
            ("name_to_nav_max", "name", D(self.limits["name_to_nav_max"]) * nav),
            ("sector_to_nav_max", "gross", D(self.limits["sector_to_nav_max"]) * nav),  # all names are of one sector
            ("margin_to_nav_max", "gross", D(self.limits["margin_to_nav_max"]) * nav),  # no name has a rate of its own
            ("var_to_nav_max", "var", D(self.limits["var_to_nav_max"]) * nav),
        ):
            over = after[measure] - max(limit, before[measure])
            if over > (D("0.01") if measure == "var" else 0):
                yield name

    def _funded(self, order: SubmitOrder) -> Iterator[str]:
        nav = self.cash + sum((shares * PRICE for shares in self.held.values()), ZERO)
        orders = [*self.open, order]
        margin = 1 + D(self.limits["market_margin"])
        buys = [item for item in orders if item.side is Side.BUY]
        cost = sum((item.quantity * (item.limit_price or PRICE * margin) for item in buys), ZERO)
        highest = max(world[order.symbol] for world in self.worlds(orders))
        if order.side is Side.BUY and highest > 0 and self.cash - cost < D(self.limits["cash_to_nav_min"]) * nav:
            yield "cash_to_nav_min"
        one_side = sum((o.quantity for o in orders if (o.symbol, o.side) == (order.symbol, order.side)), ZERO)
        if one_side > D(self.limits["adv_share_max"]) * 100_000_000:
            yield "adv_share_max"

    def _short(self, order: SubmitOrder) -> Iterator[str]:
        lowest = min(world[order.symbol] for world in self.worlds([*self.open, order]))
        borrowed = max(ZERO, -self.held[order.symbol])
        if order.side is Side.SELL and -lowest - borrowed > 0:
            if -lowest - borrowed > BORROWABLE[order.symbol]:
                yield "borrow"
            if D(self.limits["borrow_rate_max"]) < D("0.01"):
                yield "borrow_rate_max"


def crossing(order: SubmitOrder) -> Any:
    def crosses(other: SubmitOrder) -> bool:
        buy, sell = (order, other) if order.side is Side.BUY else (other, order)
        return buy.limit_price is None or sell.limit_price is None or buy.limit_price >= sell.limit_price

    return crosses


def asked(number: int, symbol: Symbol, side: Side, quantity: int, limit: str | None) -> SubmitOrder:
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    price = None if limit is None else D(limit)
    return command(number, side, str(quantity), symbol=symbol, order_type=kind, limit_price=price)


@pytest.mark.parametrize("narrow", CHOICES)
@settings(max_examples=25, deadline=None)
@given(story=st.lists(ORDER, max_size=7))
def test_nothing_is_accepted_that_a_limit_forbids(narrow: str, story: list[Any]) -> None:
    limits = {name: values[name != narrow] for name, values in CHOICES.items()}
    engine = service(cash=str(CASH), **limits)
    engine.set_borrow([(Symbol(name), Borrow(D(held), D("0.01"))) for name, held in BORROWABLE.items()], NOW_NS)
    reader, recent = Reader(limits), 0
    for number, (symbol, side, quantity, limit, what) in enumerate(story):
        order = asked(number, symbol, side, quantity, limit)
        forbidden = reader.forbids(order, recent)
        decision = engine.check(order)
        if not decision.accepted:
            assert forbidden or decision.verdict.reason == "var", f"{decision.verdict} and no limit says so"  # a cent
            continue
        assert not forbidden, f"accepted, against {forbidden}"
        recent += 1
        fill = fill_of(order, quantity, f"F{number}")
        engine.on_event(OrderReceived(new_order(order, 1), 1))
        if what == 2:
            engine.on_event(fill)
            booked = fill.fill
            reader.cash += booked.cash_change
            reader.held[symbol] += booked.side.sign * booked.quantity
        else:
            reader.open.append(order)
