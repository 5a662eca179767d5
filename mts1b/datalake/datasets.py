"""The catalogue: every dataset of the lake, its columns and how they are stored.

Codecs are the source's: snappy for daily bars and options chains, zstd level 3 for intraday data and texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mts1b.datalake.columns import count, day, flag, instant, number, price, prose, text, texts, whole
from mts1b.datalake.definitions import MONTH, YEAR, Definition, Storage
from mts1b.datalake.intake.records import FILES, QUARANTINE
from mts1b.datalake.schema import ADJ_CLOSE, COLUMNS, INTERVAL_US, INTERVALS, VWAP

KNOWN = instant("known_ts", "from when on it was known")
SMALL = {"": Storage()}
BY_YEAR = {"": Storage(YEAR)}
TICKS = {"": Storage(MONTH, "zstd", 3, 131_072)}

CRYPTO_SCALE, FX_SCALE = 8, 6
"""Decimal places of prices: a satoshi; a tenth of a pip of a tenth."""


def _bars(domain: str, scale: int, about: str) -> Definition:
    """Bars of a market whose prices have no adjustments; volumes in any unit."""
    prices = tuple(price(name, scale=scale) for name in ("open", "high", "low", "close"))
    columns = (text("symbol"), instant("ts"), *prices, number("volume").where_known(), KNOWN.where_known())
    return replace(EQUITY_BARS, domain=domain, columns=columns, about=about)


EQUITY_BARS = Definition(
    "equities",
    "bars",
    (
        *COLUMNS,
        price(ADJ_CLOSE, "the source's close with splits and dividends in it").where_known(),
        price(VWAP, "volume-weighted").where_known(),
        KNOWN.where_known(),
    ),
    ("symbol", "ts"),
    INTERVALS,
    known="known_ts",
    known_after_us={name: length - 1 for name, length in INTERVAL_US.items()},  # a bar is known as its time ends
    selector="interval",
    about="prices and volumes of shares by interval",
)

EQUITY_TRADES = Definition(
    "equities",
    "trades",
    (
        text("symbol"),
        instant("ts"),
        whole("sequence", "tells apart trades of one microsecond"),
        price("price"),
        count("size", "shares"),
        text("exchange").where_known(),
        text("conditions").where_known(),
    ),
    ("symbol", "ts", "sequence"),
    TICKS,
    about="trades as printed",
)

EQUITY_QUOTES = Definition(
    "equities",
    "quotes",
    (
        text("symbol"),
        instant("ts"),
        whole("sequence", "tells apart quotes of one microsecond"),
        price("bid").where_known(),
        price("ask").where_known(),
        count("bid_size").where_known(),
        count("ask_size").where_known(),
        text("exchange").where_known(),
    ),
    ("symbol", "ts", "sequence"),
    TICKS,
    about="best bid and offer",
)

CORPORATE_ACTIONS = Definition(
    "equities",
    "corporate_actions",
    (
        text("symbol"),
        instant("ts", "ex-date, at 00:00"),
        text("kind", "split, dividend or delisting"),
        number("value", "new shares for an old one, or cash for a share; null: withdrawn").where_known(),
        text("currency").where_known(),
        KNOWN,
    ),
    ("symbol", "ts", "kind"),
    SMALL,
    known="known_ts",
    about="splits, dividends and delistings",
)

SYMBOL_HISTORY = Definition(
    "equities",
    "symbol_history",
    (
        text("symbol", "what the security was called"),
        instant("ts", "from when on"),
        text("security", "one name for ever"),
        instant("until", "to when, both included").where_known(),
        KNOWN,
    ),
    ("symbol", "ts"),
    SMALL,
    known="known_ts",
    about="renames and reused tickers",
)

INDEX_MEMBERSHIP = Definition(
    "equities",
    "index_membership",
    (
        text("symbol"),
        instant("ts", "from when on"),
        text("index"),
        instant("until", "to when, both included").where_known(),
        KNOWN,
    ),
    ("symbol", "ts", "index"),
    SMALL,
    known="known_ts",
    about="members of indices and universes by date",
)

SECTORS = Definition(
    "equities", "sectors", (text("symbol"), text("sector")), ("symbol",), SMALL, time=None, about="what names belong to"
)

BORROW = Definition(
    "equities",
    "borrow",
    (
        text("symbol"),
        instant("ts"),
        number("rate", "a year, as a fraction").where_known(),
        count("available", "shares").where_known(),
        flag("easy", "on the list of those easy to borrow").where_known(),
        KNOWN,
    ),
    ("symbol", "ts"),
    BY_YEAR,
    known="known_ts",
    about="what it costs to borrow shares, and how many there are",
)

FUNDAMENTALS = Definition(
    "equities",
    "fundamentals",
    (
        text("symbol"),
        instant("ts", "end of the period it is about"),
        text("item", "revenue, net_income, ..."),
        text("period", "FY, Q1 to Q4, or TTM"),
        number("value").where_known(),
        text("currency").where_known(),
        KNOWN,
    ),
    ("symbol", "ts", "item", "period"),
    BY_YEAR,
    known="known_ts",
    about="figures of companies as first told and as revised",
)

OPTION_CHAINS = Definition(
    "options",
    "chains",
    (
        text("symbol", "the underlying"),
        instant("ts"),
        day("expiry"),
        price("strike"),
        text("put_call", "P or C"),
        price("bid").where_known(),
        price("ask").where_known(),
        price("last").where_known(),
        count("bid_size").where_known(),
        count("ask_size").where_known(),
        count("volume").where_known(),
        count("open_interest").where_known(),
        number("implied_volatility").where_known(),
        price("underlying_price").where_known(),
    ),
    ("symbol", "ts", "expiry", "strike", "put_call"),
    {"": Storage(MONTH, "snappy", None, 32_768)},
    about="quotes of every contract on an underlying",
)

NEWS = Definition(
    "news",
    "articles",
    (
        instant("ts", "published"),
        text("source"),
        prose("id", "the source's own"),
        prose("headline"),
        prose("body").where_known(),
        texts("symbols", "what it is about").where_known(),
        prose("url").where_known(),
        KNOWN,
    ),
    ("ts", "source", "id"),
    {"": Storage(MONTH, "zstd", 3, 8_192)},
    known="known_ts",
    named="symbols",
    about="texts",
)

CRYPTO_BARS = _bars("crypto", CRYPTO_SCALE, "prices and volumes of coins by interval")
FX_BARS = _bars("fx", FX_SCALE, "prices of currency pairs by interval")


def _fine(definition: Definition, domain: str, scale: int) -> Definition:
    """Trades or quotes of a market with other decimals and fractions of units."""
    prices, sizes = {"price", "bid", "ask"}, {"size", "bid_size", "ask_size"}
    columns = []
    for column in definition.columns:
        if column.name in prices:
            column = replace(column, stored=price(column.name, scale=scale).stored)
        elif column.name in sizes:
            column = replace(number(column.name), required=column.required, optional=column.optional)
        columns.append(column)
    return replace(definition, domain=domain, columns=tuple(columns))


CATALOGUE: Mapping[str, Definition] = {
    definition.full_name: definition
    for definition in (
        EQUITY_BARS,
        EQUITY_TRADES,
        EQUITY_QUOTES,
        CORPORATE_ACTIONS,
        SYMBOL_HISTORY,
        INDEX_MEMBERSHIP,
        SECTORS,
        BORROW,
        FUNDAMENTALS,
        OPTION_CHAINS,
        NEWS,
        CRYPTO_BARS,
        _fine(EQUITY_TRADES, "crypto", CRYPTO_SCALE),
        _fine(EQUITY_QUOTES, "crypto", CRYPTO_SCALE),
        FX_BARS,
        _fine(EQUITY_QUOTES, "fx", FX_SCALE),
        QUARANTINE,
        FILES,
    )
}
"""Every dataset but research results, each of which has columns of its own, by `domain.name`."""
