"""Stretches whose prices are adjusted while they go by: factors of a batch's names at its times, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mts1b.datalake.actions import DIVIDEND, SPLIT
from mts1b.datalake.adjust import Adjust, dividend_factors
from mts1b.datalake.schema import ADJ_CLOSE, PRICES, RAW, STATUS, TOTAL, VWAP
from mts1b.datalake.stretches import Batch, Scratch, Stretch, Stretches
from mts1b.foundation.errors import DataError

Floats = NDArray[np.float64]
NS_PER_DAY = 86_400_000_000_000
EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Step:
    """From `day` (since 1970) on prices are not what they were before: those earlier times `factor`, volumes by it."""

    day: int
    factor: float
    shares: float


@dataclass(frozen=True, slots=True)
class AdjustedBatch(Batch):
    """A batch with the steps of its names, in its order, and whether the source's adjusted closes count."""

    _steps: tuple[tuple[Step, ...], ...] = ()
    _delivered: bool = False

    def load(self, fields: Sequence[str], scratch: Scratch | None = None) -> dict[str, Floats]:
        """As `Batch.load`, adjusted."""
        wanted = list(dict.fromkeys([*fields, *(("close", ADJ_CLOSE) if self._delivered else ())]))
        loaded = Batch.load(self, wanted, scratch)
        prices = [name for name in (*PRICES, VWAP) if name in fields]
        if self._delivered:
            total, close = loaded[ADJ_CLOSE], loaded["close"]
            factor = np.divide(total, close, out=np.ones_like(total), where=np.isfinite(total))
            for name in prices:
                loaded[name] *= factor
        days = self._times * 1_000 // NS_PER_DAY
        for row, steps in enumerate(self._steps):
            for step in steps:
                before = int(np.searchsorted(days, step.day))
                for name in prices:
                    loaded[name][row, :before] *= step.factor
                if "volume" in fields:
                    loaded["volume"][row, :before] /= step.shares
        return {name: loaded[name] for name in fields}


class AdjustedStretches(Stretches):
    """`Stretches` with adjusted prices."""

    def __init__(self, plain: Stretches, steps: Mapping[str, tuple[Step, ...]], delivered: bool) -> None:
        self._plain, self._steps, self._delivered = plain, steps, delivered
        self.symbols, self.version, self.has_vwap = plain.symbols, plain.version, plain.has_vwap

    @classmethod
    def of(cls, plain: Stretches, closes: pl.DataFrame, actions: pl.DataFrame, adjust: Adjust) -> Stretches:
        """`closes` and `actions` as `mts1b.datalake.adjust.adjusted` takes them, for the names that have actions.

        DataError where such a name's bars were delivered adjusted: factors of its source and of actions do not mix.
        """
        delivered = adjust == TOTAL and plain.holds(ADJ_CLOSE)
        if not actions.height:
            return cls(plain, {}, True) if delivered else plain
        other = closes.filter((pl.col(STATUS) != RAW) | pl.col(ADJ_CLOSE).is_not_null())
        if other.height:
            name, remedy = other["symbol"][0], "read it as a panel"
            raise DataError("symbols", name, "has bars that were delivered adjusted, and actions too", remedy)
        return cls(plain, _steps(closes, actions, adjust), delivered)

    def __len__(self) -> int:
        return len(self._plain)

    @property
    def bytes_stored(self) -> int:
        return self._plain.bytes_stored

    def __iter__(self) -> Iterator[Stretch]:
        for stretch in self._plain:
            yield Stretch(stretch.ts_ns, tuple(self._adjusted(batch) for batch in stretch.batches))

    def _adjusted(self, batch: Batch) -> Batch:
        steps = tuple(self._steps.get(self.symbols[number], ()) for number in batch.which.tolist())
        return AdjustedBatch(batch.which, batch._pieces, batch._times, steps, self._delivered)


def _steps(closes: pl.DataFrame, actions: pl.DataFrame, adjust: Adjust) -> dict[str, tuple[Step, ...]]:
    """The steps of each name, first to last."""
    split = actions.filter(pl.col("kind") == SPLIT)
    ratio = 1.0 / pl.col("value")
    found = [split.select(symbol="security", ex="ex", factor=ratio, shares=ratio)]
    if adjust == TOTAL and actions.filter(pl.col("kind") == DIVIDEND).height:
        found.append(dividend_factors(actions, actions, closes).with_columns(shares=pl.lit(1.0)))
    steps: dict[str, list[Step]] = {}
    for name, ex, factor, shares in pl.concat(found).sort("symbol", "ex").iter_rows():
        steps.setdefault(name, []).append(Step(ex.toordinal() - EPOCH, factor, shares))
    return {name: tuple(own) for name, own in steps.items()}
