"""Rows put together with those stored: pure, frames in and a frame out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from mts1b.datalake.definitions import Definition
from mts1b.datalake.order import repeats


def merged(stored: pl.DataFrame, added: pl.DataFrame, definition: Definition, selected: str) -> pl.DataFrame:
    """All rows, sorted. An added row takes the place of the stored one of its key (and knowledge time, if it has one).

    Of rows with a knowledge time, one that repeats what its key's row before it said is left out: it was known already.
    """
    if definition.known is None or (not stored[definition.known].count() and not added[definition.known].count()):
        return _replaced(stored, added, definition.key)
    known = definition.known
    stored, added = (rows.with_columns(known_at(definition, selected).alias(known)) for rows in (stored, added))
    rows = _replaced(stored, added, definition.sorted_by)
    said = [column.name for column in definition.columns if column.name != known]
    repeated = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in said)
    rows = rows.filter(~repeated | (pl.int_range(pl.len()) == 0))
    if not definition.column(known).optional:
        return rows
    late = pl.col(known) != _unsaid(definition, selected)
    return rows.with_columns(pl.when(late).then(pl.col(known)).alias(known))


def alone(rows: pl.DataFrame, definition: Definition, selected: str) -> pl.DataFrame:
    """`merged` with nothing."""
    return rows if definition.known is None else merged(rows.clear(), rows, definition, selected)


def _replaced(stored: pl.DataFrame, added: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Both, in order; of two rows of a key the added one."""
    if not stored.height:
        return added
    both = pl.concat([stored, added])
    order = both.select(pl.arg_sort_by(key, maintain_order=True)).to_series()
    rows = both[order]
    superseded = repeats(rows, key)[1:]
    return rows.filter(~pl.Series(np.append(superseded, False))) if superseded.any() else rows


def is_revised(rows: pl.DataFrame, definition: Definition) -> bool:
    """Whether a key has several rows. `rows` are sorted."""
    if definition.known is None or rows.height < 2:
        return False
    return bool(repeats(rows, definition.key).any())


def known_at(definition: Definition, selected: str) -> pl.Expr:
    """When each row was known."""
    known = pl.col(str(definition.known))
    return pl.coalesce(known, _unsaid(definition, selected)) if selected in definition.known_after_us else known


def _unsaid(definition: Definition, selected: str) -> pl.Expr:
    """When a row counts as known that does not say it."""
    after = pl.duration(microseconds=definition.known_after_us[selected], time_unit="us")
    return pl.col(str(definition.time)) + after


def as_known(rows: pl.DataFrame, definition: Definition, selected: str, as_of_us: int | None) -> pl.DataFrame:
    """The latest row of each key, of those known at `as_of_us` (None: of all). `rows` are sorted."""
    if as_of_us is not None:
        rows = rows.filter(known_at(definition, selected).to_physical() <= as_of_us)
    if not is_revised(rows, definition):
        return rows
    return rows.filter(~pl.Series(np.append(repeats(rows, definition.key)[1:], False)))
