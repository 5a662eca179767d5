"""Seconds slide, days end, repeats are counted apart."""

from __future__ import annotations

from mts1b.foundation.clock import NS_PER_DAY, NS_PER_S
from mts1b.foundation.ids import StrategyId, Symbol
from mts1b.foundation.order import Side
from mts1b.riskengine.activity import Activity, RecentOrder, Times

DAY_NS = 20_000 * NS_PER_DAY
ONE = (StrategyId("s"), Symbol("A"), Side.BUY)
OTHER = (StrategyId("s"), Symbol("A"), Side.SELL)


def test_a_second_slides() -> None:
    seen = Activity()
    for at in (0, NS_PER_S // 2, NS_PER_S - 1):
        seen.ordered(DAY_NS + at)
    seen.messaged(DAY_NS + NS_PER_S - 1)
    now_ns = DAY_NS + NS_PER_S - 1
    assert (seen.orders_within_second(now_ns), seen.messages_within_second(now_ns)) == (3, 4)
    assert (seen.orders_within_second(now_ns + 1), seen.messages_within_second(now_ns + 1)) == (2, 3)
    assert seen.orders_within_second(now_ns + 2 * NS_PER_S) == 0


def test_a_day_is_counted_and_ends() -> None:
    seen = Activity()
    assert seen.day(DAY_NS) == (0, 0)
    seen.ordered(DAY_NS)
    seen.messaged(DAY_NS + 1)
    seen.traded(ONE, DAY_NS + 2)
    assert seen.day(DAY_NS + NS_PER_DAY - 1) == (2, 1)
    assert seen.day(DAY_NS + NS_PER_DAY) == (0, 0)
    seen.messaged(DAY_NS + NS_PER_DAY)
    seen.traded(ONE, DAY_NS + 3)  # told late, of the day before
    assert seen.day(DAY_NS + NS_PER_DAY) == (1, 0)


def test_repeats_are_counted_by_kind_and_window_until_they_are_forgotten() -> None:
    seen = Activity()
    for at_s in (0, 5, 9):
        seen.traded(ONE, DAY_NS + at_s * NS_PER_S)
    seen.traded(OTHER, DAY_NS)
    now_ns = DAY_NS + 10 * NS_PER_S
    assert [seen.repeats(ONE, now_ns, window_s) for window_s in (1, 2, 5, 6, 10, 11)] == [0, 1, 1, 2, 2, 3]
    assert seen.repeats(OTHER, now_ns, 60) == 1
    seen.forget_trades()
    assert seen.repeats(ONE, now_ns, 60) == seen.repeats(OTHER, now_ns, 60) == 0


def test_the_journals_orders_count_again() -> None:
    seen = Activity()
    traded = RecentOrder(ONE, DAY_NS + 1, DAY_NS + 5)
    seen.restore([traded, RecentOrder(ONE, DAY_NS + 3), RecentOrder(OTHER, DAY_NS - 1, DAY_NS - 1)])
    assert seen.day(DAY_NS + 9) == (2, 1)
    assert (seen.repeats(ONE, DAY_NS + 9, 1), seen.repeats(OTHER, DAY_NS + 9, 1)) == (1, 1)
    assert seen.orders_within_second(DAY_NS + 9) == 3


def test_a_clock_that_was_set_back_stands_still() -> None:
    seen = Activity()
    for at in (NS_PER_S, 0, NS_PER_S + 1):
        seen.ordered(DAY_NS + at)
    assert seen.orders_within_second(DAY_NS + 2 * NS_PER_S - 1) == 3
    assert seen.orders_within_second(DAY_NS + 2 * NS_PER_S) == 1


def test_what_is_remembered_is_bounded_and_none_of_the_latest_is_forgotten() -> None:
    seen = Times(3)
    for at in range(20):
        seen.add(at)
        assert seen.within(at, 3) == min(at + 1, 3)
    assert seen.within(20, 1_000) < 6
