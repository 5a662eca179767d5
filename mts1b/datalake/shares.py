"""Bars of shares: names that change their tickers, prices adjusted on reading, universes by date, as of a moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pyarrow as pa

from mts1b.datalake.actions import SPLIT, in_force
from mts1b.datalake.adjust import DAY, Adjust, adjusted, check_adjust
from mts1b.datalake.adjusted_stretches import AdjustedStretches
from mts1b.datalake.bars import Bars, no_bars, panel_of
from mts1b.datalake.dataset import asked_names, unknown_symbol
from mts1b.datalake.definitions import Definition
from mts1b.datalake.membership import inside, member_mask
from mts1b.datalake.pointintime import NOW, Moment, Reference, spans_of, under_names
from mts1b.datalake.schema import ADJ_CLOSE, PRICES, SPLITS, STATUS, TOTAL, VWAP
from mts1b.datalake.sectors import Sectors
from mts1b.datalake.spread import Arrays
from mts1b.datalake.storage import Place
from mts1b.datalake.stretches import Stretches
from mts1b.datalake.symbols import Uses, named
from mts1b.datalake.times import When, span_us
from mts1b.foundation.errors import InputError
from mts1b.strategy.panel import FIELDS, Lineage, Panel

ZONE = "America/New_York"
"""Where the day of an intraday bar begins and ends."""

NS_PER_US, NS_PER_DAY = 1_000, 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What a reader wants to know: names and where their bars lie; None for both: tickers as they are."""

    names: tuple[str, ...] | None
    spans: pl.DataFrame | None
    tickers: list[str] | None


class ShareBars(Bars):
    """The bars of shares. Names are tickers, as used at the moment asked for, or ids of securities: where the lake
    holds a symbol history, a name's bars are those under every ticker it had, and of nobody else."""

    def __init__(self, place: Place, definition: Definition, sectors: Sectors | None, known: Reference) -> None:
        super().__init__(place, definition, sectors)
        self._known = known

    def read(
        self,
        symbols: Sequence[str] | None = None,
        interval: str | None = None,
        start: When = None,
        end: When = None,
        columns: Sequence[str] | None = None,
        adjust: Adjust = None,
        as_of: When = None,
    ) -> pl.DataFrame:
        """As `Dataset.read`. `adjust`: None gives prices as delivered, "split" in shares of the moment, "total" with
        dividends in them too (`mts1b.datalake.adjust`), unrounded; `as_of`: bars, splits, dividends and tickers as
        they were known then. DataError for bars delivered with dividends in them when splits alone are wanted.
        """
        check_adjust(adjust)
        moment = Moment.of(as_of)
        history = self._known.tickers(moment)
        if adjust is None and not history.height:
            return super().read(symbols, interval, start, end, columns, None, as_of)
        asked = self._asked(symbols, interval, history, moment)
        return self._adjusted(asked, interval, (start, end), columns, adjust, as_of, history)

    def arrow(
        self,
        symbols: Sequence[str] | None = None,
        interval: str | None = None,
        start: When = None,
        end: When = None,
        columns: Sequence[str] | None = None,
        adjust: Adjust = None,
        as_of: When = None,
    ) -> pa.Table:
        """As `read`, as an Arrow table."""
        return self.read(symbols, interval, start, end, columns, adjust, as_of).to_arrow()

    def arrays(
        self,
        symbols: Sequence[str] | None = None,
        interval: str | None = None,
        start: When = None,
        end: When = None,
        columns: Sequence[str] | None = None,
        adjust: Adjust = None,
        as_of: When = None,
    ) -> Arrays:
        """As `Dataset.arrays`; `adjust` and `as_of` as in `read`."""
        check_adjust(adjust)
        if adjust is None and not self._known.tickers(Moment.of(as_of)).height:
            return super().arrays(symbols, interval, start, end, columns, None, as_of)
        wanted = [name for name in columns or FIELDS if name not in (STATUS, "symbol", "ts")]
        found = self.read(symbols, interval, start, end, wanted, adjust, as_of)
        return _spread(found, symbols, wanted)

    def scan(
        self,
        symbols: Sequence[str] | None = None,
        interval: str | None = None,
        start: When = None,
        end: When = None,
        columns: Sequence[str] | None = None,
        adjust: Adjust = None,
        as_of: When = None,
    ) -> pl.LazyFrame:
        """As `read`, lazily; where prices are adjusted, or tickers have a history, bars are read at once for it."""
        check_adjust(adjust)
        if adjust is None and not self._known.tickers(Moment.of(as_of)).height:
            return super().scan(symbols, interval, start, end, columns, None, as_of)
        return self.read(symbols, interval, start, end, columns, adjust, as_of).lazy()

    def panel(
        self,
        symbols: Sequence[str] | None = None,
        interval: str = "daily",
        start: When = None,
        end: When = None,
        universe: str | None = None,
        adjust: Adjust = "total",
        as_of: When = None,
    ) -> Panel:
        """Bars as float64 [T, S] arrays: T the times at which any chosen name has a bar, S in the order asked for
        (alphabetical when all are). `vwap` and `sectors` are there when the lake has them for any of the bars and
        names. `data_version` is a digest of the panel's values: equal bars, equal version.

        `universe`: the names that were members on a day of the range; on days when it was none, a name has no bar
        (NaN), so that nothing can be bought that nobody would have looked at. `adjust`, `as_of`: as in `read`.
        As `read`, and InputError when no bar is in the range.
        """
        check_adjust(adjust)
        moment = Moment.of(as_of)
        if universe is not None:
            return self._universe_panel(universe, symbols, interval, (start, end), adjust, as_of)
        found, undivided = self._bars_of(symbols, interval, (start, end), adjust, as_of, moment)
        if not len(found.ts_ns):
            raise no_bars(self._stored(interval), start, end)
        lineage = Lineage(adjust, undivided, as_of="" if as_of is None else str(as_of))
        return panel_of(found, self._sectors.of(found.symbols) if self._sectors else (), lineage)

    def stretches(
        self,
        symbols: Sequence[str] | None = None,
        interval: str = "daily",
        start: When = None,
        end: When = None,
        adjust: Adjust = "total",
    ) -> Stretches:
        """The bars of `panel`, one part after the other and a few names at a time, for histories too long to be held.

        As `read`. A range the lake has no bars in gives nothing. InputError for names that had several tickers: their
        parts would have to be read together.
        """
        check_adjust(adjust)
        history = self._known.tickers(NOW)
        asked = self._asked(symbols, interval, history, NOW) if history.height else Asked(None, None, None)
        _refuse_renamed(asked, symbols)
        plain = super().stretches(symbols, interval, start, end)
        if adjust is None:
            return plain
        known = self._actions(plain.symbols, history, NOW, interval)
        wanted = known if adjust == TOTAL else known.filter(pl.col("kind") == SPLIT)
        return AdjustedStretches.of(plain, self._closes_for(plain.symbols, interval, wanted), known, adjust)

    def _asked(
        self, symbols: Sequence[str] | None, interval: str | None, history: pl.DataFrame, moment: Moment
    ) -> Asked:
        """Where the bars of names lie. UnknownNameError for a name of which nothing is stored."""
        names = None if symbols is None else tuple(asked_names(symbols))
        if not history.height:
            return Asked(names, None, None if names is None else list(names))
        stored = self._stored(interval).symbols
        found = spans_of(history, names, stored, moment)
        return self._held(Asked(names, found, None), stored)

    def _held(self, asked: Asked, stored: Sequence[str]) -> Asked:
        known = frozenset(stored)
        held = [ticker for ticker in asked.spans["ticker"].unique().sort() if ticker in known]  # type: ignore[index]
        with_bars = set(asked.spans.filter(pl.col("ticker").is_in(held))["name"])  # type: ignore[union-attr]
        for name in asked.names or ():
            if name not in with_bars:
                raise unknown_symbol(name, known)
        return replace(asked, tickers=held)

    def _adjusted(
        self,
        asked: Asked,
        interval: str | None,
        span: tuple[When, When],
        columns: Sequence[str] | None,
        adjust: Adjust,
        as_of: When,
        history: pl.DataFrame,
    ) -> pl.DataFrame:
        """Bars under names, adjusted, in the columns asked for."""
        shown = self._shown(interval, columns)
        needed = list(dict.fromkeys([*shown, *(("close", "volume", STATUS, ADJ_CLOSE, *PRICES) if adjust else ())]))
        bars = self._named(asked, interval, span, needed, as_of)
        if adjust is not None and bars.height:
            moment = Moment.of(as_of)
            names = bars["symbol"].unique().to_list()
            known, every = self._actions(names, history, moment, interval), self._actions(names, history, NOW, interval)
            closes = _days(bars, interval) if adjust == TOTAL else _days(bars.clear(), interval)
            if adjust == TOTAL and span[1] is not None and (known.height or as_of is not None):
                later = (datetime.fromtimestamp(bars["ts"].max().timestamp(), UTC), None)  # type: ignore[union-attr]
                rest = self._named(asked, interval, later, ["close", STATUS, ADJ_CLOSE], as_of)
                closes = pl.concat([closes, _days(rest, interval)]).unique(["symbol", DAY], keep="last")
            bars = adjusted(bars, adjust, known, every, closes, as_of is not None)
        return bars.select("symbol", "ts", *(name for name in shown if name not in ("symbol", "ts")))

    def _named(
        self, asked: Asked, interval: str | None, span: tuple[When, When], columns: Sequence[str], as_of: When
    ) -> pl.DataFrame:
        """Bars under names with their `day`, sorted by name and time."""
        bars = super().read(asked.tickers, interval, *span, columns, None, as_of)
        local = pl.col("ts") if interval in (None, "daily") else pl.col("ts").dt.convert_time_zone(ZONE)
        bars = bars.with_columns(local.dt.date().alias(DAY))
        return bars if asked.spans is None else named(bars, asked.spans, DAY)

    def _shown(self, interval: str | None, columns: Sequence[str] | None) -> list[str]:
        """Columns that are given: those asked for, or all that are held."""
        if columns is not None:
            return [self.definition.column(name).name for name in columns]
        snapshot = self._stored(interval).snapshot
        held = [self.definition.column(name) for name in self.definition.shown]
        return [column.name for column in held if not column.optional or snapshot.holds(column.name)]

    def _actions(
        self, names: Sequence[str], history: pl.DataFrame, moment: Moment, interval: str | None
    ) -> pl.DataFrame:
        """Actions known and in force at a moment, at the end of what is stored without one, under names."""
        known = self._known.priced(moment)
        if not known.height:
            return known
        last_ns = self._stored(interval).last_ns or 0
        end = moment.day or date.fromordinal(date(1970, 1, 1).toordinal() + last_ns // NS_PER_DAY)
        return in_force(under_names(known, history, names, moment.day), end)

    def _closes_for(self, names: Sequence[str], interval: str, actions: pl.DataFrame) -> pl.DataFrame:
        """symbol, day, close, adjustment and adj_close of the names that have actions; of no day where none has."""
        held = sorted(set(actions["security"].to_list()).intersection(names))
        if not held:
            return pl.DataFrame(schema=_CLOSES)
        bars = self._named(Asked(None, None, held), interval, (None, None), ["close", STATUS, ADJ_CLOSE], None)
        return _days(bars, interval)

    def _bars_of(
        self,
        symbols: Sequence[str] | None,
        interval: str,
        span: tuple[When, When],
        adjust: Adjust,
        as_of: When,
        moment: Moment,
    ) -> tuple[Arrays, bool]:
        """Adjusted bars as arrays, and whether nothing was known of any dividend."""
        fields = [*FIELDS, *([VWAP] if self._has(interval, VWAP) else [])]
        closes_delivered = self._has(interval, ADJ_CLOSE)
        actions = self._known.priced(moment).height > 0
        undivided = not closes_delivered and not actions
        if as_of is None and not actions and not self._known.tickers(moment).height and adjust != SPLITS:
            extra = [ADJ_CLOSE] if closes_delivered and adjust == TOTAL else []
            found = super().arrays(symbols, interval, *span, [*fields, *extra])
            return (_as_delivered(found) if extra else found), undivided
        return self.arrays(symbols, interval, *span, fields, adjust, as_of), undivided

    def _universe_panel(
        self,
        universe: str,
        symbols: Sequence[str] | None,
        interval: str,
        span: tuple[When, When],
        adjust: Adjust,
        as_of: When,
    ) -> Panel:
        moment = Moment.of(as_of)
        held = self._known.stays(universe, moment)
        first, last = (None if us is None else _date(us) for us in span_us(*span))
        members = inside(held, first, last)
        if symbols is not None:
            members = tuple(name for name in asked_names(symbols) if name in set(members))
        found, missing = self._members_arrays(members, interval, span, adjust, as_of, moment)
        if not len(found.ts_ns):
            raise InputError("universe", universe, "no member has a bar in this range", "ingest their bars")
        masked = _masked(found, held, interval)
        undivided = not self._has(interval, ADJ_CLOSE) and not self._known.priced(moment).height
        lineage = Lineage(adjust, undivided, universe, missing, "" if as_of is None else str(as_of))
        return panel_of(masked, self._sectors.of(masked.symbols) if self._sectors else (), lineage)

    def _members_arrays(
        self,
        members: tuple[str, ...],
        interval: str,
        span: tuple[When, When],
        adjust: Adjust,
        as_of: When,
        moment: Moment,
    ) -> tuple[Arrays, tuple[str, ...]]:
        """Arrays of the members that have bars, and the others."""
        history = self._known.tickers(moment)
        stored = frozenset(self._stored(interval).symbols)
        uses = Uses(history)
        places = uses.spans({name: name if name in uses.of_security else None for name in members})
        with_bars = set(places.filter(pl.col("ticker").is_in(list(stored)))["name"].to_list())
        names = tuple(name for name in members if name in with_bars)
        fields = [*FIELDS, *([VWAP] if self._has(interval, VWAP) else [])]
        if not names:
            return Arrays(np.zeros(0, dtype=np.int64), (), {}), members
        asked = self._held(Asked(names, places.filter(pl.col("name").is_in(names)), None), tuple(stored))
        bars = self._adjusted(asked, interval, span, fields, adjust, as_of, history)
        return _spread(bars, names, fields), tuple(name for name in members if name not in with_bars)


_CLOSES = {"symbol": pl.String(), DAY: pl.Date(), "close": pl.Float64(), STATUS: pl.String(), ADJ_CLOSE: pl.Float64()}


def _days(bars: pl.DataFrame, interval: str | None) -> pl.DataFrame:
    """The last close of each name's day."""
    if interval in (None, "daily"):
        return bars.select(list(_CLOSES))
    return bars.group_by("symbol", DAY, maintain_order=True).last().select(list(_CLOSES))


def _as_delivered(found: Arrays) -> Arrays:
    """Prices times the source's own adj_close / close, where there is one: all by one factor, so that none passes
    another by a last bit."""
    fields = dict(found.fields)
    total = fields.pop(ADJ_CLOSE)
    known = np.isfinite(total)
    factor = np.divide(total, fields["close"], out=np.ones_like(total), where=known)
    for name in (*PRICES, VWAP):
        if name in fields:
            fields[name] = fields[name] * factor
    return replace(found, fields=fields)


def _spread(bars: pl.DataFrame, symbols: Sequence[str] | None, fields: Sequence[str]) -> Arrays:
    """Bars sorted by name and time as arrays of `symbols` (None: of all, in order)."""
    runs = bars["symbol"].rle().struct.unnest() if bars.height else pl.DataFrame({"len": [], "value": []})
    held = runs["value"].to_list()
    names = tuple(held) if symbols is None else tuple(symbols)
    place = {name: number for number, name in enumerate(names)}
    columns = np.repeat(
        np.array([place[name] for name in held], dtype=np.int64), runs["len"].to_numpy().astype(np.int64)
    )
    times, rows = np.unique(bars["ts"].to_physical().to_numpy(), return_inverse=True)
    tables = {name: np.full((len(times), len(names)), np.nan) for name in fields}
    for name, table in tables.items():
        table[rows, columns] = bars[name].to_numpy()
    return Arrays(times * NS_PER_US, names, tables)


def _masked(found: Arrays, stays: pl.DataFrame, interval: str) -> Arrays:
    """Without the bars of days on which a name was no member, and the times at which none is left."""
    days = found.ts_ns // NS_PER_DAY
    if interval != "daily":
        local = pl.from_epoch(pl.Series(found.ts_ns), "ns").dt.replace_time_zone("UTC").dt.convert_time_zone(ZONE)
        days = local.dt.date().to_physical().to_numpy().astype(np.int64)
    mask = member_mask(stays, days, found.symbols)
    fields = {name: np.where(mask, values, np.nan) for name, values in found.fields.items()}
    kept = np.isfinite(fields["close"]).any(axis=1)
    return Arrays(found.ts_ns[kept], found.symbols, {name: values[kept] for name, values in fields.items()})


def _refuse_renamed(asked: Asked, symbols: Sequence[str] | None) -> None:
    """InputError for a name whose bars are not simply those under it."""
    if asked.spans is None:
        return
    plain = asked.spans.filter(pl.col("name") == pl.col("ticker"))
    own = plain.group_by("name").len().filter(pl.col("len") == 1)["name"].to_list()
    held = asked.spans.filter(pl.col("ticker").is_in(asked.tickers or []))
    for name in held["name"].unique().sort().to_list():
        if name not in own or held.filter(pl.col("name") == name)["ticker"].to_list() != [name]:
            remedy = "use the sweep's panel, or name others" if symbols is not None else "name those that never changed"
            raise InputError("symbols", name, "had other tickers or shares one with another company", remedy)


def _date(us: int) -> date:
    return datetime.fromtimestamp(us // 1_000_000, UTC).date()
