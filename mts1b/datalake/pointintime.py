"""What the lake knows of shares beside their bars, as of a moment: actions, who had which ticker, members of universes.

The datasets keep every version of a row with the moment from which it was known (`mts1b.datalake.definitions`); an end
that has a day of its own (of a ticker's use, of a stay) is news of that day, whenever it was written down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import polars as pl

from mts1b.datalake.actions import ACTIONS, DELISTING, PRICED, known_actions
from mts1b.datalake.dataset import Dataset
from mts1b.datalake.membership import MEMBERS, stays
from mts1b.datalake.symbols import HISTORY, Uses, known_history, resolve, resolve_all
from mts1b.datalake.times import When, span_us
from mts1b.foundation.errors import InputError

KNOWN = "known_ts"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

TABLES_MAX = 16
"""Tables kept, of as many moments."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of knowledge: `us` (UTC microseconds, included) and its day; None for both: now."""

    us: int | None
    day: date | None

    @classmethod
    def of(cls, as_of: When) -> Moment:
        """InputError for what is no date or time."""
        us = span_us(None, as_of)[1]
        return cls(us, None if us is None else datetime.fromtimestamp(us // 1_000_000, UTC).date())


NOW = Moment(None, None)


class Tables:
    """Rows of small datasets, kept as long as the dataset has no newer version."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, int | None, tuple[str, ...]], tuple[int, pl.DataFrame]] = {}
        self._made: dict[tuple[str, int | None], tuple[tuple[int, ...], pl.DataFrame]] = {}

    def made(self, what: str, moment: Moment, of: Sequence[Dataset], make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """What is worked out of datasets, kept in the same way."""
        stored = [dataset.stored() for dataset in of]
        numbers = tuple(-1 if one is None else one.snapshot.number for one in stored)
        found = self._made.get((what, moment.us))
        if found is None or found[0] != numbers:
            if len(self._made) >= TABLES_MAX:
                self._made.clear()
            found = self._made[what, moment.us] = (numbers, make())
        return found[1]

    def rows(self, dataset: Dataset, moment: Moment, columns: Sequence[str]) -> pl.DataFrame:
        """Every row of a dataset as of a moment, none of one that is not there."""
        definition, stored = dataset.definition, dataset.stored()
        wanted = list(dict.fromkeys((*definition.key, *columns)))
        if stored is None:
            return pl.DataFrame(schema={name: definition.column(name).read for name in wanted})
        key = (definition.full_name, moment.us, tuple(wanted))
        number, rows = self._held.get(key, (-1, pl.DataFrame()))
        if number != stored.snapshot.number:
            as_of = None if moment.us is None else EPOCH + timedelta(microseconds=moment.us)
            rows = dataset.read(columns=list(columns), as_of=as_of)
            if len(self._held) >= TABLES_MAX:
                self._held.clear()
            self._held[key] = (stored.snapshot.number, rows)
        return rows


@dataclass(frozen=True, slots=True)
class Reference:
    """The datasets about shares that reading their bars needs."""

    actions: Dataset
    history: Dataset
    members: Dataset
    _tables: Tables = field(default_factory=Tables)

    def priced(self, moment: Moment) -> pl.DataFrame:
        """Splits and dividends known at a moment, `ACTIONS`."""
        return self._tables.made("actions", moment, [self.actions], lambda: self._priced(moment))

    def _priced(self, moment: Moment) -> pl.DataFrame:
        rows = self._tables.rows(self.actions, moment, ["value", KNOWN]).filter(pl.col("kind").is_in(PRICED))
        if not rows.height:
            return ACTIONS.to_frame()
        ex = pl.col("ts").dt.date()
        return known_actions(rows.select(security="symbol", ex=ex, kind="kind", value="value", known=KNOWN), moment.us)

    def delisted(self, moment: Moment) -> pl.DataFrame:
        """security and the last day of each listing that had ended by a moment."""
        rows = self._tables.rows(self.actions, moment, [KNOWN]).filter(pl.col("kind") == DELISTING)
        return rows.select(security="symbol", day=pl.col("ts").dt.date()).sort("security", "day")

    def tickers(self, moment: Moment) -> pl.DataFrame:
        """Who had which ticker, `HISTORY`."""
        return self._tables.made("history", moment, [self.history, self.actions], lambda: self._tickers(moment))

    def _tickers(self, moment: Moment) -> pl.DataFrame:
        rows = self._tables.rows(self.history, moment, ["security", "until", KNOWN])
        if not rows.height:
            return HISTORY.to_frame()
        ended = self.delisted(moment).select("security", last="day", delisted=pl.lit(True))
        days = rows.select(
            "security", ticker="symbol", first=pl.col("ts").dt.date(), last=pl.col("until").dt.date(), known=KNOWN
        )
        found = days.join(ended, on=["security", "last"], how="left").with_columns(pl.col("delisted").fill_null(False))
        return known_history(found.select(HISTORY.names()), moment.us)

    def stays(self, universe: str, moment: Moment) -> pl.DataFrame:
        """name, first and last of each stay in a universe. InputError when the lake knows of none at all."""
        rows = self._tables.rows(self.members, moment, ["until", KNOWN])
        if not rows.height:
            remedy = "ingest one: mts data ingest FILE --dataset equities.index_membership"
            raise InputError("universe", universe, "the lake knows no universe", remedy)
        days = {"first": pl.col("ts").dt.date(), "last": pl.col("until").dt.date()}
        found = rows.select(universe="index", symbol="symbol", **days, known=KNOWN)
        return stays(found.select(MEMBERS.names()), universe, self.tickers(moment), moment.us)


def spans_of(
    history: pl.DataFrame, symbols: Sequence[str] | None, stored: Sequence[str], moment: Moment
) -> pl.DataFrame:
    """Where the bars of names lie (`SPANS`): of those asked for, or of every name under the stored tickers."""
    if symbols is None:
        return resolve_all(history, stored)
    return resolve(history, symbols, moment.day)


def under_names(actions: pl.DataFrame, history: pl.DataFrame, names: Sequence[str], day: date | None) -> pl.DataFrame:
    """Actions of securities under the names that bars are read by."""
    uses = Uses(history)
    pairs = [(name, uses.security(name, day) or name) for name in names]
    table = pl.DataFrame(pairs, {"name": pl.String(), "security": pl.String()}, orient="row")
    found = actions.join(table, on="security", how="inner")
    return found.with_columns(pl.col("name").alias("security")).select(actions.columns)


def under_tickers(actions: pl.DataFrame, history: pl.DataFrame, tickers: Sequence[str]) -> pl.DataFrame:
    """Actions of securities under the tickers that they had on the day."""
    uses = history.select("security", "ticker", "first", "last")
    used = actions.join(uses, on="security", how="left")
    inside = (pl.col("ex") >= pl.col("first")) & (pl.col("last").is_null() | (pl.col("ex") <= pl.col("last")))
    found = used.filter(pl.col("ticker").is_null() | inside)
    ticker = pl.coalesce("ticker", "security")
    return (
        found.with_columns(ticker.alias("security"))
        .select(actions.columns)
        .filter(pl.col("security").is_in(list(tickers)))
    )
