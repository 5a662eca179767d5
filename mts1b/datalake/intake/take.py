"""One file in: rows that may be stored, and every other one with the reason why not. Nothing in between.

What comes in is what goes out: each row of a delivery is in exactly one of the two. A file of which no row can be read
is one offender as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import polars as pl

from mts1b.datalake.intake.delivery import Delivery, Terms, joined, raw_texts
from mts1b.datalake.intake.lean import lean_kind, read_bars
from mts1b.datalake.intake.parse import PARSED, parse
from mts1b.datalake.intake.series import check_series
from mts1b.datalake.intake.tables import read_table
from mts1b.datalake.intake.values import check_calendar, check_values
from mts1b.foundation.errors import DataError
from mts1b.foundation.ids import DIGEST_BYTES

OFFENDERS = pl.Schema(
    {
        "id": pl.String(),
        "source": pl.String(),
        "content": pl.String(),
        "line": pl.Int64(),
        "market": pl.String(),
        "interval": pl.String(),
        "symbol": pl.String(),
        "ts": pl.Datetime("us", "UTC"),
        "checks": pl.String(),
        "reasons": pl.String(),
        "raw": pl.String(),
        "bar": pl.String(),
    }
)
"""A row in quarantine. `id`: a digest of its file's content and its line, the same however often it comes. `checks` and
`reasons`: all it fails, in words. `raw`: the row as it was delivered, in JSON; `bar`: as it would be stored, in JSON,
null where it cannot be read as a bar. `line`: in the file, from 1; 0 for a file as a whole."""

SEPARATOR = "; "
BARS = [name for name in PARSED.names() if name != "place"]


@dataclass(frozen=True, slots=True)
class Taken:
    """A file taken apart. `good`: bars in the columns of `BARS`; `offenders`: `OFFENDERS`; `rows`: how many rows there
    were; `content`: digest of the file; `terms`: as they are meant for it; `notes`: what was taken as given."""

    label: str
    content: str
    terms: Terms
    rows: int
    good: pl.DataFrame
    offenders: pl.DataFrame
    notes: tuple[str, ...] = ()


def content_of(path: Path) -> str:
    """Digest of a file's bytes. DataError when it cannot be read."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise DataError("file", path.name, f"cannot be read: {error.strerror}", "give a file you may read") from None
    return digest.hexdigest()


def deliver(path: Path, terms: Terms) -> Delivery:
    """The rows of a file, by its kind. DataError when not one of them can be read."""
    return read_bars(path) if lean_kind(path) == "bars" else read_table(path, terms)


Context = Callable[[Terms, pl.DataFrame], tuple[pl.DataFrame, pl.DataFrame]]
"""Given the terms and bars of a delivery (symbol, ts), what else is known of their names: bars stored before them or
between them (symbol, ts, prices, volume, adjustment), and `ACTIONS` under the names of the bars."""


def take(path: Path, terms: Terms, context: Context | None = None, label: str = "") -> Taken:
    """Read and check a file, beside what is known already. DataError only when the file cannot be opened."""
    content = content_of(path)
    label = label or path.name
    try:
        delivery = replace(deliver(path, terms), label=label)
    except DataError as error:
        return whole_file(label, content, terms, error)
    return judged(delivery, content, context)


def judged(delivery: Delivery, content: str, context: Context | None = None) -> Taken:
    """A delivery's rows, told apart."""
    parsed, told = parse(delivery)
    found = [delivery.offences, told]
    left = _without(parsed, told)
    found.append(check_values(left))
    left = _without(left, found[-1])
    found.append(check_calendar(left, delivery.terms))
    left = _without(left, found[-1])
    before, actions = context(delivery.terms, left) if context is not None and left.height else (None, None)
    found.append(check_series(left, before, actions))
    every = joined(found)
    good = _without(left, found[-1]).select(BARS).sort("symbol", "ts")
    rows = delivery.rows.height
    offenders = _offenders(delivery, content, parsed, every)
    return Taken(delivery.label, content, delivery.terms, rows, good, offenders, delivery.notes)


def _without(rows: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    return rows.join(told.select("place"), on="place", how="anti", maintain_order="left") if told.height else rows


def _offenders(delivery: Delivery, content: str, parsed: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """The rows that fail a check, each once, with all its reasons."""
    if not told.height:
        return OFFENDERS.to_frame()
    by_place = told.group_by("place", maintain_order=True).agg(
        pl.col("check").unique(maintain_order=True).str.join("+").alias("checks"),
        pl.col("reason").str.join(SEPARATOR).alias("reasons"),
    )
    places = by_place["place"]
    raw = delivery.rows[places.cast(pl.Int64).to_list()]
    bars = by_place.select("place").join(parsed, on="place", how="left", maintain_order="left")
    readable = parsed["place"].is_in(places.implode())
    known = set(parsed["place"].filter(readable).to_list())
    rows = [
        text if place in known else None
        for place, text in zip(places.to_list(), raw_texts(bars.select(BARS)).to_list(), strict=True)
    ]
    lines = places.cast(pl.Int64) + delivery.first_line
    return by_place.with_columns(
        id=pl.Series([offender_id(content, line) for line in lines.to_list()], dtype=pl.String),
        source=pl.lit(delivery.label),
        content=pl.lit(content),
        line=lines,
        market=pl.lit(delivery.terms.market),
        interval=pl.lit(delivery.terms.interval),
        symbol=bars["symbol"],
        ts=bars["ts"],
        raw=raw_texts(raw),
        bar=pl.Series(rows, dtype=pl.String),
    ).select(OFFENDERS.names())


def whole_file(label: str, content: str, terms: Terms, error: DataError) -> Taken:
    """A file of which nothing can be read: one offender."""
    row = {
        "id": offender_id(content, 0),
        "source": label,
        "content": content,
        "line": 0,
        "market": terms.market,
        "interval": terms.interval,
        "checks": "file",
        "reasons": f"{error.problem}{SEPARATOR}{error.remedy}",
    }
    return Taken(label, content, terms, 0, PARSED.to_frame().select(BARS), pl.DataFrame([row], OFFENDERS))


def offender_id(content: str, line: int) -> str:
    """What a row in quarantine is called: the same row of the same file has the same id."""
    return blake2b(f"{content}:{line}".encode(), digest_size=6).hexdigest()


def offences_of(taken: Taken) -> dict[str, int]:
    """How many rows fail each check."""
    counts: dict[str, int] = {}
    for checks in taken.offenders["checks"].to_list():
        for check in checks.split("+"):
            counts[check] = counts.get(check, 0) + 1
    return dict(sorted(counts.items()))
