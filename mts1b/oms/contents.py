"""The same order again under another key: what makes two orders alike, and which were taken just now. Pure.

A key tells a repeat of one decision. A client that lost its key and decides anew, or a second copy of it, sends another
key and the same order: that is what this bars, for a moment.
"""

from __future__ import annotations

from collections import OrderedDict

from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.ids import IdempotencyKey, digest
from mts1b.foundation.limits import CONTENTS_IN_MEMORY_MAX

GATE = 1

DUPLICATE_CONTENT = "duplicate_content"
"""The refusal's name. It counts as gate 1's: no order is made."""


def content_of(command: SubmitOrder) -> str:
    """One text for all orders that do the same: fund, strategy, symbol, side, type, quantity, prices."""
    prices = (command.reference_price, command.limit_price, command.stop_price)
    return digest(
        "content",
        command.fund_id,
        command.strategy_id,
        command.symbol,
        command.side,
        command.order_type,
        *(None if number is None else number.normalize() for number in (command.quantity, *prices)),
    )


class Contents:
    """What was taken within the window, and on whose behalf; the journal bars what this has forgotten."""

    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self._taken: OrderedDict[str, tuple[IdempotencyKey, int]] = OrderedDict()

    def holder(self, content: str, now_ns: int) -> IdempotencyKey | None:
        """The key whose order bars this content now."""
        found = self._taken.get(content)
        return found[0] if found is not None and found[1] > now_ns else None

    def take(self, content: str, key: IdempotencyKey, now_ns: int) -> int:
        """Bar the content from now on; returns until when."""
        until_ns = now_ns + self.window_ns
        self._taken[content] = (key, until_ns)
        self._taken.move_to_end(content)
        while self._taken and (
            len(self._taken) > CONTENTS_IN_MEMORY_MAX or next(iter(self._taken.values()))[1] <= now_ns
        ):
            self._taken.popitem(last=False)
        return until_ns

    def release(self, content: str, key: IdempotencyKey) -> None:
        """The order of this key did not come to be."""
        if self._taken.get(content, ("", 0))[0] == key:
            del self._taken[content]
