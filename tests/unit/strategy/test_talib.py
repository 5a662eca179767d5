"""Whole series beside TA-Lib's, on real bars: equal to 1e-9 once both are warm."""

from __future__ import annotations

import numpy as np
import pytest
import talib

from mts1b.strategy import (
    adx,
    atr,
    bollinger,
    cci,
    change,
    close,
    correlation,
    ema,
    high,
    highest,
    low,
    lowest,
    macd,
    macd_signal,
    minus_di,
    plus_di,
    roc,
    rolling_sum,
    rsi,
    slope,
    sma,
    std,
    stochastic,
    typical_price,
    var,
    wma,
)
from mts1b.strategy.panel import FIELDS
from mts1b.strategy.program import program_of
from tests.unit.strategy.real import sample_panel

SYMBOLS = ("AAPL", "XOM")

WARM_BARS = 800
"""Where TA-Lib begins an average elsewhere than the textbook does, both have forgotten it by then."""

PAIRS = {
    "SMA": (sma(close, 20), lambda b: talib.SMA(b["close"], 20), 0),
    "EMA": (ema(close, 20), lambda b: talib.EMA(b["close"], 20), 0),
    "WMA": (wma(close, 20), lambda b: talib.WMA(b["close"], 20), 0),
    "RSI": (rsi(close, 14), lambda b: talib.RSI(b["close"], 14), 0),
    "MACD": (macd(close, 12, 26), lambda b: talib.MACD(b["close"], 12, 26, 9)[0], WARM_BARS),
    "MACD signal": (macd_signal(close, 12, 26, 9), lambda b: talib.MACD(b["close"], 12, 26, 9)[1], WARM_BARS),
    "BBANDS upper": (bollinger(close, 20).upper, lambda b: talib.BBANDS(b["close"], 20, 2, 2)[0], 0),
    "BBANDS lower": (bollinger(close, 20).lower, lambda b: talib.BBANDS(b["close"], 20, 2, 2)[2], 0),
    "ATR": (atr(14), lambda b: talib.ATR(b["high"], b["low"], b["close"], 14), 0),
    "ADX": (adx(14), lambda b: talib.ADX(b["high"], b["low"], b["close"], 14), 0),
    "PLUS_DI": (plus_di(14), lambda b: talib.PLUS_DI(b["high"], b["low"], b["close"], 14), 0),
    "MINUS_DI": (minus_di(14), lambda b: talib.MINUS_DI(b["high"], b["low"], b["close"], 14), 0),
    "STOCH %K": (stochastic(14, 3), lambda b: talib.STOCH(b["high"], b["low"], b["close"], 14, 3, 0, 3, 0)[0], 2),
    "STOCH %D": (sma(stochastic(14, 3), 3), lambda b: talib.STOCH(b["high"], b["low"], b["close"], 14, 3, 0, 3)[1], 0),
    "CCI": (cci(20), lambda b: talib.CCI(b["high"], b["low"], b["close"], 20), 0),
    "ROC": (100.0 * roc(close, 10), lambda b: talib.ROC(b["close"], 10), 0),
    "MOM": (change(close, 10), lambda b: talib.MOM(b["close"], 10), 0),
    "MIN": (lowest(low, 30), lambda b: talib.MIN(b["low"], 30), 0),
    "MAX": (highest(high, 30), lambda b: talib.MAX(b["high"], 30), 0),
    "SUM": (rolling_sum(close, 30), lambda b: talib.SUM(b["close"], 30), 0),
    "STDDEV": (std(close, 20), lambda b: talib.STDDEV(b["close"], 20, 1), 0),
    "VAR": (var(close, 20), lambda b: talib.VAR(b["close"], 20, 1), 0),
    "LINEARREG_SLOPE": (slope(close, 20), lambda b: talib.LINEARREG_SLOPE(b["close"], 20), 0),
    "CORREL": (correlation(high, low, 30), lambda b: talib.CORREL(b["high"], b["low"], 30), 0),
    "TYPPRICE": (typical_price, lambda b: talib.TYPPRICE(b["high"], b["low"], b["close"]), 0),
}
"""Ours, TA-Lib's, and from which bar on they are compared (both must be known by then)."""


@pytest.mark.parametrize("name", PAIRS)
def test_an_indicator_equals_talib(name):
    bars = sample_panel(SYMBOLS)
    ours, theirs, first = PAIRS[name]
    got = program_of(ours).targets({}, bars)
    for s in range(len(SYMBOLS)):
        wanted = theirs({field: np.ascontiguousarray(getattr(bars, field)[:, s]) for field in FIELDS})
        warm = slice(max(first, int(np.argmax(~np.isnan(wanted)))), None)
        np.testing.assert_allclose(got[warm, s], wanted[warm], rtol=1e-9, atol=1e-9)
        assert (got[: int(np.argmax(~np.isnan(wanted))), s] == 0.0).all() or first
