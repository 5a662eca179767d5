"""Orders, fills and events as plain rows and back: for the journal, the audit chain and the bus."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from operator import attrgetter
from typing import Any, get_args

from mts1b.foundation.events import (
    CashKind,
    CashMoved,
    OrderEvent,
    OrderFilled,
    OrderHeld,
    OrderNotReplaced,
    OrderReceived,
    OrderReleased,
    OrderReplaced,
    OrderRevived,
    ReplaceRequested,
)
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import (
    ClientOrderId,
    FillId,
    FundId,
    IdempotencyKey,
    OrderId,
    StrategyId,
    Symbol,
    VenueOrderId,
)
from mts1b.foundation.order import (
    Membership,
    Order,
    OrderStatus,
    OrderType,
    Role,
    Side,
    Terms,
    TimeInForce,
)
from mts1b.foundation.position import Position
from mts1b.oms.ports import OutboxMessage
from mts1b.oms.published import FillCreated
from mts1b.platform.events import encode
from mts1b.riskengine.activity import RecentOrder

EVENT_KINDS: dict[type, str] = {
    kind: re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower() for kind in get_args(OrderEvent)
}
"""`OrderFilled` is `order_filled`, as in the journal and the audit chain."""

WITH_ORDER = (
    OrderReceived | OrderHeld | OrderReleased | ReplaceRequested | OrderReplaced | OrderNotReplaced | OrderRevived
)
"""Events that carry the whole order instead of its id."""

_fields_of: dict[type, tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]] = {}
"""Of each dataclass its fields' names, and what reads them all at once."""

_AS_THEY_ARE = frozenset({str, int, bool, type(None), CashKind, Side, OrderType, TimeInForce, OrderStatus, Role})


def row(value: Any) -> dict[str, Any]:
    """A dataclass as a dict of plain values, one level; nested dataclasses become dicts, tuples lists."""
    names, read = _fields_of.get(type(value)) or _learn(type(value))
    return {
        name: item if type(item) in _AS_THEY_ARE else _plain(item)
        for name, item in zip(names, read(value), strict=True)
    }


def _learn(kind: type) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    names = tuple(field.name for field in fields(kind))
    read = attrgetter(*names)
    _fields_of[kind] = (names, read if len(names) > 1 else lambda value: (read(value),))
    return _fields_of[kind]


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is Decimal:
        return format(value, "f")
    if kind is tuple:
        return [_plain(item) for item in value]
    return row(value) if kind in _fields_of or is_dataclass(kind) else value


def order_id_of(event: OrderEvent) -> OrderId:
    return event.order.order_id if isinstance(event, WITH_ORDER) else event.order_id


TIMES = {
    "created_at": "created_ns",
    "updated_at": "updated_ns",
    "good_till_at": "good_till_ns",
    "send_by_at": "send_by_ns",
}
GROUP = {"group_id": "group_id", "group_role": "role", "group_quantity": "quantity"}


def order_row(order: Order) -> dict[str, Any]:
    """The columns of `orders`."""
    found = row(order)
    for column, name in TIMES.items():
        found[column] = found.pop(name)
    del found["fill_ids"]
    group = found.pop("group") or {}
    return found | {column: group.get(name) for column, name in GROUP.items()}


def moved_row(order: Order) -> dict[str, Any]:
    """The columns of `orders` that a step may change, and the id."""
    return {
        "order_id": order.order_id,
        "status": order.status,
        "quantity": format(order.quantity, "f"),
        "limit_price": _plain(order.limit_price),
        "stop_price": _plain(order.stop_price),
        "filled_quantity": format(order.filled_quantity, "f"),
        "average_price": format(order.average_price, "f"),
        "fees": format(order.fees, "f"),
        "venue_order_id": order.venue_order_id,
        "reason": order.reason,
        "updated_at": order.updated_ns,
        "revision": order.revision,
        "wanted": _plain(order.wanted),
        "send_by_at": order.send_by_ns,
    }


def order_from(record: Mapping[str, Any]) -> Order:
    """An order from its columns, with `fill_ids` as an array."""
    venue_order_id = record["venue_order_id"]
    return Order(
        order_id=OrderId(record["order_id"]),
        client_order_id=ClientOrderId(record["client_order_id"]),
        idempotency_key=IdempotencyKey(record["idempotency_key"]),
        fund_id=FundId(record["fund_id"]),
        strategy_id=StrategyId(record["strategy_id"]),
        symbol=Symbol(record["symbol"]),
        side=Side(record["side"]),
        order_type=OrderType(record["order_type"]),
        time_in_force=TimeInForce(record["time_in_force"]),
        quantity=record["quantity"],
        reference_price=record["reference_price"],
        created_ns=record["created_at"],
        updated_ns=record["updated_at"],
        limit_price=record["limit_price"],
        status=OrderStatus(record["status"]),
        filled_quantity=record["filled_quantity"],
        average_price=record["average_price"],
        fees=record["fees"],
        venue_order_id=None if venue_order_id is None else VenueOrderId(venue_order_id),
        reason=record["reason"],
        fill_ids=tuple(FillId(name) for name in record["fill_ids"]),
        stop_price=record["stop_price"],
        good_till_ns=record["good_till_at"],
        revision=record["revision"],
        wanted=_terms_from(record["wanted"]),
        group=_membership_from(record),
        send_by_ns=record["send_by_at"],
    )


def _terms_from(stored: str | None) -> Terms | None:
    if stored is None:
        return None
    terms = json.loads(stored)
    prices = (None if terms[name] is None else Decimal(terms[name]) for name in ("limit_price", "stop_price"))
    return Terms(terms["revision"], Decimal(terms["quantity"]), *prices)


def _membership_from(record: Mapping[str, Any]) -> Membership | None:
    if record["group_id"] is None:
        return None
    return Membership(record["group_id"], Role(record["group_role"]), record["group_quantity"])


def fill_row(fill: Fill) -> dict[str, Any]:
    """The columns of `fills`."""
    found = row(fill)
    found["timestamp"] = found.pop("ts_ns")
    return found


def fill_from(record: Mapping[str, Any]) -> Fill:
    return Fill(
        FillId(record["fill_id"]),
        OrderId(record["order_id"]),
        FundId(record["fund_id"]),
        StrategyId(record["strategy_id"]),
        Symbol(record["symbol"]),
        Side(record["side"]),
        record["quantity"],
        record["price"],
        record["fee"],
        record["timestamp"],
    )


def move_row(move: CashMoved) -> dict[str, Any]:
    """The columns of `cash_moves`, but for the sequence of its link."""
    found = row(move)
    found["timestamp"] = found.pop("ts_ns")
    return found


def move_from(record: Mapping[str, Any]) -> CashMoved:
    return CashMoved(
        record["move_id"],
        FundId(record["fund_id"]),
        CashKind(record["kind"]),
        record["currency"],
        record["amount"],
        record["note"],
        record["timestamp"],
        None if record["symbol"] is None else Symbol(record["symbol"]),
    )


def position_row(position: Position, ts_ns: int) -> dict[str, Any]:
    """The columns of `positions`."""
    return {**row(position), "updated_at": ts_ns}


def position_from(record: Mapping[str, Any]) -> Position:
    return Position(
        FundId(record["fund_id"]),
        Symbol(record["symbol"]),
        record["quantity"],
        record["average_price"],
        record["realised_pnl"],
        record["fees"],
    )


def recent_order(record: Mapping[str, Any]) -> RecentOrder:
    """An order of the last day as risk counts it, from the columns of `sql.RECENT`."""
    repeat = (StrategyId(record["strategy_id"]), Symbol(record["symbol"]), Side(record["side"]))
    return RecentOrder(repeat, record["created_at"], record["traded_at"])


def fill_message(event: OrderFilled) -> OutboxMessage:
    """What the bus is told of a fill; the fill's id makes a repeat harmless."""
    encoded = encode(FillCreated.of(event.fill))
    return OutboxMessage(encoded.subject, encoded.message_id, encoded.payload.decode())
