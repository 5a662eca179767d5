"""What the properties are shown on: expressions that use every operation between them, and every library strategy."""

from __future__ import annotations

from mts1b.strategy import (
    Node,
    Strategy,
    adx,
    atr,
    bars_since,
    beta,
    bollinger,
    cci,
    change,
    clip,
    close,
    correlation,
    demean,
    donchian,
    ema,
    exp,
    fill,
    fixed,
    get_strategy,
    high,
    highest,
    hold,
    kelly,
    lag,
    larger,
    latch,
    log,
    low,
    lowest,
    macd,
    macd_signal,
    minus_di,
    momentum,
    open,
    param,
    plus_di,
    rank,
    returns,
    roc,
    rolling_sum,
    rsi,
    sector,
    slope,
    sma,
    smaller,
    sqrt,
    std,
    stochastic,
    stop_loss,
    strategy,
    take_profit,
    top_n,
    trailing_stop,
    typical_price,
    universe_size,
    var,
    vol_target,
    volatility,
    volume,
    vwap,
    vwma,
    where,
    wma,
    xs_mean,
    xs_zscore,
    zscore,
)
from mts1b.strategy.library import names

WINDOWS = (2.0, 3.0, 5.0, 9.0)
"""Values of the subjects' parameter `n`."""

EXPRESSIONS = {
    "arithmetic": lambda n: open + high - low * close / n - abs(-returns(vwap)) + sqrt(volume) + log(close) + exp(-1.0),
    "logic": lambda n: where((close > open) & ~(close >= lag(high, n)) | (low <= lag(open, n)), 1.0, -1.0),
    "choice": lambda n: where(close < sma(close, n), fill(lag(close, 3), 1.0), smaller(open, larger(high, low))),
    "averages": lambda n: clip(zscore(close, n), -1.5, 1.5) + wma(close, n) / ema(close, n) - macd(close, 3, n + 2),
    "spreads": lambda n: std(close, n) + var(close, 5, ddof=1) + volatility(close, n) + rolling_sum(close, n),
    "ranges": lambda n: highest(high, n) - lowest(low, 4) + atr(n) + donchian(n).middle - bollinger(close, n).upper,
    "strength": lambda n: (
        rsi(close, n) + roc(close, n) + momentum(close, n, 2) + change(macd_signal(close, 2, 4, n), 1)
    ),
    "direction": lambda n: adx(n) + plus_di(n) - minus_di(3) + change(close, n),
    "oscillators": lambda n: stochastic(n, 2) - cci(n) / 10.0 + vwma(typical_price, n) / close,
    "regressions": lambda n: (
        slope(log(close), n) * 100.0 + correlation(close, volume, n) + beta(roc(close, 1), roc(open, 1), n)
    ),
    "across": lambda n: rank(close) + xs_zscore(roc(close, n)) + demean(close) + top_n(close, n) * universe_size(),
    "groups": lambda n: (
        rank(close, sector)
        + xs_zscore(sma(close, n), sector)
        + demean(close, sector)
        + top_n(close, 2, sector)
        + xs_mean(close, sector) / xs_mean(close)
    ),
    "sizing": lambda n: vol_target(close, 0.2, n) + kelly(close, 8) + fixed(returns(close), 0.5 / n),
    "latches": lambda n: latch(latch(close > sma(close, 4), close < sma(close, n)) > 0.5, close > highest(close, 6)),
    "tabled rules": lambda n: sma(latch(close > sma(open, n), close < open), 5) + sma(stop_loss(close, open, 0.1), n),
    "counters": lambda n: hold(close > highest(lag(close, 1), 3), n) + 0.1 * bars_since(returns(close) < -0.02),
    "stops": lambda n: take_profit(stop_loss(where(close > sma(close, n), 1.0, -1.0), close, 0.03), close, n / 100.0),
    "trailing": lambda n: trailing_stop(latch(close > sma(close, 3), close < sma(close, n)), close, atr(2) / close),
}


def squashed(root: Node) -> Node:
    """Within -1 and 1, so that a node's values are weights that a portfolio survives."""
    return root / (1.0 + abs(root))


def as_strategy(root_of) -> Strategy:
    @strategy
    def node(n=param(2, 9, 5)):
        return squashed(root_of(n))

    return node


SUBJECTS: dict[str, Strategy] = {
    **{name: get_strategy(name) for name in names()},
    **{name: as_strategy(root_of) for name, root_of in EXPRESSIONS.items()},
}
