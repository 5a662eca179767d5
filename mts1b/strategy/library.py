"""Known strategies, as examples, as test subjects and as what `--strategy NAME` finds."""

from __future__ import annotations

from mts1b.foundation.errors import unknown_name
from mts1b.strategy.definition import Strategy, strategy
from mts1b.strategy.language import (
    close,
    high,
    highest,
    lag,
    latch,
    low,
    lowest,
    momentum,
    rsi,
    sma,
    top_n,
    universe_size,
    vol_target,
    where,
)
from mts1b.strategy.parameters import param


@strategy
def sma_cross(fast=param(5, 255), slow=param(20, 420)):  # type: ignore[no-untyped-def]
    """Long while the fast moving average is above the slow one (Brock, Lakonishok and LeBaron 1992)."""
    return where(sma(close, fast) > sma(close, slow), 1.0, 0.0)


@strategy
def rsi_reversion(window=param(2, 60, 14), entry=param(5.0, 50.0, 30.0), leave=param(40.0, 95.0, 55.0)):  # type: ignore[no-untyped-def]
    """Buy the oversold, hold until the strength index has recovered (Wilder 1978)."""
    strength = rsi(close, window)
    return latch(strength < entry, strength > leave)


@strategy
def breakout(entry=param(5, 255, 20), leave=param(2, 125, 10)):  # type: ignore[no-untyped-def]
    """Long from a new high of the channel until a new low of the shorter one (Donchian; the Turtles)."""
    return latch(close > lag(highest(high, entry), 1), close < lag(lowest(low, leave), 1))


@strategy
def xs_momentum(window=param(10, 252, 231), skip=param(0, 21, 21), top=param(1, 100, 10)):  # type: ignore[no-untyped-def]
    """The strongest names over the past months, the last one skipped (Jegadeesh and Titman 1993)."""
    return top_n(momentum(close, window, skip), top) * universe_size() / top


@strategy
def vol_target_trend(window=param(10, 300, 200), target=param(0.02, 0.6, 0.15), vol_window=param(5, 126, 20)):  # type: ignore[no-untyped-def]
    """Long above the moving average, sized to a volatility (Moskowitz, Ooi and Pedersen 2012)."""
    return where(close > sma(close, window), vol_target(close, target, vol_window), 0.0)


@strategy
def vol_target_cross(  # type: ignore[no-untyped-def]
    fast=param(5, 255, 20), slow=param(20, 420, 100), target=param(0.02, 0.6, 0.15), vol_window=param(5, 126, 20)
):
    """The moving-average cross, sized to a volatility and rebalanced at every bar."""
    return where(sma(close, fast) > sma(close, slow), vol_target(close, target, vol_window), 0.0)


@strategy
def buy_and_hold():  # type: ignore[no-untyped-def]
    """Every name in equal weight, restored at every open: what a strategy has to beat."""
    return where(close > 0.0, 1.0, 0.0)


LIBRARY: dict[str, Strategy] = {
    found.name: found
    for found in (
        sma_cross,
        rsi_reversion,
        breakout,
        xs_momentum,
        vol_target_trend,
        vol_target_cross,
        buy_and_hold,
    )
}


def names() -> tuple[str, ...]:
    """Names of the library's strategies."""
    return tuple(LIBRARY)


def get_strategy(name: str) -> Strategy:
    """The strategy of that name. UnknownNameError suggests the nearest ones."""
    if name not in LIBRARY:
        raise unknown_name("strategy", name, LIBRARY)
    return LIBRARY[name]
