"""Malformed commands by the million: each must be refused by name and change nothing.

A command is a good one with one field spoiled, so that what is wrong with it is known. They go through a whole OMS with
its gates, on ports in memory.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from decimal import Decimal
from random import Random
from typing import Any

import numpy as np

from mts1b.foundation.clock import NS_PER_DAY, NS_PER_S
from mts1b.foundation.commands import CancelOrder, ReplaceOrder, SubmitGroup, SubmitOrder
from mts1b.foundation.errors import InputError, InvariantBroken
from mts1b.foundation.ids import FundId, IdempotencyKey, OrderId, StrategyId, Symbol
from mts1b.foundation.order import Order, OrderStatus, OrderType, Side, TimeInForce
from mts1b.oms.local_risk import LocalRisk
from mts1b.oms.service import Oms
from mts1b.riskengine.service import RiskService
from mts1b.testing.bus import MemoryBus
from mts1b.testing.clock import SimulatedClock
from mts1b.testing.journal import MemoryJournal, MemoryStore
from mts1b.testing.risk import plain_master, wide_limits
from mts1b.testing.venue import MemoryVenue

FUND, SYMBOLS = FundId("fund"), (Symbol("A"), Symbol("B"))
PRICE, CASH = Decimal(10), Decimal(1_000_000)
COMMANDS_PER_DESK = 5_000
"""A fresh desk after so many: what is on record about refusals does not fill the memory."""

NO_TEXTS: tuple[Any, ...] = (
    *("", " ", "a b", "\x00", "a\nb", "\ud800", "\u202e", "ключ", "💥", "x" * 65, "x" * 100_000),
    *(None, 0, -1, 1.5, True, b"bytes", [], {}, (), ["A"], {"A": 1}, object, Decimal(1), float("nan")),
)
NO_AMOUNTS: tuple[Any, ...] = (
    *(Decimal(text) for text in ("NaN", "sNaN", "Infinity", "-Infinity", "0", "-0", "-1", "1E+15", "1E+999999")),
    *(Decimal(text) for text in ("1E-10", "1E-999999", "0.0000000001", "9" * 40, "1." + "1" * 40)),
    *("1", "", "NaN", "١", b"1", 1, -1, 0, 1.5, float("nan"), float("inf"), True, [], {}, (), object, 2**70),
)
NO_TIMES: tuple[Any, ...] = (
    -1,
    2**63,
    2**200,
    -(2**63),
    1.0,
    float("nan"),
    "1",
    b"1",
    True,
    [],
    {},
    Decimal(1),
    object,
)
NO_NAMES: tuple[Any, ...] = (None, "", "BUY", "nothing", 0, 1, True, 1.5, [], {}, (), b"buy", object, "\ud800")
"""For enumerations: neither one of them nor its text."""

SPOILED: Mapping[str, tuple[Any, ...]] = {
    "idempotency_key": NO_TEXTS,
    "fund_id": (*NO_TEXTS, "other"),
    "strategy_id": NO_TEXTS,
    "symbol": (*NO_TEXTS, "UNKNOWN"),
    "side": (*NO_NAMES, OrderType.MARKET, "buy", TimeInForce.DAY),
    "quantity": (*NO_AMOUNTS, None, Decimal("0.5")),
    "reference_price": (*NO_AMOUNTS, None, Decimal("10.001")),
    "decided_ns": (*NO_TIMES, None),
    "order_type": (*NO_NAMES, Side.BUY, "market"),
    "time_in_force": (*NO_NAMES, Side.BUY, "day"),
    "limit_price": (*NO_AMOUNTS, Decimal("10.001")),
    "stop_price": (*NO_AMOUNTS, Decimal("10.001")),
    "good_till_ns": NO_TIMES,
}
"""By field, what it must never hold."""

NO_COMMANDS: tuple[Any, ...] = (None, 0, "buy", b"", [], {}, {"symbol": "A", "unknown_field": 1}, object(), Side.BUY)
REPLACED: Mapping[str, tuple[Any, ...]] = {
    "quantity": (*NO_AMOUNTS, Decimal("0.5")),
    "limit_price": (*NO_AMOUNTS, Decimal("10.001")),
    "stop_price": (Decimal(9), *NO_AMOUNTS),
}

APART_NS = 2 * NS_PER_S
NAMED_BY_GATE = 3
"""Refusals by form: a later gate would mean that the command was taken for a good one."""


@dataclass(slots=True)
class Refusals:
    """How many commands were refused, by kind and by the name of the refusal."""

    kinds: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return sum(self.kinds.values())

    def add(self, kind: str, name: str) -> None:
        self.kinds[kind] += 1
        self.names[name] += 1

    def merge(self, other: Refusals) -> None:
        self.kinds.update(other.kinds)
        self.names.update(other.names)


def refuse_some(seed: int, commands: int) -> Refusals:
    """So many commands from a seed. InvariantBroken, with the command, when one is not refused by name."""
    found, random = Refusals(), Random(seed)
    for begun in range(0, commands, COMMANDS_PER_DESK):
        asyncio.run(_on_one_desk(random, min(COMMANDS_PER_DESK, commands - begun), found))
    return found


def refuse_many(seed: int, commands: int, workers: int) -> Refusals:
    """The same on several processes: what becomes of a command depends on the seed alone."""
    tasks = [
        (seed + number, min(COMMANDS_PER_DESK, commands - begun))
        for number, begun in enumerate(range(0, commands, COMMANDS_PER_DESK))
    ]
    found = Refusals()
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for some in pool.map(refuse_some, *zip(*tasks, strict=True)):
            found.merge(some)
    return found


async def _on_one_desk(random: Random, commands: int, found: Refusals) -> None:
    desk = _Desk()
    open_order = await desk.start()
    for number in range(commands):
        kind, ask, given = desk.draw(random, number, open_order)
        found.add(kind, await refusal(ask, given))
    await desk.must_be_untouched(open_order)


async def refusal(ask: Callable[[Any], Any], given: Any) -> str:
    """The name of the refusal of a command. InvariantBroken when it was taken, or refused without one."""
    try:
        made = await ask(given)
    except InputError as error:
        if not (error.field and error.problem and error.remedy):
            raise InvariantBroken("command", ascii(given)[:500], f"is refused without a name: {error}") from None
        return f"error:{error.field}"
    except Exception as error:
        raise InvariantBroken("command", ascii(given)[:500], f"is not refused: {error!r}") from error
    order = made[0] if isinstance(made, tuple) else made
    reason = order.reason if isinstance(order, Order) else ""
    if not reason.startswith(tuple(f"gate {gate}: " for gate in range(1, NAMED_BY_GATE + 1))):
        raise InvariantBroken("command", ascii(given)[:500], f"is not refused: {ascii(made)[:300]}")
    return str(reason)


class _Desk:
    """A fund with one order at the venue, which every malformed command has to leave as it is."""

    def __init__(self) -> None:
        self.clock, self.store = SimulatedClock(10**18), MemoryStore()
        self.venue = MemoryVenue(self.clock)
        self.risk = RiskService(
            FUND, wide_limits(SYMBOLS, messages_per_s_max=10_000), self.clock, plain_master(SYMBOLS)
        )
        self.risk.set_covariance(SYMBOLS, np.eye(len(SYMBOLS)) * 1e-4)
        journal = MemoryJournal(self.store, FUND)
        self.oms = Oms(FUND, journal, LocalRisk(self.risk), self.venue, MemoryBus(), self.clock, CASH)

    async def start(self) -> Order:
        await self.oms.recover()
        prices = dict.fromkeys(SYMBOLS, PRICE)
        await self.oms.mark(prices, 20_000 * NS_PER_DAY)
        self.risk.mark(prices, 20_000 * NS_PER_DAY)
        order = await self.oms.submit(good_command("first"))
        if order.status is not OrderStatus.WORKING:
            raise InvariantBroken("order", order.status, "a good command should be at work")
        return order

    def draw(self, random: Random, number: int, order: Order) -> tuple[str, Callable[[Any], Any], Any]:
        """A kind, whom to ask, and a malformed command of it; late enough not to pass for the last one again."""
        self.clock.advance(APART_NS)
        match random.randrange(8):
            case 0:
                name = random.choice(NO_TEXTS)
                return "cancel", self.oms.cancel, CancelOrder(OrderId(name), "malformed")
            case 1:
                name = random.choice(tuple(REPLACED))
                terms = {name: random.choice(REPLACED[name])}
                return f"replace {name}", self.oms.replace, ReplaceOrder(order.order_id, "malformed", **terms)
            case 2:
                ask = random.choice((self.oms.submit, self.oms.submit_group, self.oms.cancel, self.oms.replace))
                return f"no {ask.__name__}", ask, random.choice(NO_COMMANDS)
            case 3:
                leg, other = spoiled(random, f"{number}a"), good_command(f"{number}b")
                legs = random.choice(((leg, other), (other, leg), (leg,), [leg, other], (), (other, None), None))
                return "group", self.oms.submit_group, SubmitGroup(None, legs)  # type: ignore[arg-type]
            case _:
                return "submit", self.oms.submit, spoiled(random, str(number))

    async def must_be_untouched(self, order: Order) -> None:
        """One order at the venue and in the books, as it was; and a good command still passes."""
        kept = (list(self.store.orders.values()), list(self.venue.exchange.orders))
        now = await self.oms.order(order.order_id)
        if [one.order_id for one in kept[0]] != [order.order_id] or kept[1] != [order.client_order_id]:
            raise InvariantBroken("orders", len(kept[0]), "malformed commands have left orders behind")
        if now is None or (now.quantity, now.limit_price, now.status) != (
            order.quantity,
            order.limit_price,
            order.status,
        ):
            raise InvariantBroken("order", order.order_id, "was changed by a malformed command")
        if self.risk.state.reserved or self.risk.state.open_orders != 1:
            raise InvariantBroken("risk", self.risk.state.open_orders, "counts what was refused")
        self.clock.advance(APART_NS)
        if (await self.oms.submit(good_command("last"))).status is not OrderStatus.WORKING:
            raise InvariantBroken("order", "last", "is a good command, and is refused after the malformed ones")


def good_command(key: str) -> SubmitOrder:
    """A limit order that passes every gate."""
    ids = IdempotencyKey(key), FUND, StrategyId("s"), SYMBOLS[0]
    kind = OrderType.LIMIT, TimeInForce.GTC, PRICE
    return SubmitOrder(*ids, Side.BUY, Decimal(100), PRICE, 1, *kind)


def spoiled(random: Random, key: str) -> SubmitOrder:
    """A good command with one field that is not."""
    name = random.choice(tuple(SPOILED))
    return replace(good_command(key), **{name: random.choice(SPOILED[name])})
