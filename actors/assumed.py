"""Master data that nobody delivered, derived from the bars at hand with stated defaults. Said aloud by who uses it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from mts1b.foundation.ids import Symbol
from mts1b.foundation.instrument import ALWAYS, BASE_CURRENCY, Instrument
from mts1b.foundation.limits import TICK
from mts1b.riskengine.master import MasterData
from mts1b.strategy.panel import Panel

ADV_BARS = 21
"""Bars that average daily volume is taken over: a month of sessions."""

LOT = Decimal(1)


def assumed_master(panel: Panel, first: int) -> MasterData:
    """An instrument for each name of the panel: the lake's tick, whole shares, dollars, open at all hours, the panel's
    sector where it has one. Average daily volume from the ADV_BARS before row `first`; none where no bar has any."""
    sectors = panel.sectors or ("",) * len(panel.symbols)
    rows = [
        Instrument(Symbol(name), Decimal(TICK), LOT, sector=sector)
        for name, sector in zip(panel.symbols, sectors, strict=True)
    ]
    return MasterData.of(rows, average_volume(panel, max(0, first - ADV_BARS), first))


def average_volume(panel: Panel, first: int, end: int) -> dict[Symbol, Decimal]:
    """Mean volume in whole shares of the rows from `first` before `end`, bars without volume left out."""
    volume = np.where(panel.volume[first:end] > 0, panel.volume[first:end], np.nan)
    counted = np.isfinite(volume).sum(axis=0)
    total = np.nansum(volume, axis=0)
    found = zip(panel.symbols, total, counted, strict=True)
    return {Symbol(name): Decimal(int(amount // days)) for name, amount, days in found if days and amount >= days}


def with_assumed(known: MasterData, assumed: MasterData) -> MasterData:
    """`known`, and `assumed` for the names that it lacks."""
    return MasterData(
        {**assumed.instruments, **known.instruments},
        {**assumed.adv, **known.adv},
        {**assumed.sessions, **known.sessions},
    )


def assumption(names: Sequence[str]) -> str:
    """What a person is told about names without master data of their own."""
    return (
        f"{len(names)} names have no master data: tick {TICK}, lot {LOT}, {BASE_CURRENCY}, session {ALWAYS.name}, "
        f"average volume of {ADV_BARS} bars are assumed; `mts data instruments load` and `adv load` store yours"
    )
