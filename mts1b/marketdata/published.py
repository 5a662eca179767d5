"""What market data says on the bus."""

from __future__ import annotations

from mts1b.platform.events import Event, event

Column = list[float | None]
"""One value for each symbol, None where it has no bar."""


@event("marketdata.bars.closed", key="event_id")
class BarsClosed(Event):
    """The bars of one moment, `interval_s` seconds long, that ended at `ts_ns` (UTC). Prices per share, shares."""

    event_id: str
    source: str
    interval_s: float
    ts_ns: int
    symbols: list[str]
    open: Column
    high: Column
    low: Column
    close: Column
    volume: Column
