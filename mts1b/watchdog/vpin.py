"""VPIN, the volume-synchronised probability of informed trading: how one-sided trading is. Pure.

Easley, Lopez de Prado, O'Hara, "Flow Toxicity and Liquidity in a High-Frequency World", Review of Financial Studies
25(5), 2012, 1457-1493. Trading is cut into buckets of equal volume V. Of a bar's volume the share Z(dP / s) is taken as
bought, the rest as sold (bulk volume classification): dP is the bar's price change, s the standard deviation of such
changes, Z the normal distribution function. A bar that does not fit into its bucket goes on into the next. Then

    VPIN = sum over the last n buckets of |V_sold - V_bought| / (n V)

The paper takes V as a fiftieth of the average daily volume and n = 50. It takes s over its whole sample, which nobody
has live: here it is over the bars so far, `sigma_bars` at most, or given.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import erf, inf, isfinite, sqrt

from mts1b.foundation.errors import InputError

BUCKETS = 50
BUCKETS_PER_DAY = 50

SIGMA_BARS = 1_950
"""Bars that the deviation of price changes is taken from: a week of minutes."""

FULL = 1e-9
"""Share of a bucket that may be missing from it: what rounding takes from a sum of parts."""


def bought_share(price_change: float, sigma: float) -> float:
    """Z(dP / s), 0 to 1; a half when the price did not move. With s = 0 the sign of the change decides."""
    if price_change == 0.0:
        return 0.5
    scaled = price_change / sigma if sigma > 0.0 else inf * price_change
    return 0.5 * (1.0 + erf(scaled / sqrt(2.0)))


@dataclass(frozen=True, slots=True)
class Bucket:
    """One full bucket."""

    volume: float
    bought: float

    @property
    def imbalance(self) -> float:
        """|V_sold - V_bought|."""
        return abs(self.volume - 2.0 * self.bought)


class Sigma:
    """The standard deviation (ddof 0) of the last `bars` price changes; 0 before the first."""

    def __init__(self, bars: int = SIGMA_BARS) -> None:
        self._changes: deque[float] = deque(maxlen=bars)
        self._sum = self._squares = 0.0
        self._taken = 0

    def take(self, change: float) -> float:
        """Take one change in; the deviation with it."""
        held = self._changes
        if len(held) == held.maxlen:
            self._sum -= held[0]
            self._squares -= held[0] ** 2
        held.append(change)
        self._sum += change
        self._squares += change**2
        self._taken += 1
        if self._taken % (held.maxlen or 1) == 0:  # what rounding leaves behind does not gather
            self._sum, self._squares = sum(held), sum(x * x for x in held)
        mean = self._sum / len(held)
        return sqrt(max(0.0, self._squares / len(held) - mean**2))


class Vpin:
    """VPIN of one name, bar by bar. `sigma`: the deviation, as the paper's; None: that of the bars so far."""

    def __init__(
        self, bucket_volume: float, buckets: int = BUCKETS, sigma: float | None = None, sigma_bars: int = SIGMA_BARS
    ) -> None:
        _checked(bucket_volume)
        if buckets < 1 or sigma_bars < 2:
            raise InputError("buckets", buckets, "VPIN is over at least one bucket, sigma over two bars", "give more")
        self.filled = 0
        self._next_volume = self._bucket_volume = bucket_volume
        self._sigma, self._moving = sigma, Sigma(sigma_bars)
        self._buckets: deque[Bucket] = deque(maxlen=buckets)
        self._count = buckets
        self._volume = self._bought = 0.0

    def resize(self, bucket_volume: float) -> None:
        """Buckets begun from now on hold so much."""
        self._next_volume = _checked(bucket_volume)

    def take(self, price_change: float, volume: float) -> int:
        """Take one bar in; how many buckets it filled. A bar that is no number says nothing and fills none."""
        if not (isfinite(price_change) and isfinite(volume)) or volume < 0:
            return 0
        sigma = self._moving.take(price_change) if self._sigma is None else self._sigma
        share, before = bought_share(price_change, sigma), self.filled
        spare = int(volume / self._next_volume) - 2 * self._count
        if spare > 0:  # buckets that the same bar pushes out again
            volume -= spare * self._next_volume
            self.filled += spare
        while volume > 0:
            part = min(volume, self._bucket_volume - self._volume)
            volume -= part
            self._volume += part
            self._bought += share * part
            if self._volume >= self._bucket_volume * (1 - FULL):
                self._buckets.append(Bucket(self._volume, min(self._bought, self._volume)))
                self._volume = self._bought = 0.0
                self._bucket_volume = self._next_volume
                self.filled += 1
        return self.filled - before

    @property
    def is_ready(self) -> bool:
        """As many buckets as VPIN is over have been filled."""
        return len(self._buckets) == self._count

    @property
    def value(self) -> float | None:
        """VPIN now, 0 to 1; None before `is_ready`."""
        if not self.is_ready:
            return None
        total = sum(bucket.volume for bucket in self._buckets)
        return min(1.0, sum(bucket.imbalance for bucket in self._buckets) / total)


def _checked(bucket_volume: float) -> float:
    if not (bucket_volume > 0 and isfinite(bucket_volume)):
        raise InputError("bucket_volume", bucket_volume, "a bucket holds volume", "give a fiftieth of a day's")
    return bucket_volume
