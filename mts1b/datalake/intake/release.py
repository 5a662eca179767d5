"""Rows out of quarantine into the lake, because a person says so."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from mts1b.datalake.catalog import Lake
from mts1b.datalake.intake.quarantine import Quarantine, bars_in
from mts1b.datalake.intake.records import RELEASED
from mts1b.datalake.intake.storing import store_bars
from mts1b.datalake.intake.take import BARS


def release_rows(
    lake: Lake, rows: pl.DataFrame, by: str, now_us: int, scale: Mapping[str, float] | None = None
) -> None:
    """Store held rows, some columns times a factor, then write down who said so. All of them or none.

    As `mts1b.datalake.intake.quarantine.bars_in`; killed in between, the same again ends it.
    """
    bars = bars_in(rows, scale)
    of = rows.with_row_index("place").select("place", "market", "interval")
    for (market, interval), kind in of.group_by("market", "interval", maintain_order=True):
        ours = bars.join(kind, on="place", how="semi", maintain_order="left").select(BARS)
        store_bars(lake, str(market), str(interval), ours, f"released by {by}", now_us)
    Quarantine(lake.intake.quarantine).decide(rows, RELEASED, by, now_us)
