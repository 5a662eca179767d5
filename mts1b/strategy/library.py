"""Known strategies, as examples, as test subjects and as what `--strategy NAME` finds.

Each says in its first sentence what it does and whose idea it is; the parameters' defaults are the source's where it
names any. They are textbook forms, not advice.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from mts1b.foundation.errors import unknown_name
from mts1b.strategy.definition import Strategy, strategy
from mts1b.strategy.language import (
    adx,
    atr,
    beta,
    bollinger,
    cci,
    clip,
    close,
    demean,
    ema,
    high,
    highest,
    hold,
    kelly,
    lag,
    latch,
    log,
    low,
    lowest,
    macd,
    macd_signal,
    minus_di,
    momentum,
    plus_di,
    rank,
    returns,
    roc,
    rsi,
    slope,
    sma,
    stochastic,
    stop_loss,
    top_n,
    trailing_stop,
    typical_price,
    universe_size,
    var,
    vol_target,
    volatility,
    vwma,
    where,
    xs_mean,
)
from mts1b.strategy.parameters import param

# Trends


@strategy
def sma_cross(fast=param(5, 255), slow=param(20, 420)):
    """Long while the fast moving average is above the slow one (Brock, Lakonishok and LeBaron 1992)."""
    return where(sma(close, fast) > sma(close, slow), 1.0, 0.0)


@strategy
def macd_cross(fast=param(3, 50, 12), slow=param(10, 200, 26), signal=param(2, 50, 9)):
    """Long while the difference of two exponential averages is above its own average (Appel 1979)."""
    return where(macd(close, fast, slow) > macd_signal(close, fast, slow, signal), 1.0, 0.0)


@strategy
def adx_trend(window=param(2, 60, 14), strength=param(5.0, 60.0, 25.0)):
    """Long while upward movement leads and the trend is strong (Wilder 1978)."""
    return where((plus_di(window) > minus_di(window)) & (adx(window) > strength), 1.0, 0.0)


@strategy
def vwma_trend(window=param(5, 250, 50)):
    """Long while the volume-weighted average is above the simple one: volume confirms the trend (Dormeier 2011)."""
    return where(vwma(close, window) > sma(close, window), 1.0, 0.0)


@strategy
def time_series_momentum(window=param(10, 300, 252), target=param(0.02, 0.6, 0.4), vol_window=param(5, 126, 60)):
    """Long after a gain, short after a loss, sized to a volatility (Moskowitz, Ooi and Pedersen 2012)."""
    return where(momentum(close, window) > 0.0, 1.0, -1.0) * vol_target(close, target, vol_window)


@strategy
def vol_target_trend(window=param(10, 300, 200), target=param(0.02, 0.6, 0.15), vol_window=param(5, 126, 20)):
    """Long above the moving average (Faber 2007), sized to a volatility (Moreira and Muir 2017)."""
    return where(close > sma(close, window), vol_target(close, target, vol_window), 0.0)


@strategy
def vol_target_cross(
    fast=param(5, 255, 20), slow=param(20, 420, 100), target=param(0.02, 0.6, 0.15), vol_window=param(5, 126, 20)
):
    """The moving-average cross, sized to a volatility and rebalanced at every bar (Moreira and Muir 2017)."""
    return where(sma(close, fast) > sma(close, slow), vol_target(close, target, vol_window), 0.0)


@strategy
def kelly_trend(window=param(20, 252, 126), fraction=param(0.1, 1.0, 0.5)):
    """Long by a fraction of the growth-optimal weight of the past months (Kelly 1956; Thorp 2006)."""
    return clip(kelly(close, window, fraction), 0.0, 1.0)


# Breakouts


@strategy
def breakout(entry=param(5, 255, 20), leave=param(2, 125, 10)):
    """Long from a new high of the channel until a new low of the shorter one (Donchian 1960; the Turtles 1983)."""
    return latch(close > lag(highest(high, entry), 1), close < lag(lowest(low, leave), 1))


@strategy
def trailing_breakout(entry=param(5, 255, 55), width=param(1.0, 10.0, 3.0), window=param(5, 60, 22)):
    """Long from a new high until a close `width` true ranges below the best (LeBeau; Elder 2002)."""
    position = latch(close > lag(highest(high, entry), 1), close < lag(lowest(low, entry), 1))
    return trailing_stop(position, close, width * atr(window) / close)


@strategy
def keltner_breakout(window=param(5, 120, 20), width=param(0.5, 5.0, 2.0)):
    """Long from a close above the band of true ranges until one below its middle (Keltner 1960)."""
    middle = ema(typical_price, window)
    return latch(close > middle + width * atr(window), close < middle)


@strategy
def cci_breakout(window=param(5, 100, 20), level=param(50.0, 250.0, 100.0)):
    """Long while the commodity channel index is above the level, short while below minus it (Lambert 1980)."""
    index = cci(window)
    return where(index > level, 1.0, where(index < -level, -1.0, 0.0))


@strategy
def nr7_breakout(bars=param(1, 40, 5), loss=param(0.005, 0.2, 0.03)):
    """Long for some bars after a close above the narrowest bar of seven, with a stop-loss (Crabel 1990)."""
    reach = high - low
    narrow = reach <= lowest(reach, 7)
    return stop_loss(hold(lag(narrow, 1) & (close > lag(high, 1)), bars), close, loss)


# Reversals


@strategy
def rsi_reversion(window=param(2, 60, 14), entry=param(5.0, 50.0, 30.0), leave=param(40.0, 95.0, 55.0)):
    """Buy the oversold, hold until the strength index has recovered (Wilder 1978)."""
    strength = rsi(close, window)
    return latch(strength < entry, strength > leave)


@strategy
def rsi_pullback(window=param(2, 10, 2), trend=param(20, 300, 200), entry=param(2.0, 30.0, 10.0)):
    """Buy a short dip above the long average, sell above the average of five bars (Connors and Alvarez 2009)."""
    dip = (close > sma(close, trend)) & (rsi(close, window) < entry)
    return latch(dip, close > sma(close, 5))


@strategy
def double_seven(window=param(3, 30, 7), trend=param(20, 300, 200)):
    """Above the long average, buy the lowest close of seven bars and sell the highest (Connors and Alvarez 2009)."""
    dip = (close > sma(close, trend)) & (close <= lowest(close, window))
    return latch(dip, close >= highest(close, window))


@strategy
def bollinger_reversion(window=param(5, 100, 20), width=param(1.0, 4.0, 2.0)):
    """Buy below the lower band, sell above the middle one (Bollinger 2001)."""
    bands = bollinger(close, window, width)
    return latch(close < bands.lower, close > bands.middle)


@strategy
def stochastic_reversion(window=param(5, 60, 14), entry=param(5.0, 45.0, 20.0), leave=param(50.0, 95.0, 80.0)):
    """Buy when the smoothed stochastic is low, sell when it is high (Lane 1984)."""
    place = stochastic(window, 3)
    return latch(place < entry, place > leave)


# Cross-sections


@strategy
def xs_momentum(window=param(10, 252, 231), skip=param(0, 21, 21), top=param(1, 100, 10)):
    """The strongest names over the past months, the last one skipped (Jegadeesh and Titman 1993)."""
    return top_n(momentum(close, window, skip), top) * universe_size() / top


@strategy
def dual_momentum(window=param(10, 252, 252), top=param(1, 100, 10)):
    """The strongest names, cash in place of those that have lost (Antonacci 2014)."""
    moved = momentum(close, window)
    return where(moved > 0.0, top_n(moved, top), 0.0) * universe_size() / top


@strategy
def high_52_week(window=param(10, 252, 252), top=param(1, 100, 10)):
    """The names nearest to their high of the past year (George and Hwang 2004)."""
    return top_n(close / highest(close, window), top) * universe_size() / top


@strategy
def regression_momentum(window=param(10, 250, 90), top=param(1, 100, 10)):
    """The steepest log-price lines, each weighed by how well it fits, if they rise (Clenow 2015)."""
    price = log(close)
    steep = slope(price, window)
    fit = steep * steep * (window * window - 1.0) / 12.0 / var(price, window)
    return where(steep > 0.0, top_n(steep * fit, top), 0.0) * universe_size() / top


@strategy
def short_term_reversal(window=param(1, 60, 21)):
    """Long last month's losers, short its winners, by distance from the mean (Jegadeesh 1990; Lehmann 1990)."""
    distance = demean(roc(close, window))
    return -distance / xs_mean(abs(distance))


@strategy
def low_volatility(window=param(10, 252, 126), top=param(1, 100, 10)):
    """The calmest names (Blitz and van Vliet 2007)."""
    return top_n(-volatility(close, window), top) * universe_size() / top


@strategy
def betting_against_beta(window=param(10, 252, 126)):
    """Long low beta to the market of the panel, short high beta, by rank (Frazzini and Pedersen 2014)."""
    moved = returns(close)
    return 1.0 - 2.0 * rank(beta(moved, xs_mean(moved), window))


@strategy
def buy_and_hold():
    """Every name in equal weight, restored at every open: what a strategy has to beat (Sharpe 1991)."""
    return where(close > 0.0, 1.0, 0.0)


LIBRARY: dict[str, Strategy] = {found.name: found for found in list(globals().values()) if isinstance(found, Strategy)}


def names() -> tuple[str, ...]:
    """Names of the library's strategies."""
    return tuple(LIBRARY)


def get_strategy(name: str) -> Strategy:
    """The strategy of that name. UnknownNameError suggests the nearest ones."""
    if name not in LIBRARY:
        raise unknown_name("strategy", name, LIBRARY)
    return LIBRARY[name]
