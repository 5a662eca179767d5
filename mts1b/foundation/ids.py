"""Names of things, and how they are derived. Ids are derived from content, so a repeat has the same id."""

from __future__ import annotations

from hashlib import blake2b
from typing import NewType

FundId = NewType("FundId", str)
StrategyId = NewType("StrategyId", str)
Symbol = NewType("Symbol", str)
OrderId = NewType("OrderId", str)
ClientOrderId = NewType("ClientOrderId", str)
VenueOrderId = NewType("VenueOrderId", str)
FillId = NewType("FillId", str)
IdempotencyKey = NewType("IdempotencyKey", str)

DIGEST_BYTES = 16

CLIENT_PREFIX = "m-"
"""How every id begins that a venue knows an order of ours by."""


def digest(*parts: object) -> str:
    """Hex digest of the parts' text, 128 bits; a separator keeps ("ab","c") apart from ("a","bc")."""
    text = "\x1f".join(str(part) for part in parts)
    return blake2b(text.encode(), digest_size=DIGEST_BYTES).hexdigest()


def idempotency_key(fund: FundId, strategy: StrategyId, symbol: Symbol, decided_ns: int) -> IdempotencyKey:
    """One key for one decision of one strategy on one name at one bar."""
    return IdempotencyKey(digest("decision", fund, strategy, symbol, decided_ns))


def order_id(key: IdempotencyKey, created_ns: int) -> OrderId:
    """Our own id of an order: its key and the time it was first received."""
    return OrderId(digest("order", key, created_ns))


def client_order_id(order: OrderId) -> ClientOrderId:
    """What the venue knows the order by. Derived, so a resend after a crash carries the same id."""
    return ClientOrderId(CLIENT_PREFIX + digest("client", order)[:24])
