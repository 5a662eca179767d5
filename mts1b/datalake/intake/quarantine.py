"""Rows that failed a check: listed, looked at, and released or dropped by a person. None is ever deleted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import polars as pl

from mts1b.datalake.columns import TIMESTAMP
from mts1b.datalake.dataset import Dataset
from mts1b.datalake.intake.parse import PARSED
from mts1b.datalake.intake.records import HELD, STATES
from mts1b.datalake.intake.take import SEPARATOR
from mts1b.datalake.intake.values import check_values
from mts1b.foundation.errors import DataError, InputError, unknown_name

SHOWN_MAX = 3
"""Reasons named in an error."""


class Quarantine:
    """The rows of one lake's quarantine."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def rows(self, state: str | None = HELD, source: str | None = None, check: str | None = None) -> pl.DataFrame:
        """Rows in a state (None: in any), of a file, that fail a check; by source and line."""
        if state is not None and state not in STATES:
            raise unknown_name("state", state, STATES)
        if self.dataset.stored() is None:
            return self.dataset.definition.read_schema.to_frame()
        rows = self.dataset.read(columns=self.dataset.definition.shown)
        if state is not None:
            rows = rows.filter(pl.col("state") == state)
        if source is not None:
            rows = rows.filter(pl.col("source") == source)
        if check is not None:
            rows = rows.filter(pl.col("checks").str.split("+").list.contains(check))
        return rows.sort("source", "line")

    def add(self, offenders: pl.DataFrame, now_us: int) -> int:
        """Put offenders in; those that are there already, and what was decided about them, stay. How many are new."""
        there = self.rows(state=None)
        new = offenders.join(there, on="id", how="anti").unique("id", keep="first", maintain_order=True)
        if new.height:
            empty = {"decided_by": pl.lit(None, pl.String), "decided_ts": pl.lit(None, TIMESTAMP)}
            new = new.with_columns(state=pl.lit(HELD), taken_ts=pl.lit(now_us).cast(TIMESTAMP), **empty)
            self.dataset.upsert(new, source="ingest")
        return new.height

    def chosen(self, ids: Sequence[str]) -> pl.DataFrame:
        """Held rows by their ids, in that order. UnknownNameError for one that is not held."""
        held = self.rows()
        for one in ids:
            if one not in held["id"]:
                raise unknown_name("id", one, held["id"].to_list())
        order = pl.DataFrame({"id": list(ids)}, schema={"id": pl.String}).unique(maintain_order=True)
        return order.join(held, on="id", how="left", maintain_order="left").select(held.columns)

    def decide(self, rows: pl.DataFrame, state: str, by: str, now_us: int) -> None:
        """Write down what a person decided about rows."""
        at = pl.lit(now_us).cast(TIMESTAMP)
        self.dataset.upsert(
            rows.with_columns(state=pl.lit(state), decided_by=pl.lit(by), decided_ts=at), source=f"{state} by {by}"
        )


def bars_in(rows: pl.DataFrame, scale: Mapping[str, float] | None = None) -> pl.DataFrame:
    """Quarantined rows as the bars they would be, in `PARSED`'s columns, some columns times a factor.

    DataError names the first row that is no bar at all, whatever a person may say; InputError a column that is none.
    """
    for name in scale or {}:
        if name not in PARSED or PARSED[name] != pl.Float64():
            raise InputError("scale", name, "no column of prices or volumes", "write volume=0.1")
    missing = rows.filter(pl.col("bar").is_null())
    if missing.height:
        first = missing.row(0, named=True)
        raise DataError("id", first["id"], f"cannot be read as a bar: {first['reasons']}", "correct the file instead")
    schema = {name: pl.String() if isinstance(kind, pl.Datetime) else kind for name, kind in PARSED.items()}
    texts = [json.loads(text) for text in rows["bar"].to_list()]
    bars = pl.DataFrame([{**text, "place": place} for place, text in enumerate(texts)], schema)
    bars = bars.with_columns(
        pl.col(name).str.to_datetime(time_unit="us", time_zone="UTC", strict=False) for name in ("ts", "known")
    )
    bars = bars.with_columns(pl.col(name) * factor for name, factor in (scale or {}).items())
    broken = check_values(bars).filter(pl.col("check") != "duplicate")
    if broken.height:
        first = rows.row(int(broken["place"][0]), named=True)
        reasons = SEPARATOR.join(broken["reason"].to_list()[:SHOWN_MAX])
        raise DataError("id", first["id"], f"is no bar: {reasons}", "correct the file and ingest that")
    return bars
