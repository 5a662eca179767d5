"""Which company a ticker meant, and when: renames, tickers used again by others, and the end of a listing.

A security has one id for ever; its tickers change. What a user asks for is a ticker as it is used at the moment asked
for, or an id, or, where it is neither, a ticker as it was used last. Bars lie under the tickers of their delivery.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from mts1b.datalake.columns import TIMESTAMP
from mts1b.datalake.schema import TICKER, refuse

HISTORY = pl.Schema(
    {
        "security": pl.String(),
        "ticker": pl.String(),
        "first": pl.Date(),
        "last": pl.Date(),
        "delisted": pl.Boolean(),
        "known": TIMESTAMP,
    }
)
"""A security's use of a ticker, days included, `last` null while it lasts; `delisted`: its listing ended with it."""

SPANS = pl.Schema({"name": pl.String(), "ticker": pl.String(), "first": pl.Date(), "last": pl.Date()})
"""Where the bars of a name lie: under `ticker`, from `first` to `last`, included; null: no bound."""

OTHERS = ".OTHER"
"""Ends the name of bars whose ticker belongs to a known security, but not on their days."""

_NEVER = date(9999, 12, 31)


def checked_history(history: pl.DataFrame, source: str) -> pl.DataFrame:
    """The history in the columns of `HISTORY`; one without `known` is known from the first day of its use on.

    DataError names the first row that breaks a rule.
    """
    missing = {name: pl.lit(None, kind) for name, kind in HISTORY.items() if name not in history.columns}
    rows = history.with_columns(**missing).select(pl.col(name).cast(kind) for name, kind in HISTORY.items())
    rows = rows.with_columns(
        pl.coalesce("known", pl.col("first").cast(TIMESTAMP)).alias("known"), pl.col("delisted").fill_null(False)
    )
    for name in ("security", "ticker", "first"):
        refuse(rows, pl.col(name).is_null(), f"{name} is missing", source)
    for name in ("security", "ticker"):
        refuse(rows, ~pl.col(name).str.contains(TICKER), f"the {name} is not a ticker", source)
    refuse(rows, pl.col("last") < pl.col("first"), "it ends before it begins", source)
    return rows.unique(maintain_order=True)


def known_history(history: pl.DataFrame, as_of_us: int | None) -> pl.DataFrame:
    """The newest version of each use that was known at `as_of_us` (None: of all).

    An end is news of its day: before it, a use is without end.
    """
    if as_of_us is not None:
        moment = pl.lit(as_of_us).cast(TIMESTAMP)
        history = history.filter(pl.col("known") <= moment)
        ended = pl.col("last").cast(TIMESTAMP) <= moment
        history = history.with_columns(
            pl.when(ended).then("last").alias("last"), pl.col("delisted") & ended.fill_null(False)
        )
    newest = history.sort("known").group_by(["security", "ticker", "first"], maintain_order=True).last()
    return newest.select(HISTORY.names()).sort("security", "first")


class Uses:
    """A history of tickers, looked up by ticker and by security."""

    def __init__(self, history: pl.DataFrame) -> None:
        self.of_ticker: dict[str, list[tuple[date, date, str]]] = {}
        self.of_security: dict[str, list[tuple[str, date, date | None]]] = {}
        rows = history.sort("first").select("security", "ticker", "first", "last").iter_rows()
        for security, ticker, first, last in rows:
            self.of_ticker.setdefault(ticker, []).append((last or _NEVER, first, security))
            self.of_security.setdefault(security, []).append((ticker, first, last))

    def security(self, name: str, day: date | None = None) -> str | None:
        """Who has a ticker on `day` (None: at the end); else the security with this id; else who had it last before.

        None for a name that means none of these.
        """
        uses = [use for use in self.of_ticker.get(name, ()) if day is None or use[1] <= day]
        now = [use for use in uses if use[0] >= (day or _NEVER)]
        if now:
            return max(now)[2]
        if name in self.of_security:
            return name
        return max(uses)[2] if uses else None

    def spans(self, securities: Mapping[str, str | None]) -> pl.DataFrame:
        """The `SPANS` of names that stand for securities; for None, the name itself is a ticker for ever."""
        rows: list[tuple[str, str, date | None, date | None]] = []
        for name, security in securities.items():
            if security is None:
                rows.append((name, name, None, None))
            else:
                rows += [(name, *use) for use in self.of_security[security]]
        return pl.DataFrame(rows, SPANS, orient="row")


def security_of(history: pl.DataFrame, name: str, day: date | None = None) -> str | None:
    """As `Uses.security`."""
    return Uses(history).security(name, day)


def resolve(history: pl.DataFrame, names: Sequence[str], day: date | None = None) -> pl.DataFrame:
    """The `SPANS` of each name as `Uses.security` understands it, in their order; unknown ones are tickers for ever."""
    uses = Uses(history)
    return uses.spans({name: uses.security(name, day) for name in names})


def resolve_all(history: pl.DataFrame, tickers: Sequence[str]) -> pl.DataFrame:
    """The `SPANS` of every name that bars under these tickers have: securities, and what no security claims.

    A ticker that some security used keeps a name of its own, `TICKER.OTHER`, for the days on which none did.
    """
    held = history.filter(pl.col("ticker").is_in(list(tickers)))
    claimed = held.select(pl.col("security").alias("name"), "ticker", "first", "last")
    used = set(held["ticker"].to_list())
    free = pl.DataFrame([(name, name, None, None) for name in tickers if name not in used], SPANS, orient="row")
    gaps = [pl.DataFrame(_gaps(held, ticker), SPANS, orient="row") for ticker in sorted(used)]
    return pl.concat([claimed, free, *gaps]).sort("name", "first", nulls_last=False)


def _gaps(history: pl.DataFrame, ticker: str) -> list[tuple[str, str, date | None, date | None]]:
    """The days of a ticker on which no security used it, as spans."""
    uses = history.filter(pl.col("ticker") == ticker).sort("first").select("first", "last").rows()
    name = f"{ticker}{OTHERS}"
    found: list[tuple[str, str, date | None, date | None]] = []
    after: date | None = None  # the day after the last one that is taken
    for first, last in uses:
        if after is None or first > after:
            found.append((name, ticker, after, date.fromordinal(first.toordinal() - 1)))
        end = _NEVER if last is None else date.fromordinal(last.toordinal() + 1)
        after = end if after is None else max(after, end)
    if after is not None and after < _NEVER:
        found.append((name, ticker, after, None))
    return found


def named(bars: pl.DataFrame, spans: pl.DataFrame, day: str = "day") -> pl.DataFrame:
    """Bars under tickers as bars under names, sorted by name and `ts`: `symbol` becomes the name of the span that a
    bar's `day` is in.

    Bars in no span are left out. A bar in the spans of two names is a bar of both.
    """
    first, last = pl.col("first").fill_null(date.min), pl.col("last").fill_null(_NEVER)
    as_it_is = (pl.col("name") == pl.col("ticker")) & (pl.len().over("ticker") == 1) & (pl.len().over("name") == 1)
    covers = (first <= bars[day].min()) & (last >= bars[day].max()) if bars.height else pl.lit(False)
    plain = spans.filter(as_it_is & covers)["ticker"]
    ours = pl.col("symbol").is_in(plain.implode())
    rest = bars.filter(~ours)
    if not rest.height:
        return bars
    joined = rest.join(spans, left_on="symbol", right_on="ticker", how="inner", maintain_order="left_right")
    inside = joined.filter(pl.col(day) >= first, pl.col(day) <= last)
    renamed = inside.with_columns(pl.col("name").alias("symbol")).select(bars.columns)
    return pl.concat([bars.filter(ours), renamed]).sort("symbol", "ts")


def delistings(history: pl.DataFrame) -> pl.DataFrame:
    """security and day of each listing that has ended, by security."""
    return history.filter(pl.col("delisted")).select("security", day="last").sort("security")
