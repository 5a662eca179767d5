"""One name's trading followed bar by bar: the size of its buckets, its VPIN, and how that stands in its own history.

A bucket is a fiftieth of the average volume of the days before, so nothing is said on the first day. VPIN is judged by
its level and by its place among its own earlier values (the paper's CDF): a quiet name whose flow turns one-sided is
found though its level is still low.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from math import isfinite

from mts1b.foundation.alerts import Ease, Finding, Severity
from mts1b.foundation.clock import NS_PER_DAY
from mts1b.watchdog.grade import Levels, worst
from mts1b.watchdog.vpin import BUCKETS, BUCKETS_PER_DAY, SIGMA_BARS, Vpin

ALERT = "vpin"


@dataclass(frozen=True, slots=True)
class FlowTerms:
    """How VPIN is taken and judged. `rank`: share of its own history that it exceeds, once that has `history_min`
    buckets; a rank alone is no alert below `rank_floor`."""

    buckets: int = BUCKETS
    buckets_per_day: int = BUCKETS_PER_DAY
    sigma_bars: int = SIGMA_BARS
    days: int = 20
    level: Levels = Levels(0.5, 0.7)
    rank: Levels = Levels(0.99, 0.999, 0.97)
    rank_floor: float = 0.35
    history_min: int = 500
    history_max: int = 5_000


class History:
    """The last values in order of size: where does a new one stand among them?"""

    def __init__(self, held_max: int) -> None:
        self._by_time: deque[float] = deque()
        self._by_size: list[float] = []
        self._held_max = held_max

    def __len__(self) -> int:
        return len(self._by_size)

    def add(self, value: float) -> None:
        if len(self._by_time) == self._held_max:
            oldest = self._by_time.popleft()
            del self._by_size[bisect_left(self._by_size, oldest)]
        self._by_time.append(value)
        insort(self._by_size, value)

    def rank(self, value: float) -> float:
        """The share of values held that are smaller, 0 to 1; 0 when there is none."""
        return bisect_left(self._by_size, value) / len(self._by_size) if self._by_size else 0.0


class Flow:
    """One name. Bars come in order of time; UTC days are days enough to average a volume over."""

    def __init__(self, symbol: str, terms: FlowTerms = FlowTerms(), bucket_volume: float | None = None) -> None:
        self.symbol, self._terms = symbol, terms
        self._days: deque[float] = deque(maxlen=terms.days)
        self._day, self._day_volume = -1, 0.0
        self._close: float | None = None
        self._history = History(terms.history_max)
        self._rank = 0.0
        self._vpin = None if bucket_volume is None else self._made(bucket_volume)

    def take(self, ts_ns: int, close: float, volume: float) -> None:
        """Take in one bar that ended at `ts_ns`."""
        if not (isfinite(close) and isfinite(volume)):
            return
        self._begin_day(ts_ns // NS_PER_DAY)
        self._day_volume += volume
        change = 0.0 if self._close is None else close - self._close
        self._close = close
        if self._vpin is not None and self._vpin.take(change, volume) and self._vpin.value is not None:
            self._rank = self._history.rank(self._vpin.value)
            self._history.add(self._vpin.value)

    @property
    def vpin(self) -> float | None:
        """VPIN now; None while there are too few buckets."""
        return None if self._vpin is None else self._vpin.value

    def finding(self) -> Finding:
        """How one-sided trading is. Neither bad nor well until there are buckets enough."""
        value = self.vpin
        if value is None:
            return Finding(ALERT, self.symbol, Ease.HOLDS, "too few buckets so far")
        state = self._terms.level.grade(value)
        if len(self._history) >= self._terms.history_min and value >= self._terms.rank_floor:
            by_rank = self._terms.rank.grade(self._rank)
            state = worst(state, by_rank) if isinstance(by_rank, Severity) else state
        summary = f"VPIN {value:.2f}, above {self._rank:.1%} of {len(self._history):,} values before it"
        numbers = (("vpin", value), ("rank", self._rank), ("history_count", float(len(self._history))))
        return Finding(ALERT, self.symbol, state, summary, numbers)

    def _begin_day(self, day: int) -> None:
        if day == self._day:
            return
        if self._day_volume > 0:
            self._days.append(self._day_volume)
            size = sum(self._days) / len(self._days) / self._terms.buckets_per_day
            if self._vpin is None:
                self._vpin = self._made(size)
            else:
                self._vpin.resize(size)
        self._day, self._day_volume = day, 0.0

    def _made(self, bucket_volume: float) -> Vpin:
        return Vpin(bucket_volume, self._terms.buckets, sigma_bars=self._terms.sigma_bars)
