"""The orders an OMS holds in memory: all that are open, and the last of those that have ended."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from mts1b.foundation.ids import ClientOrderId, IdempotencyKey, OrderId
from mts1b.foundation.limits import DEDUP_KEYS_IN_MEMORY_MAX, ORDERS_ENDED_IN_MEMORY_MAX
from mts1b.foundation.order import Order


class OrderTable:
    """Looks orders up by id, client order id and idempotency key. What it has let go of, the journal still has."""

    def __init__(self) -> None:
        self._open: dict[OrderId, Order] = {}
        self._ended: OrderedDict[OrderId, Order] = OrderedDict()
        self._by_client: dict[ClientOrderId, OrderId] = {}
        self._keys: OrderedDict[IdempotencyKey, tuple[OrderId, int]] = OrderedDict()
        self._groups: dict[str, dict[OrderId, Order]] = {}

    def put(self, order: Order) -> None:
        """Hold the newest value of an order."""
        self._by_client[order.client_order_id] = order.order_id
        if order.group is not None:
            self._put_in_group(order.group.group_id, order)
        if not order.status.is_terminal:
            self._open[order.order_id] = order
            self._ended.pop(order.order_id, None)  # it had ended, and the venue holds it after all
            return
        self._open.pop(order.order_id, None)
        self._ended[order.order_id] = order
        if len(self._ended) > ORDERS_ENDED_IN_MEMORY_MAX:
            _, oldest = self._ended.popitem(last=False)
            del self._by_client[oldest.client_order_id]

    def _put_in_group(self, group_id: str, order: Order) -> None:
        """A group is held whole for as long as one of its orders is open."""
        members = self._groups.setdefault(group_id, {})
        members[order.order_id] = order

    def end_group(self, group_id: str) -> None:
        """Let go of a group that has ended whole."""
        members = self._groups.get(group_id, {})
        if all(order.status.is_terminal for order in members.values()):
            self._groups.pop(group_id, None)

    def group(self, group_id: str) -> list[Order]:
        """The orders of a group, as they were put in first; none when it has ended."""
        return list(self._groups.get(group_id, {}).values())

    def groups(self) -> list[str]:
        """The groups at hand."""
        return list(self._groups)

    def remove(self, order: Order) -> None:
        """Forget an order that did not come to be, and its key."""
        if order.group is not None:
            self._groups.pop(order.group.group_id, None)
        self._open.pop(order.order_id, None)
        self._ended.pop(order.order_id, None)
        self._by_client.pop(order.client_order_id, None)
        self._keys.pop(order.idempotency_key, None)

    def remember_key(self, key: IdempotencyKey, order_id: OrderId, created_ns: int) -> None:
        self._keys[key] = (order_id, created_ns)
        if len(self._keys) > DEDUP_KEYS_IN_MEMORY_MAX:
            self._keys.popitem(last=False)

    def get(self, order_id: OrderId) -> Order | None:
        return self._open.get(order_id) or self._ended.get(order_id)

    def by_client(self, client_order_id: ClientOrderId) -> Order | None:
        found = self._by_client.get(client_order_id)
        return None if found is None else self.get(found)

    def by_key(self, key: IdempotencyKey, created_after_ns: int) -> OrderId | None:
        """The order of this key, when it was created after the given time."""
        found = self._keys.get(key)
        return found[0] if found is not None and found[1] > created_after_ns else None

    def open(self) -> Iterator[Order]:
        """Open orders, oldest first."""
        return iter(list(self._open.values()))

    def __len__(self) -> int:
        return len(self._open) + len(self._ended)
