"""Stored bars replayed as market sessions, one by one: exact prices for the order path, floats for the kernels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from mts1b.foundation.bar import Bar
from mts1b.foundation.clock import iso
from mts1b.foundation.errors import DataError, InputError
from mts1b.foundation.ids import Symbol
from mts1b.foundation.limits import TICK
from mts1b.strategy.panel import Floats, Panel

TICK_DECIMALS = -int(Decimal(TICK).as_tuple().exponent)
TICKS_PER_UNIT = 10**TICK_DECIMALS


@dataclass(frozen=True, slots=True)
class SessionBars:
    """One session. `index`: its row in the panel. `opens`, `closes`: exact prices per share of the names that traded.

    `open` to `volume`: the same row as float64 [S] views in the panel's order, NaN where a name has no bar. `vwap`
    where the panel has it.
    """

    index: int
    ts_ns: int
    symbols: tuple[Symbol, ...]
    opens: dict[Symbol, Decimal]
    closes: dict[Symbol, Decimal]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    vwap: Floats | None = None

    @property
    def rows(self) -> Floats:
        """The row as a table [5, S], open to volume, or [6, S] with vwap: what `Strategy.step` takes."""
        fields = (self.open, self.high, self.low, self.close, self.volume)
        return np.stack(fields if self.vwap is None else (*fields, self.vwap))

    def bars(self, interval: str = "daily") -> Iterator[Bar]:
        """The session's bars as exact values, in the panel's order of names."""
        highs, lows = (exact_prices(self.symbols, row, self.ts_ns) for row in (self.high, self.low))
        for column, symbol in enumerate(self.symbols):
            if symbol in self.opens:
                volume = Decimal(repr(float(self.volume[column])))
                prices = (self.opens[symbol], highs[symbol], lows[symbol], self.closes[symbol])
                yield Bar(symbol, interval, self.ts_ns, *prices, volume)


@dataclass(frozen=True, slots=True)
class Replay:
    """A panel's sessions in order, rows `start` <= t < `stop` (None: to the end). InputError when that is no row."""

    panel: Panel
    start: int = 0
    stop: int | None = None

    def __post_init__(self) -> None:
        held = len(self.panel.ts_ns)
        if not 0 <= self.start < self.rows.stop <= held:
            asked = f"{self.start}..{self.rows.stop}"
            raise InputError("sessions", asked, f"the panel has rows 0..{held}", "ask for fewer or later sessions")

    @property
    def rows(self) -> range:
        """The panel's rows that are replayed."""
        return range(self.start, len(self.panel.ts_ns) if self.stop is None else self.stop)

    def __len__(self) -> int:
        return len(self.rows)

    def sessions(self) -> Iterator[SessionBars]:
        """Each session once, oldest first. DataError for a price that is off the tick, not positive or half missing."""
        symbols = tuple(Symbol(name) for name in self.panel.symbols)
        for index in self.rows:
            yield self._session(index, symbols)

    def _session(self, index: int, symbols: tuple[Symbol, ...]) -> SessionBars:
        panel, ts_ns = self.panel, int(self.panel.ts_ns[index])
        opens = exact_prices(symbols, panel.open[index], ts_ns)
        closes = exact_prices(symbols, panel.close[index], ts_ns)
        for symbol in opens.keys() ^ closes.keys():
            raise DataError("bar", symbol, f"has only one of open and close at {iso(ts_ns)}", "mend the lake's data")
        rows = (panel.open[index], panel.high[index], panel.low[index], panel.close[index], panel.volume[index])
        vwap = None if panel.vwap is None else panel.vwap[index]
        return SessionBars(index, ts_ns, symbols, opens, closes, *rows, vwap)


def on_tick(panel: Panel) -> Panel:
    """The panel with every price rounded to the tick, as an exchange takes them: adjusted ones lie off it."""

    def rounded(prices: Floats) -> Floats:
        return np.rint(prices * TICKS_PER_UNIT) / TICKS_PER_UNIT

    vwap = None if panel.vwap is None else rounded(panel.vwap)
    open_, high, low, close = (rounded(panel.field(name)) for name in ("open", "high", "low", "close"))
    return replace(panel, open=open_, high=high, low=low, close=close, vwap=vwap)


def exact_prices(symbols: tuple[Symbol, ...], row: Floats, ts_ns: int) -> dict[Symbol, Decimal]:
    """The prices of one row [S] as Decimals on the tick, without the missing (NaN) ones. DataError for any other."""
    present = ~np.isnan(row)
    with np.errstate(invalid="ignore"):
        ticks = np.rint(row * TICKS_PER_UNIT)
        wrong = present & ~((ticks / TICKS_PER_UNIT == row) & (row > 0) & np.isfinite(row))
    if wrong.any():
        column = int(np.argmax(wrong))
        problem = f"price of {symbols[column]} at {iso(ts_ns)} is not a positive multiple of {TICK}"
        raise DataError("price", float(row[column]), problem, "round the panel: mts1b.marketdata.replay.on_tick")
    columns = np.flatnonzero(present).tolist()
    numbers = ticks[present].astype(np.int64).tolist()
    return {
        symbols[column]: Decimal(number).scaleb(-TICK_DECIMALS) for column, number in zip(columns, numbers, strict=True)
    }
