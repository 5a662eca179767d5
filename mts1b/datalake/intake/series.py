"""What bars tell of each other: spikes, prices that stand still, a volume in other units, splits that are not there.

Each is told only where the neighbours leave little doubt, since real markets do most things once: a move that stays
is a move, one that is gone the next day at once is a wrong price.
"""

from __future__ import annotations

import math

import polars as pl

from mts1b.datalake.actions import ACTIONS, SPLIT
from mts1b.datalake.intake.delivery import joined, offences
from mts1b.datalake.schema import PRICES, RAW, STATUS

SPIKE_LOG = math.log(1.5)
"""A close so far from both neighbours, which are close to each other, is no price."""

SPIKE_SIGMAS = 12.0
"""And so many times the usual move of the name."""

RANGE_FACTOR = 3.0
"""A high so many times above, or a low below, both open and close."""

STALE_BARS = 4
"""So many bars with equal prices and an equal volume above zero are one bar delivered again."""

UNIT_DAYS_BEFORE, UNIT_DAYS_AFTER = 20, 10
"""Days whose volumes are compared with each other at a break of units."""

UNIT_GAP_DAYS = 10
"""After so many days without a bar volumes are not compared: another company may have the ticker."""

UNIT_DAYS_LASTING = 60
"""And over so many days, as far as there are, the new level must last."""

UNIT_TOLERANCE = 0.17
"""How far, in powers of ten, the step may be from a whole power of ten."""

UNIT_MOVE_MAX = 0.08
"""Log of the largest move of the price on the day: what moves the price moves volumes too."""

SPLIT_TOLD = math.log(1.4)
"""Splits smaller than that are not to be told from a day's move."""


def check_series(bars: pl.DataFrame, before: pl.DataFrame | None, actions: pl.DataFrame | None) -> pl.DataFrame:
    """Offences of `bars`, seen with the stored bars `before` them (`symbol`, `ts`, prices, volume, status), and splits
    (`security` as the bars' symbols); None: none are known."""
    if not bars.height:
        return joined([])
    before = bars.clear() if before is None else before
    actions = ACTIONS.to_frame() if actions is None else actions
    own = bars.select("place", "symbol", "ts", *PRICES, "volume", STATUS)
    context = before.join(own, on=["symbol", "ts"], how="anti").with_columns(place=pl.lit(None, pl.UInt32))
    both = pl.concat([own, context.select(pl.col(name).cast(kind) for name, kind in own.schema.items())])
    both = both.sort("symbol", "ts")
    found = [check_outliers(both), check_stale(both), check_units(both), check_splits(both, actions)]
    return joined([told.filter(pl.col("place").is_not_null()) for told in found])


def check_outliers(bars: pl.DataFrame) -> pl.DataFrame:
    """Closes that spike for one bar, and highs and lows far from everything."""
    log = pl.col("close").log()
    wide = bars.with_columns(
        up=log - log.shift(1).over("symbol"),
        back=log.shift(-1).over("symbol") - log,
        across=log.shift(-1).over("symbol") - log.shift(1).over("symbol"),
    )
    usual = 1.4826 * pl.col("up").abs().median().over("symbol")
    least = pl.max_horizontal(pl.lit(SPIKE_LOG), SPIKE_SIGMAS * usual)
    apart = (pl.col("up").abs() > least) & (pl.col("back").abs() > least) & (pl.col("up") * pl.col("back") < 0)
    spike = wide.filter(apart & (pl.col("across").abs() < least / 2))
    reason = pl.format(
        "close {} is {} times the one before, and the next is back", "close", pl.col("up").exp().round(3)
    )
    far_high = pl.col("high") > RANGE_FACTOR * pl.max_horizontal("open", "close")
    far_low = pl.col("low") * RANGE_FACTOR < pl.min_horizontal("open", "close")
    return joined(
        [
            offences(spike, "outlier", reason),
            offences(bars.filter(far_high), "outlier", pl.format("high {} is far above open and close", "high")),
            offences(bars.filter(far_low), "outlier", pl.format("low {} is far below open and close", "low")),
        ]
    )


def check_stale(bars: pl.DataFrame) -> pl.DataFrame:
    """All but the first of a run of equal bars with trades."""
    values = (*PRICES, "volume")
    same = pl.all_horizontal((pl.col(name) == pl.col(name).shift(1)).over("symbol") for name in values)
    wide = bars.with_columns(same=(same & (pl.col("volume") > 0)).fill_null(False))
    wide = wide.with_columns(run=(~pl.col("same")).cum_sum().over("symbol"))
    wide = wide.with_columns(length=pl.len().over("symbol", "run"))
    stale = wide.filter(pl.col("same"), pl.col("length") >= STALE_BARS)
    return offences(stale, "stale", pl.format("one of {} bars with equal prices and volume", "length"))


def check_units(bars: pl.DataFrame) -> pl.DataFrame:
    """Bars from the day on which a name's volume is ten times (or a power of it) what it was, and stays so, at an
    unmoved price: a split by ten moves it."""
    day = pl.col("ts").dt.date().alias("day")
    days = bars.group_by(["symbol", day], maintain_order=True).agg(pl.col("volume").sum(), pl.col("close").last())
    days = days.filter(pl.col("volume") > 0).with_columns(level=pl.col("volume").log10())
    breaks = _breaks(days)
    if not breaks.height:
        return joined([])
    dated = bars.with_columns(day).sort("day", maintain_order=True)
    told = dated.join_asof(
        breaks.sort("since"), left_on="day", right_on="since", by="symbol", coalesce=False, check_sortedness=False
    ).filter(pl.col("power") != 0)
    times = pl.when(pl.col("power") > 0).then(pl.lit("times ")).otherwise(pl.lit("divided by "))
    size = (10.0 ** pl.col("power").abs()).cast(pl.Int64)
    return offences(told, "unit-break", pl.format("volume is {}{} from {} on", times, size, "since"))


def _breaks(days: pl.DataFrame) -> pl.DataFrame:
    """symbol, since and power of each step; power is 0 from the day on which the old units are back."""
    gap = pl.col("day").diff().dt.total_days().fill_null(0).over("symbol") > UNIT_GAP_DAYS
    days = days.with_columns(stretch=gap.cum_sum().over("symbol"))
    level, past, of = pl.col("level"), pl.col("level").shift(1), ("symbol", "stretch")
    wide = days.with_columns(
        before=past.rolling_median(UNIT_DAYS_BEFORE, min_samples=UNIT_DAYS_AFTER).over(of),
        top=past.rolling_max(UNIT_DAYS_BEFORE, min_samples=UNIT_DAYS_AFTER).over(of),
        bottom=past.rolling_min(UNIT_DAYS_BEFORE, min_samples=UNIT_DAYS_AFTER).over(of),
        after=level.reverse().rolling_median(UNIT_DAYS_AFTER).reverse().over(of),
        least=level.reverse().rolling_min(UNIT_DAYS_AFTER).reverse().over(of),
        most=level.reverse().rolling_max(UNIT_DAYS_AFTER).reverse().over(of),
        later=level.reverse().rolling_median(UNIT_DAYS_LASTING, min_samples=UNIT_DAYS_AFTER).reverse().over(of),
        jump=(level - past).over(of),
        move=pl.col("close").log().diff().abs().over(of),
    ).with_columns(step=pl.col("after") - pl.col("before"), lasting=pl.col("later") - pl.col("before"))
    power = pl.col("step").round()
    near = pl.max_horizontal((pl.col("step") - power).abs(), (pl.col("lasting") - power).abs()) < UNIT_TOLERANCE
    whole = (power.abs() >= 1) & near & (pl.col("move") < UNIT_MOVE_MAX)
    at_once = pl.col("jump") * power.sign() > power.abs() / 2
    apart = at_once & ((pl.col("least") > pl.col("top")) | (pl.col("most") < pl.col("bottom")))
    steps = wide.filter(whole & apart).with_columns(power=power.cast(pl.Int64))
    found: dict[str, list[tuple[object, int]]] = {}
    for symbol, since, step in steps.select("symbol", "day", "power").iter_rows():
        held = found.setdefault(symbol, [])
        now = held[-1][1] if held else 0
        if now == 0 or now + step == 0:
            held.append((since, now + step))
    flat = [(symbol, since, power) for symbol, held in found.items() for since, power in held]
    return pl.DataFrame(flat, {"symbol": pl.String, "since": pl.Date, "power": pl.Int64}, orient="row")


def check_splits(bars: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Bars before a known split whose prices have it in them though they are told raw, or not though told adjusted."""
    day = pl.col("ts").dt.date().alias("day")
    splits = actions.filter(pl.col("kind") == SPLIT, pl.col("value").log().abs() > SPLIT_TOLD)
    if not splits.height or not bars.height:
        return joined([])
    dated = bars.with_columns(day).with_columns(last=pl.col("close").shift(1).over("symbol"))
    first = dated.filter(pl.col("last").is_not_null()).sort("ts").select("symbol", "day", "close", "last", STATUS)
    splits = splits.rename({"security": "symbol"}).sort("ex")
    at = splits.join_asof(
        first,
        left_on="ex",
        right_on="day",
        by="symbol",
        strategy="forward",
        coalesce=False,
        check_sortedness=False,
    )
    move = (pl.col("close") / pl.col("last")).log()
    jumps = (move + pl.col("value").log()).abs() < move.abs()  # nearer to the split than to no move
    near = (pl.col("day") - pl.col("ex")).dt.total_days() <= 7
    wrong = at.filter(near, pl.when(pl.col(STATUS) == RAW).then(~jumps).otherwise(jumps))
    if not wrong.height:
        return joined([])
    told = dated.join(wrong.select("symbol", "ex", "value"), on="symbol").filter(pl.col("day") < pl.col("ex"))
    raw, other = pl.lit("told raw, but have"), pl.lit("told adjusted, but do not have")
    has = pl.when(pl.col(STATUS) == RAW).then(raw).otherwise(other)
    reason = pl.format("prices are {} the split of {} at {} in them", has, pl.col("value").round(4), "ex")
    return offences(told, "adjustment", reason)
