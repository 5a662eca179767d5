"""Corporate actions: what a split or a dividend is, and which of them were known and in force at a moment."""

from __future__ import annotations

from datetime import date

import polars as pl

from mts1b.datalake.columns import TIMESTAMP
from mts1b.datalake.schema import refuse

SPLIT, DIVIDEND, DELISTING = "split", "dividend", "delisting"
PRICED = (SPLIT, DIVIDEND)
"""Actions that prices are adjusted for. A delisting only ends a listing: its day is the last one."""

ACTIONS = pl.Schema(
    {
        "security": pl.String(),
        "ex": pl.Date(),
        "kind": pl.String(),
        "value": pl.Float64(),
        "known": TIMESTAMP,
    }
)
"""`value`: a split's new shares for one old (0.05 is a reverse split of 1 for 20), a dividend's money for one share, in
shares of `ex`, the first day without it; null withdraws what was announced. `known`: from when on."""


def known_actions(actions: pl.DataFrame, as_of_us: int | None) -> pl.DataFrame:
    """The newest version of each action that was known at `as_of_us` (None: of all), by security and day."""
    if as_of_us is not None:
        actions = actions.filter(pl.col("known") <= pl.lit(as_of_us).cast(TIMESTAMP))
    newest = actions.sort("known").group_by(["security", "ex", "kind"], maintain_order=True).last()
    return newest.filter(pl.col("value").is_not_null()).select(ACTIONS.names()).sort("security", "ex", "kind")


def in_force(actions: pl.DataFrame, until: date | None) -> pl.DataFrame:
    """Actions whose day has come by `until`."""
    return actions if until is None else actions.filter(pl.col("ex") <= until)


def checked_actions(actions: pl.DataFrame, source: str) -> pl.DataFrame:
    """The actions in the columns of `ACTIONS`; one without `known` is known from the start of its day on.

    DataError names the first row that breaks a rule.
    """
    if "known" not in actions.columns:
        actions = actions.with_columns(known=pl.lit(None, TIMESTAMP))
    rows = actions.select(pl.col(name).cast(kind) for name, kind in ACTIONS.items())
    rows = rows.with_columns(pl.coalesce("known", pl.col("ex").cast(TIMESTAMP)).alias("known"))
    needed = ("security", "ex", "kind")
    refuse(rows, pl.any_horizontal(pl.col(name).is_null() for name in needed), "a value is missing", source)
    refuse(rows, ~pl.col("kind").is_in([SPLIT, DIVIDEND]), "neither a split nor a dividend", source)
    value = pl.col("value")
    refuse(rows, ~value.is_finite() | (value <= 0), "the value is not above 0", source)
    return rows.unique(maintain_order=True)
