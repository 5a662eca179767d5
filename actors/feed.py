"""The market data feed: replays stored sessions into the exchange and hands the bars on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from mts1b.foundation.ids import Symbol
from mts1b.marketdata.replay import Replay, SessionBars
from mts1b.strategy.panel import Floats, Panel


class Market(Protocol):
    """Where the feed's prices trade. Each call returns the venue's last report sequence."""

    async def open_session(self, ts_ns: int, prices: Mapping[Symbol, Decimal]) -> int: ...

    async def close_session(self, ts_ns: int) -> int: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A session's auction is over; `sequence` is the venue's last report then."""

    index: int
    ts_ns: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Closed:
    """A session is over. `rows` [5, S]: open, high, low, close, volume in the feed's order of names, NaN where none; a
    sixth, vwap, where the data have it."""

    index: int
    ts_ns: int
    sequence: int
    closes: dict[Symbol, Decimal]
    rows: Floats


class Feed:
    """Replays a panel's sessions: `open_session(t)`, `close_session(t)`, then the next. Repeating is harmless."""

    def __init__(self, panel: Panel, market: Market) -> None:
        self._panel, self._market = panel, market
        self._bars: SessionBars | None = None
        self._replayed = 0

    async def open_session(self, index: int) -> Opened:
        """Hold the opening auction of the session in row `index`. InputError when there is no such row."""
        bars = self._session(index)
        return Opened(index, bars.ts_ns, await self._market.open_session(bars.ts_ns, bars.opens))

    async def close_session(self, index: int) -> Closed:
        """End the session in row `index` and hand its bars on."""
        bars = self._session(index)
        sequence = await self._market.close_session(bars.ts_ns)
        self._replayed += 1
        return Closed(index, bars.ts_ns, sequence, bars.closes, bars.rows)

    async def statistics(self) -> dict[str, int]:
        return {"sessions": self._replayed}

    async def close(self) -> None:
        """Let go of the exchange."""
        await self._market.close()

    def _session(self, index: int) -> SessionBars:
        if self._bars is None or self._bars.index != index:
            self._bars = next(Replay(self._panel, index, index + 1).sessions())
        return self._bars
