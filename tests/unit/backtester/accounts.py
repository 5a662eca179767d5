"""Accounts and bars for tests of the event engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mts1b.backtester import Account, Run
from mts1b.backtester.event import simulate
from mts1b.backtester.ledger import YEAR_NS
from mts1b.strategy.panel import Panel

NAN = float("nan")
DAY_NS = YEAR_NS // 365

FREE = Account(capital=1000.0, commission_bps=0.0, half_spread_bps=0.0, close_at_end=False)
"""No costs, whole shares, everything kept open."""


def bars_of(opens, closes, volume=1e6, spacing_ns=DAY_NS) -> Panel:
    """Bars of one name, or of several when the rows are lists."""
    open_, close = (np.array(values, dtype=float).reshape(len(opens), -1) for values in (opens, closes))
    volumes = np.where(np.isfinite(close), np.broadcast_to(np.array(volume, dtype=float), close.shape), NAN)
    return Panel(
        ts_ns=np.arange(len(opens), dtype=np.int64) * spacing_ns,
        symbols=tuple("ABCDEFGH"[: close.shape[1]]),
        open=open_,
        high=np.fmax(open_, close),
        low=np.fmin(open_, close),
        close=close,
        volume=volumes,
    )


def run(targets, panel: Panel, account: Account = FREE, **options) -> Run:
    """Trade rows of targets over the bars."""
    rows = np.array(targets, dtype=float).reshape(len(panel.ts_ns), -1)
    return simulate(lambda t: rows[t], panel, replace(account, **options), keep_fills=True)


def daily(panel: Panel) -> Panel:
    """The same bars, a day apart."""
    return replace(panel, ts_ns=np.arange(len(panel.ts_ns), dtype=np.int64) * DAY_NS)
