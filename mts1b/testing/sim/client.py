"""A strategy that never forgets what it asked for: each decision is sent under its key until it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

from mts1b.foundation.clock import NS_PER_S, Clock
from mts1b.foundation.commands import CancelAll, CancelOrder, ReplaceOrder, SubmitGroup, SubmitOrder
from mts1b.foundation.errors import InputError, MtsError
from mts1b.foundation.ids import IdempotencyKey, StrategyId, digest
from mts1b.foundation.order import Order, OrderStatus, OrderType, Side, TimeInForce
from mts1b.testing.sim.host import FUND, SYMBOLS, Host
from mts1b.testing.sim.loop import Process
from mts1b.testing.sim.network import Network
from mts1b.testing.sim.venue import TICK, SimVenue

ANSWER_S = 5.0
RETRY_S = 0.3
MARK_S = 1.0
PAUSE_S = (0.02, 0.4)
BURST_RATIO = 0.25
"""How often the next decision is made at the same moment."""
SIMPLE = (
    (OrderType.MARKET, TimeInForce.DAY),
    (OrderType.MARKET, TimeInForce.IOC),
    (OrderType.MARKET, TimeInForce.FOK),
    (OrderType.LIMIT, TimeInForce.GTC),
    (OrderType.LIMIT, TimeInForce.GTC),
    (OrderType.LIMIT, TimeInForce.IOC),
    (OrderType.LIMIT, TimeInForce.GTD),
    (OrderType.STOP, TimeInForce.GTC),
    (OrderType.STOP_LIMIT, TimeInForce.DAY),
)


class Client:
    """`oms` says which process to speak to. `known` are the orders it has been told of."""

    def __init__(
        self,
        me: Process,
        network: Network,
        random: Random,
        clock: Clock,
        venue: SimVenue,
        oms: Callable[[], Host | None],
    ) -> None:
        self._me, self._network, self._random, self._clock = me, network, random, clock
        self._venue, self._oms = venue, oms
        self._number = 0
        self.asked: set[asyncio.Task[None]] = set()
        self.known: list[Order] = []
        self.is_trading = True

    @property
    def is_answered(self) -> bool:
        return not self.asked

    async def trade(self, orders_min: int) -> None:
        """Decide until so many orders were asked for."""
        while self._number < orders_min:
            self._decide()
            if self._random.random() > BURST_RATIO:
                await asyncio.sleep(self._random.uniform(*PAUSE_S))
        self.is_trading = False

    async def mark(self) -> None:
        """Value the fund again and again, as a feed does."""
        while True:
            host = self._oms()
            if host is not None:
                prices, now_ns = dict(self._venue.prices), self._clock.now_ns()
                await self._once(host, host.mark, prices, now_ns)
            await asyncio.sleep(MARK_S)

    def send(self, name: str, command: object, *also: object) -> None:
        """Ask until there is an answer, in the background."""
        task = asyncio.create_task(self._until_answered(name, command, *also))
        self.asked.add(task)
        task.add_done_callback(self.asked.discard)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _decide(self) -> None:
        draw, order = self._random.random(), self._some_order()
        if draw < 0.14 and order is not None:
            self.send("cancel", CancelOrder(order.order_id, "no longer wanted"))
        elif draw < 0.26 and order is not None:
            self.send("replace", self._other_terms(order))
        elif draw < 0.27:
            self.send("cancel_all", CancelAll("enough", symbol=self._random.choice(SYMBOLS)))
        elif draw < 0.285:
            self.send("halt", None)
        elif draw < 0.29:
            self.send("resume", None)
        elif draw < 0.31:
            self.send("rearm", None)
        elif draw < 0.40:
            self.send("submit_group", self._group())
        else:
            self.send("submit", self._order())

    def _some_order(self) -> Order | None:
        return self._random.choice(self.known[-12:]) if self.known else None

    def _order(self, **given: Any) -> SubmitOrder:
        self._number += 1
        symbol = given.get("symbol") or self._random.choice(SYMBOLS)
        kind, time = self._random.choice(SIMPLE)
        price, side = self._venue.prices[symbol], self._random.choice(list(Side))
        values: dict[str, Any] = {
            "idempotency_key": IdempotencyKey(digest("decision", self._number)),
            "fund_id": FUND,
            "strategy_id": StrategyId("s"),
            "symbol": symbol,
            "side": side,
            "quantity": Decimal(self._random.randint(1, 300)),
            "reference_price": price,
            "decided_ns": self._number,
            "order_type": kind,
            "time_in_force": time,
            "limit_price": self._near(price) if kind.has_limit else None,
            "stop_price": self._near(price) if kind.has_stop else None,
            "good_till_ns": None,
        }
        values |= given
        if values["time_in_force"] is TimeInForce.GTD:
            values["good_till_ns"] = self._clock.now_ns() + self._random.randint(1, 20) * NS_PER_S
        return SubmitOrder(**values)

    def _near(self, price: Decimal) -> Decimal:
        return max(price + self._random.randint(-60, 60) * TICK, TICK)

    def _group(self) -> SubmitGroup:
        symbol, side = self._random.choice(SYMBOLS), self._random.choice(list(Side))
        other, price = Side.SELL if side is Side.BUY else Side.BUY, self._venue.prices[symbol]
        with_entry = self._random.random() < 0.7
        quantity = Decimal(self._random.randint(1, 200))
        shared = {"symbol": symbol, "quantity": quantity, "time_in_force": TimeInForce.GTC}
        market = {"order_type": OrderType.MARKET, "limit_price": None, "stop_price": None}
        legs = {**shared, "side": other if with_entry else side}
        stop = self._order(**legs, order_type=OrderType.STOP, limit_price=None, stop_price=self._far(price, -side.sign))
        profit = self._order(
            **legs, order_type=OrderType.LIMIT, stop_price=None, limit_price=self._far(price, side.sign)
        )
        entry = self._order(**shared, side=side, **market) if with_entry else None
        return SubmitGroup(entry, (stop, profit))

    def _far(self, price: Decimal, sign: int) -> Decimal:
        return max(price + sign * self._random.randint(10, 80) * TICK, TICK)

    def _other_terms(self, order: Order) -> ReplaceOrder:
        quantity = Decimal(self._random.randint(1, 300)) if self._random.random() < 0.6 and not order.group else None
        price = self._venue.prices[order.symbol]
        return ReplaceOrder(
            order.order_id,
            "changed my mind",
            quantity,
            self._near(price) if order.order_type.has_limit else None,
            self._near(price) if order.order_type.has_stop else None,
        )

    async def _until_answered(self, name: str, command: object, *also: object) -> None:
        given = (*also,) if command is None else (command, *also)
        while True:
            host = self._oms()
            answer = None if host is None else await self._once(host, getattr(host, name), *given)
            if answer is not None:
                self._learn(answer)
                return
            await asyncio.sleep(RETRY_S)

    async def _once(self, host: Host, call: Callable[..., Any], *given: object) -> Any:
        """The answer; None when there is none yet. What can never be done is an answer too."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._network.ask_task(self._me, host.process, call, *given)
        except InputError as error:
            return error
        except (TimeoutError, MtsError):
            return None

    def _learn(self, answer: Any) -> None:
        made = answer if isinstance(answer, tuple | list) else (answer,)
        self.known += [item for item in made if isinstance(item, Order) and item.status is not OrderStatus.DENIED]
