"""Rules with a memory of their own decisions: latches, counters, stops. They follow the targets bar by bar, so in a
sweep they are part of the kernel, with a few numbers of memory for each combination and name.

A rule is one update: `function(*memory, *inputs) -> (value, *memory)`, the memory all 0 before the first bar. Inputs
that are not known (no bar) change nothing.
"""

from __future__ import annotations

from math import nan

from mts1b.strategy.ops import Kind, Op, register


def latch(on: float, entry: bool, exit: bool) -> tuple[float, float]:
    """1 from the bar on which `entry` holds until the bar on which `exit` does; exit wins when both hold.

    An unknown entry or exit is not one: the latch keeps its state.
    """
    if exit:
        on = 0.0
    elif entry:
        on = 1.0
    return on, on


def bars_since(count: float, condition: float) -> tuple[float, float]:
    """Bars of the name since `condition` last held, 0 on that bar; not known before the first time."""
    if condition == condition:
        count = 1.0 if condition != 0.0 else (count + 1.0 if count > 0.0 else 0.0)
    return count - 1.0 if count > 0.0 else nan, count


def entered(side: float, mark: float, wanted: float, price: float) -> tuple[float, float]:
    """Direction of the position that a stop follows (0 none, 1 long, -1 short, twice that once stopped), and its mark.

    A position begins, with the price as its mark, when `wanted` leaves 0 or changes its sign; it ends at 0.
    """
    sign = 1.0 if wanted > 0.0 else (-1.0 if wanted < 0.0 else 0.0)
    if sign == 0.0 or side * sign <= 0.0:
        return sign, price
    return side, price if mark != mark else mark


def stop_loss(side: float, mark: float, wanted: float, price: float, fraction: float) -> tuple[float, float, float]:
    """`wanted` until the price is `fraction` worse than at entry, then 0 until `wanted` begins a new position.

    The entry price is the price of the bar that decided the entry.
    """
    if wanted != wanted:
        return wanted, side, mark
    side, mark = entered(side, mark, wanted, price)
    if abs(side) == 1.0 and side * (price - mark) <= -fraction * mark:
        side *= 2.0
    return wanted if abs(side) == 1.0 else 0.0, side, mark


def take_profit(side: float, mark: float, wanted: float, price: float, fraction: float) -> tuple[float, float, float]:
    """`wanted` until the price is `fraction` better than at entry, then 0 until `wanted` begins a new position."""
    if wanted != wanted:
        return wanted, side, mark
    side, mark = entered(side, mark, wanted, price)
    if abs(side) == 1.0 and side * (price - mark) >= fraction * mark:
        side *= 2.0
    return wanted if abs(side) == 1.0 else 0.0, side, mark


def trailing_stop(side: float, mark: float, wanted: float, price: float, fraction: float) -> tuple[float, float, float]:
    """`wanted` until the price is `fraction` worse than its best since entry, then 0 until a new position begins."""
    if wanted != wanted:
        return wanted, side, mark
    side, mark = entered(side, mark, wanted, price)
    if side * (price - mark) > 0.0:
        mark = price
    if abs(side) == 1.0 and side * (price - mark) <= -fraction * mark:
        side *= 2.0
    return wanted if abs(side) == 1.0 else 0.0, side, mark


register(Op("latch", Kind.PATH, latch, 2, size=lambda: 1, truths=True, conditions=(0, 1), answers=True))
register(Op("bars_since", Kind.PATH, bars_since, 1, size=lambda: 1, conditions=(0,)))
for _function in (stop_loss, take_profit, trailing_stop):
    register(
        Op(
            _function.__name__,
            Kind.PATH,
            _function,
            inputs=3,
            size=lambda: 2,
            helpers=(entered,),
            positive=(2,),
        )
    )
