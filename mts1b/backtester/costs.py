"""What an order costs and how much of it a bar can take: functions of one row of orders, [S]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.account import Account
from mts1b.backtester.execution import BASIS_POINT
from mts1b.strategy.panel import Panel

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Liquidity:
    """What was known of each name on the close of each bar, [T, S], over the bars before and including it.

    `volume`: mean volume, in shares. `volatility`: root mean square of the log returns from close to close, a bar.
    Both are over the last `impact_bars` rows, those without a bar left out; NaN while there is nothing to average.
    """

    volume: Floats
    volatility: Floats


def liquidity(panel: Panel, bars: int) -> Liquidity:
    """Trailing means over `bars` rows. Row t uses nothing after t."""
    close = panel.close
    known = np.where(np.isfinite(close), np.arange(len(close))[:, None], 0)
    last = np.take_along_axis(close, np.maximum.accumulate(known, axis=0), axis=0)
    moved = np.full(close.shape, np.nan)
    moved[1:] = np.log(close[1:] / last[:-1])
    return Liquidity(_trailing_mean(panel.volume, bars), np.sqrt(_trailing_mean(moved**2, bars)))


def commission(quantity: Floats, price: Floats, account: Account) -> Floats:
    """Commission of each order [S] in money; `quantity` >= 0, an order of 0 shares is none."""
    charged = account.commission_per_share * quantity + account.commission_bps * BASIS_POINT * quantity * price
    return np.where(quantity > 0.0, np.maximum(charged, account.commission_min), 0.0)


def slippage(quantity: Floats, price: Floats, account: Account, volume: Floats, volatility: Floats) -> Floats:
    """How far a fill is from the price, as a fraction of it, always against the order: half-spread and impact.

    Impact is Y * volatility * sqrt(quantity / volume) (the square-root law: Torre 1997; Grinold and Kahn, Active
    Portfolio Management, 2000, chapter 16). Without a known volume or volatility it is 0. At most the whole price.
    """
    half_spread = np.full(quantity.shape, account.half_spread_bps * BASIS_POINT)
    if account.impact == 0.0:
        return half_spread
    known = np.isfinite(volume) & (volume > 0.0) & np.isfinite(volatility)
    share = np.divide(quantity, volume, out=np.zeros(quantity.shape), where=known)
    impact = np.where(known, account.impact * np.where(known, volatility, 0.0) * np.sqrt(share), 0.0)
    return np.minimum(half_spread + impact, 1.0)


def most_shares(volume: Floats, account: Account) -> Floats:
    """Most shares [S] of an order in a bar of this volume; a bar of unknown volume takes none when there is a cap."""
    if account.volume_share_max == np.inf:
        return np.full(volume.shape, np.inf)
    most = account.volume_share_max * np.nan_to_num(volume, nan=0.0)
    return np.floor(most) if account.whole_shares else most


def _trailing_mean(values: Floats, bars: int) -> Floats:
    known = np.isfinite(values)
    total, count = (_trailing_sum(table, bars) for table in (np.where(known, values, 0.0), known.astype(np.float64)))
    mean = np.divide(total, count, out=np.full(values.shape, np.nan), where=count > 0.0)
    return np.maximum(mean, 0.0)


def _trailing_sum(values: Floats, bars: int) -> Floats:
    upto = np.cumsum(values, axis=0)
    total = upto.copy()
    total[bars:] -= upto[:-bars]
    return total
