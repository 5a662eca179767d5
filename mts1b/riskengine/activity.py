"""How busy a fund is: messages by second and day, orders that traded, repeats of the same trade. No clock: times are
those of the commands and events."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from mts1b.foundation.clock import NS_PER_DAY, NS_PER_S
from mts1b.foundation.ids import StrategyId, Symbol
from mts1b.foundation.limits import RATE_MESSAGES_MAX, REPEATS_MAX
from mts1b.foundation.order import Side

Repeat = tuple[StrategyId, Symbol, Side]
"""What is counted as the same trade."""


def repeat_name(repeat: Repeat) -> str:
    """As a person reads it and re-arms it."""
    return f"{repeat[0]}/{repeat[1]}/{repeat[2].value}"


@dataclass(frozen=True, slots=True)
class RecentOrder:
    """An order of the last day as the journal has it: when it was made, and when it traded first (None: not yet)."""

    repeat: Repeat
    created_ns: int
    traded_ns: int | None = None


class Activity:
    """Sliding seconds, a day's counts and the recent trades of each strategy, name and side."""

    def __init__(self) -> None:
        self._orders: deque[int] = deque(maxlen=RATE_MESSAGES_MAX)
        self._messages: deque[int] = deque(maxlen=RATE_MESSAGES_MAX)
        self._trades: dict[Repeat, deque[int]] = {}
        self._day = 0
        self._messages_today = 0
        self._traded_today = 0

    def restore(self, orders: Iterable[RecentOrder]) -> None:
        """Count the orders of the last day again; messages that were no orders are forgotten."""
        for order in sorted(orders, key=lambda item: item.created_ns):
            self.ordered(order.created_ns)
        for order in sorted(orders, key=lambda item: item.traded_ns or 0):
            if order.traded_ns is not None:
                self.traded(order.repeat, order.traded_ns)

    def ordered(self, now_ns: int) -> None:
        """An order was let through."""
        self._orders.append(now_ns)
        self.messaged(now_ns)

    def messaged(self, now_ns: int) -> None:
        """Anything was let through to the venue: an order, a replacement, a cancel."""
        self._messages.append(now_ns)
        self._turn(now_ns)
        self._messages_today += 1

    def traded(self, repeat: Repeat, ts_ns: int) -> None:
        """An order traded for the first time."""
        self._turn(ts_ns)
        if ts_ns // NS_PER_DAY == self._day:
            self._traded_today += 1
        self._trades.setdefault(repeat, deque(maxlen=REPEATS_MAX)).append(ts_ns)

    def orders_within_second(self, now_ns: int) -> int:
        return _within(self._orders, now_ns, NS_PER_S)

    def messages_within_second(self, now_ns: int) -> int:
        return _within(self._messages, now_ns, NS_PER_S)

    def day(self, now_ns: int) -> tuple[int, int]:
        """Messages of the UTC day of `now_ns` so far, and orders that traded in it."""
        same = now_ns // NS_PER_DAY == self._day
        return (self._messages_today, self._traded_today) if same else (0, 0)

    def repeats(self, repeat: Repeat, now_ns: int, window_s: int) -> int:
        """How many orders of this kind traded within the window."""
        return _within(self._trades.get(repeat, ()), now_ns, window_s * NS_PER_S)

    def forget_trades(self) -> None:
        """A person has looked at them: repeats are counted from none again."""
        self._trades.clear()

    def _turn(self, now_ns: int) -> None:
        day = now_ns // NS_PER_DAY
        if day > self._day:
            self._day, self._messages_today, self._traded_today = day, 0, 0


def _within(times: Iterable[int], now_ns: int, span_ns: int) -> int:
    """How many of the latest times lie less than `span_ns` before `now_ns`; they are in order."""
    count = 0
    for ts_ns in reversed(times):  # type: ignore[call-overload]
        if now_ns - ts_ns >= span_ns:
            break
        count += 1
    return count
