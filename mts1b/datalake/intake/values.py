"""What one bar must be, whatever the others are: whole, above zero, well formed, once, and inside a session."""

from __future__ import annotations

import polars as pl

from mts1b.datalake.calendars import ALWAYS, Calendar, calendar
from mts1b.datalake.intake.delivery import Terms, joined, offences
from mts1b.datalake.schema import ADJ_CLOSE, INTERVAL_US, PRICE_MAX, PRICES, TICKER, TICKS_PER_UNIT, VOLUME_MAX, VWAP

PRE_MARKET, POST_MARKET = "5h30m", "4h"
"""How long before the opening and after the close of a session bars of extended hours may lie."""

SHARE_OF_ENDS = 0.5
"""From so many sessions with a bar that begins at the close, and none at the opening, stamps are taken as ends."""


def check_values(bars: pl.DataFrame) -> pl.DataFrame:
    """Offences against the rules of a single row, and rows of the same name and time."""
    found = [offences(bars.filter(broken), check, reason) for check, broken, reason in _rules(bars)]
    found.append(check_duplicates(bars))
    return joined(found)


def _rules(bars: pl.DataFrame) -> list[tuple[str, pl.Expr, str | pl.Expr]]:
    open_, high, low, close = (pl.col(name) for name in PRICES)
    rules: list[tuple[str, pl.Expr, str | pl.Expr]] = [
        ("schema", pl.col(name).is_null(), f"{name} is missing") for name in ("symbol", "ts", *PRICES, "volume")
    ]
    symbol = pl.format("the symbol {} is not a ticker", "symbol")
    rules.append(("schema", ~pl.col("symbol").str.contains(TICKER), symbol))
    tick = 0.5 / TICKS_PER_UNIT
    for name in (*PRICES, ADJ_CLOSE, VWAP):
        price = pl.col(name)
        rules.append(("price", price <= 0, pl.format(f"{name} is {{}}, not above zero", name)))
        rules.append(("price", (price > 0) & (price < tick), pl.format(f"{name} is {{}}, below one tick", name)))
        rules.append(("price", ~(price <= PRICE_MAX), pl.format(f"{name} is {{}}, no price", name)))
    volume = pl.col("volume")
    bad_volume = ~volume.is_between(0, VOLUME_MAX)
    rules.append(("volume", bad_volume, pl.format("volume is {}, no count of shares", "volume")))
    prices = pl.all_horizontal(pl.col(name).is_between(tick, PRICE_MAX) for name in PRICES)
    rules.append(("high-below-low", prices & (high < low), pl.format("high {} is below low {}", "high", "low")))
    above = (high < open_) | (high < close)
    rules.append(("high-below-low", prices & (high >= low) & above, "high is below open or close"))
    below = (low > open_) | (low > close)
    return [*rules, ("high-below-low", prices & (high >= low) & below, "low is above open or close")]


def check_duplicates(bars: pl.DataFrame) -> pl.DataFrame:
    """Of equal rows all but the first; of different ones all: nobody knows which is right."""
    key = ("symbol", "ts")
    twice = bars.filter(pl.col("ts").is_not_null(), pl.struct(key).is_duplicated()).sort("place")
    if not twice.height:
        return joined([])
    values = [name for name in twice.columns if name not in (*key, "place")]
    unlike = twice.unique([*key, *values]).filter(pl.struct(key).is_duplicated()).select(key).unique()
    conflicting = twice.join(unlike, on=key, how="semi")
    first = twice.join(unlike, on=key, how="anti").with_columns(first=pl.col("place").first().over(key))
    copies = first.filter(pl.col("place") != pl.col("first"))
    return joined(
        [
            offences(conflicting, "duplicate", pl.format("another bar of {} at {} has other values", "symbol", "ts")),
            offences(copies, "duplicate", pl.format("a copy of row {} of the delivery", pl.col("first") + 1)),
        ]
    )


def check_calendar(bars: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """Bars of days without a session, outside its hours, and those whose stamps are ends where starts are told."""
    if terms.calendar in (None, ALWAYS) or not bars.height:
        return joined([])
    first, last = bars["ts"].min(), bars["ts"].max()
    found = calendar(terms.calendar, first.date(), last.date())  # type: ignore[union-attr]
    return _days(bars, found) if terms.daily else _hours(bars, found, terms)


def _days(bars: pl.DataFrame, found: Calendar) -> pl.DataFrame:
    closed = bars.with_columns(day=pl.col("ts").dt.date()).join(found.sessions, on="day", how="anti")
    reason = pl.format(f"{{}} is no session of {found.name}", "day")
    return offences(closed, "calendar", reason)


def _hours(bars: pl.DataFrame, found: Calendar, terms: Terms) -> pl.DataFrame:
    day = pl.col("ts").dt.convert_time_zone(found.zone).dt.date().alias("day")
    dated = bars.select("place", "ts", day)
    inside = dated.join(found.sessions, on="day", how="inner")
    closed = dated.join(found.sessions, on="day", how="anti")
    told = [offences(closed, "calendar", pl.format(f"{{}} is no session of {found.name}", "day"))]
    if terms.stamps == "start" and _look_like_ends(inside, INTERVAL_US[terms.interval]):
        reason = "the stamps look like the ends of bars: one at each close, none at the opening; say --stamps end"
        return joined([*told, offences(inside, "stamps", reason)])
    if terms.stamps == "end" and _look_like_starts(inside, INTERVAL_US[terms.interval]):
        reason = "the stamps look like the starts of bars: one at each opening, none at the close; say --stamps start"
        return joined([*told, offences(inside, "stamps", reason)])
    regular = not (inside["ts"] < inside["opens"]).any()
    after = pl.col("closes") if regular else pl.col("closes").dt.offset_by(POST_MARKET)
    early = (pl.col("ts") >= after) & pl.col("early")
    outside = ((pl.col("ts") >= pl.col("closes").dt.offset_by(POST_MARKET)) & ~pl.col("early")) | (
        pl.col("ts") < pl.col("opens").dt.offset_by(f"-{PRE_MARKET}")
    )
    local = pl.col("closes").dt.convert_time_zone(found.zone).dt.strftime("%H:%M")
    said = pl.format(f"after the early close of {found.name} at {{}} on {{}}", local, "day")
    told.append(offences(inside.filter(early), "calendar", said))
    told.append(offences(inside.filter(outside), "calendar", f"outside the hours of {found.name}"))
    return joined(told)


def _look_like_ends(inside: pl.DataFrame, length_us: int) -> bool:
    """Whether most sessions have a bar that would begin at the close, and none one at the opening or before it."""
    del length_us
    days = inside.group_by("day").agg(
        closing=(pl.col("ts") == pl.col("closes")).any(),
        later=(pl.col("ts") > pl.col("closes")).any(),
        opening=(pl.col("ts") <= pl.col("opens")).any(),
    )
    ends = days.filter("closing", ~pl.col("later"))
    return not days["opening"].any() and ends.height > SHARE_OF_ENDS * days.height


def _look_like_starts(inside: pl.DataFrame, length_us: int) -> bool:
    """Whether, told that stamps are ends, most sessions have a bar before the opening and none at their end."""
    length = pl.duration(microseconds=length_us)
    days = inside.group_by("day").agg(
        before=(pl.col("ts") == pl.col("opens") - length).any(),
        earlier=(pl.col("ts") < pl.col("opens") - length).any(),
        closing=(pl.col("ts") >= pl.col("closes") - length).any(),
    )
    starts = days.filter("before", ~pl.col("earlier"))
    return not days["closing"].any() and starts.height > SHARE_OF_ENDS * days.height
