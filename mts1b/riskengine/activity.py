"""How busy a fund is: messages by second and day, orders that traded, repeats of the same trade. No clock: times are
those of the commands and events."""

from __future__ import annotations

from bisect import bisect_right
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


class Times:
    """The latest times of something, `most` at least, in order: counting those of a window costs the same for any."""

    def __init__(self, most: int) -> None:
        self._times: list[int] = []
        self._most = most

    def add(self, ts_ns: int) -> None:
        """One more; a clock that was set back counts as standing still."""
        times = self._times
        times.append(max(ts_ns, times[-1]) if times else ts_ns)
        if len(times) >= 2 * self._most:
            del times[: -self._most]

    def within(self, now_ns: int, span_ns: int) -> int:
        """How many lie less than `span_ns` before `now_ns`."""
        return len(self._times) - bisect_right(self._times, now_ns - span_ns)


class Activity:
    """Sliding seconds, a day's counts and the recent trades of each strategy, name and side."""

    def __init__(self) -> None:
        self._orders, self._messages = Times(RATE_MESSAGES_MAX), Times(RATE_MESSAGES_MAX)
        self._trades: dict[Repeat, Times] = {}
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
        self._orders.add(now_ns)
        self.messaged(now_ns)

    def messaged(self, now_ns: int) -> None:
        """Anything was let through to the venue: an order, a replacement, a cancel."""
        self._messages.add(now_ns)
        self._turn(now_ns)
        self._messages_today += 1

    def traded(self, repeat: Repeat, ts_ns: int) -> None:
        """An order traded for the first time."""
        self._turn(ts_ns)
        if ts_ns // NS_PER_DAY == self._day:
            self._traded_today += 1
        self._trades.setdefault(repeat, Times(REPEATS_MAX)).add(ts_ns)

    def orders_within_second(self, now_ns: int) -> int:
        return self._orders.within(now_ns, NS_PER_S)

    def messages_within_second(self, now_ns: int) -> int:
        return self._messages.within(now_ns, NS_PER_S)

    def day(self, now_ns: int) -> tuple[int, int]:
        """Messages of the UTC day of `now_ns` so far, and orders that traded in it."""
        same = now_ns // NS_PER_DAY == self._day
        return (self._messages_today, self._traded_today) if same else (0, 0)

    def repeats(self, repeat: Repeat, now_ns: int, window_s: int) -> int:
        """How many orders of this kind traded within the window."""
        times = self._trades.get(repeat)
        return 0 if times is None else times.within(now_ns, window_s * NS_PER_S)

    def forget_trades(self) -> None:
        """A person has looked at them: repeats are counted from none again."""
        self._trades.clear()

    def _turn(self, now_ns: int) -> None:
        day = now_ns // NS_PER_DAY
        if day > self._day:
            self._day, self._messages_today, self._traded_today = day, 0, 0
