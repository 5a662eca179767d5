"""Other terms for an order that is open, judged as if the order were made anew with them in its place."""

from __future__ import annotations

from decimal import Decimal

from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.ids import IdempotencyKey, digest
from mts1b.foundation.order import Order, Side


def replace_key(order: Order) -> IdempotencyKey:
    """What the wanted terms are judged and reserved under."""
    assert order.wanted is not None
    return IdempotencyKey(digest("replace", order.order_id, order.wanted.revision))


def as_new(order: Order) -> SubmitOrder:
    """The order with the wanted terms, for what it has not filled yet."""
    wanted = order.wanted
    assert wanted is not None
    return SubmitOrder(
        idempotency_key=replace_key(order),
        fund_id=order.fund_id,
        strategy_id=order.strategy_id,
        symbol=order.symbol,
        side=order.side,
        quantity=wanted.quantity - order.filled_quantity,
        reference_price=order.reference_price,
        decided_ns=order.created_ns,
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        limit_price=wanted.limit_price,
        stop_price=wanted.stop_price,
        good_till_ns=order.good_till_ns,
    )


def only_shrinks(order: Order) -> bool:
    """Whether the wanted terms can add to no exposure: no more shares, and no worse price. Such pass like a cancel."""
    wanted = order.wanted
    assert wanted is not None
    if wanted.quantity > order.quantity or wanted.stop_price != order.stop_price:
        return False
    return wanted.limit_price == order.limit_price or _is_better(order.side, wanted.limit_price, order.limit_price)


def _is_better(side: Side, price: Decimal | None, than: Decimal | None) -> bool:
    """Whether a fill at `price` costs the fund less than one at `than`."""
    return price is not None and than is not None and (price - than) * side.sign < 0


def extra(order: Order) -> Decimal:
    """Shares that the wanted terms add to those that may fill already."""
    assert order.wanted is not None
    return max(order.wanted.quantity - order.quantity, Decimal(0))
