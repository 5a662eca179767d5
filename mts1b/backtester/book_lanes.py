"""The kernel of exact books: the life of a bar (`mts1b.backtester.books`) for a block of lanes and all names.

Generated from the expression and `mts1b.backtester.holdings`. All names of a bar come before the next bar, since a
portfolio's NAV binds them; lanes are innermost, and each thing a lane remembers is an array of its own, [S, lanes].
"""

from __future__ import annotations

from functools import lru_cache
from inspect import getsource
from typing import Any

from mts1b.backtester import holdings
from mts1b.backtester.lanes import FUSED_ENTRY, Kernel
from mts1b.backtester.trade_lanes import END, decide
from mts1b.quantkit.trades import TRADE_SUMS
from mts1b.strategy.codegen import HEADER, INLINE, function_sources
from mts1b.strategy.expr import Node
from mts1b.strategy.jit import load

TABLES = ("price", "mark", "tradable", "before", "last", "gone", "most", "depth")
"""Tables [T, S] of `mts1b.backtester.offered.Offered`; `mark` is what a holding is valued at when it is traded, `depth`
the impact of an order's root."""

TERMS = (
    *("rate", "per_share", "least", "half_spread", "band"),
    *("borrow_rate", "cash_rate", "floor", "capital"),
)
"""Scalars of the execution: commission as a fraction, a share, at least; half-spread and band as fractions; rates a
year; the lowest target; money of the portfolio or of one sleeve."""

SUMS = ("traded", "changed", "gross", "paid")

SLEEVE_SUMS = ("grown", "mean", "squares_about", "switched", "entries")
"""By name, [J, S, lanes]: worth of 1.0, mean of the returns and squares about it, changes of target, entries."""

STEPS = (holdings.ordered, holdings.capped, holdings.order_cost, holdings.fitted, holdings.growth)


@lru_cache(maxsize=64)
def books_of(root: Node, kernel: Kernel, sleeves: bool, rounds: int, trades: bool) -> Any:
    """The compiled loop for the tables of `kernel`; compiled once a process, cached on disk across processes.

    It takes the reads, which and takes of `Kernel.run`, TABLES, years [T], bounds, the delay in bars from a decision to
    its fill and TERMS; it writes returns [J, T * lanes] and adds to SUMS and, with `trades`, to TRADE_SUMS,
    [J, K, lanes] each; in `sleeves`, whose orders are cut to what they can pay in that many `rounds`, to SLEEVE_SUMS.
    """
    steps = "\n\n".join(INLINE + getsource(step) for step in STEPS)
    source = _source(root, kernel, sleeves, rounds, trades)
    return load(HEADER + function_sources([root]) + "\n\n" + steps + "\n\n" + FUSED_ENTRY + source).books


def _source(root: Node, kernel: Kernel, sleeves: bool, rounds: int, trades: bool) -> str:
    reads, takes, width = kernel.reads, kernel.takes, kernel.lanes
    summed = [*SUMS, *(TRADE_SUMS if trades else ())]
    by_name = ["held", "force", "waiting", *(f"kept{i}" for i in range(kernel.memories))]
    by_name += ["cash", "worth"] if sleeves else []
    by_name += ["profits", "ages"] if trades else []
    by_lane = ["nav", "money", "fees", "value", "exposed", "whole", *([] if sleeves else ["cash", "share", "unit"])]
    arguments = [
        *(f"a{i}" for i in range(len(reads))),
        "which",
        *(f"p{i}" for i in range(len(takes))),
        *(*TABLES, "years", "bounds", "delay", *TERMS, "returns", *summed),
        *(SLEEVE_SUMS if sleeves else ()),
    ]
    rows = [f"row{i} = a{i}[{'' if kernel.varies(n) else f'which[j, {i}], '}s]" for i, n in enumerate(reads)]
    memories = [f"memory{i} = kept{i}[s]" for i in range(kernel.memories)]
    bar = _sleeve_bar if sleeves else _portfolio_bar
    lines = [
        f"def books({', '.join(arguments)}):",
        "    size = price.shape[1]",
        *(f"    {name} = np.zeros((size, {width}))" for name in by_name),
        *(f"    {name} = np.zeros({width})" for name in by_lane),
        "    for j in range(returns.shape[0]):",
        "        net = returns[j]",
        *(f"        q{i} = p{i}[j]" for i in range(len(takes))),
        *(f"        {name}[:, :] = 0.0" for name in by_name),
        *(f"        {name}[:] = capital" for name in ("cash", *(["worth"] if sleeves else []))),
        f"        whole[:] = capital{' * size' if sleeves else ''}",
        "        for k in range(bounds.shape[0] - 1):",
        *(f"            sum_{name} = {name}[j, k]" for name in summed),
        "            for bar in range(max(bounds[k], delay), bounds[k + 1]):",
        "                t = bar - delay + 1",
        "                interest, fee_year = cash_rate * years[bar], borrow_rate * years[bar]",
        *_indented(4, bar(width, [*rows, *memories], decide(root, kernel), rounds, trades)),
        *_indented(4, _close(width, sleeves)),
    ]
    return "\n".join(lines) + "\n"


def _portfolio_bar(width: int, rows: list[str], decision: list[str], rounds: int, trades: bool) -> list[str]:
    """Value everything first, then trade it: a name's share is that of the NAV of all."""
    states = ["profit, age = profits[s], ages[s]"] if trades else []
    return [
        f"for l in range({width}):",
        "    cash[l] += cash[l] * interest",
        "    nav[l] = 0.0",
        "for s in range(size):",
        *_indented(1, ["held_s, waiting_s = held[s], waiting[s]", *states]),
        "    known, marked, gone_now = before[bar, s], mark[bar, s], gone[bar, s]",
        f"    for l in range({width}):",
        *_indented(2, ["money_l = cash[l]", "h = held_s[l]", *_accrue(trades)]),
        *_indented(2, ["cash[l] = money_l", "held_s[l] = h", "nav[l] += h * marked"]),
        f"for l in range({width}):",
        "    nav[l] += cash[l]",
        "    share[l] = (nav[l] if nav[l] > 0.0 else 0.0) / size",
        "    unit[l] = size / whole[l] if whole[l] > 0.0 else 0.0",
        *(f"    {name}[l] = 0.0" for name in ("money", "fees", "value", "exposed")),
        "for s in range(size):",
        *_indented(1, [*rows, *_bound(trades)]),
        f"    for l in range({width}):",
        *_indented(2, [*decision, "h = held_s[l]", *_trade("share[l]", rounds)]),
        *_indented(2, ["cash[l] -= order * filled + fee", *_book("unit[l]", trades)]),
    ]


def _sleeve_bar(width: int, rows: list[str], decision: list[str], rounds: int, trades: bool) -> list[str]:
    """Each name is an account of its own: one pass."""
    by_name = [f"{name}_s = {name}[j, s]" for name in SLEEVE_SUMS]
    return [
        "count = 1.0 / (bar + 1.0)",
        f"for l in range({width}):",
        *(f"    {name}[l] = 0.0" for name in ("nav", "money", "fees", "value", "exposed")),
        "for s in range(size):",
        *_indented(1, [*rows, *_bound(trades), "cash_s, worth_s = cash[s], worth[s]", *by_name]),
        "    known, gone_now = before[bar, s], gone[bar, s]",
        f"    for l in range({width}):",
        *_indented(2, ["money_l = cash_s[l] + cash_s[l] * interest", "h = held_s[l]", *_accrue(trades), *decision]),
        *_indented(2, ["nav_s = money_l + h * marked", "share_s = nav_s if nav_s > 0.0 else 0.0"]),
        *_indented(2, [*_trade("share_s", rounds), "money_l -= order * filled + fee", "cash_s[l] = money_l"]),
        *_indented(2, ["unit_s = 1.0 / worth_s[l] if worth_s[l] > 0.0 else 0.0", *_book("unit_s", trades)]),
        *_indented(2, ["nav[l] += nav_s", "value[l] += money_l", *_by_name()]),
    ]


def _bound(trades: bool) -> list[str]:
    """What is the same for all lanes of one name at one bar, and the rows of its states."""
    states = ["profit, age = profits[s], ages[s]", "known = before[bar, s]"] if trades else []
    return [
        "held_s, force_s, waiting_s = held[s], force[s], waiting[s]",
        "ready, filled, marked, after = tradable[bar, s], price[bar, s], mark[bar, s], last[bar, s]",
        "cap, deep = most[bar, s], depth[bar, s]",
        *states,
    ]


def _accrue(trades: bool) -> list[str]:
    """Borrow fees since the bar before, then the end of a name that is gone: changes `money_l`, `h`, `waiting_s`."""
    followed = ["profit[l] = 0.0 if ended else profit[l]", "age[l] = 0.0 if ended else age[l]"]
    return [
        "was = h * known",
        "money_l += (was if gone_now else 0.0) - (-was if was < 0.0 else 0.0) * fee_year",
        *(["ended = gone_now and h != 0.0", "result = profit[l]", *END, *followed] if trades else []),
        "h = 0.0 if gone_now else h",
        "waiting_s[l] = 0.0 if gone_now else waiting_s[l]",
    ]


def _trade(share: str, rounds: int) -> list[str]:
    """The `order` of one lane and its `fee`, from its `target`."""
    cost = "fee = order_cost(abs(order), filled, deep, rate, per_share, least, half_spread)"
    fit = ["order = fitted(order, fee, h, nav_s, filled, 1.0 if abs(target) < 1.0 else abs(target))", cost]
    return [
        "sum_gross[l] += 0.0 * target",  # a target that is not finite is found afterwards
        "target = target if target > floor else floor",
        "target = target if ready else force_s[l]",
        "switch = target != force_s[l]",
        "force_s[l] = target",
        f"order = ordered(target, switch, h, waiting_s[l], {share}, filled, band)",
        "order = order if ready else 0.0",
        "cut = 1.0 if abs(order) > cap else 0.0",
        "waiting_s[l] = cut if ready else waiting_s[l]",
        "order = capped(order, cap)",
        cost,
        *fit * rounds,
        "now = h + order",
        "held_s[l] = now",
        "sum_changed[l] += 1.0 if switch else 0.0",
        "money[l] += abs(order) * filled",
        "fees[l] += fee",
    ]


def _book(unit: str, trades: bool) -> list[str]:
    """Value what is held after the bar, and the trade it belongs to."""
    lines = ["value[l] += now * after", "exposed[l] += abs(now * after)"]
    if not trades:
        return lines
    return [
        *lines,
        "shares, owned = abs(order), abs(h)",
        "closing = (shares if shares < owned else owned) if h * order < 0.0 else 0.0",
        "part = fee * closing / shares if shares > 0.0 else 0.0",
        f"night, day = h * (marked - known) * {unit}, now * (after - marked) * {unit}",
        "ended = h != 0.0 and h * now <= 0.0",
        f"result = profit[l] + night - part * {unit}",
        *END,
        f"begun, more = day - (fee - part) * {unit}, profit[l] + night + day - fee * {unit}",
        "profit[l] = begun if ended else more",
        "age[l] = (0.0 if ended else age[l]) + (1.0 if now != 0.0 else 0.0)",
    ]


def _by_name() -> list[str]:
    """The return of one sleeve, and what is kept of all of them (Welford 1962)."""
    return [
        "sleeve = money_l + now * after",
        "earned = growth(sleeve, worth_s[l])",
        "worth_s[l] = sleeve",
        "grown_s[l] *= 1.0 + earned",
        "away = earned - mean_s[l]",
        "mean_s[l] += away * count",
        "squares_about_s[l] += away * (earned - mean_s[l])",
        "switched_s[l] += 1.0 if switch else 0.0",
        "entries_s[l] += 1.0 if (now != 0.0) & (h * now <= 0.0) else 0.0",
    ]


def _close(width: int, sleeves: bool) -> list[str]:
    """The end of a bar: the return of the whole, and what it traded of its NAV."""
    return [
        f"for l in range({width}):",
        f"    equity = value[l]{'' if sleeves else ' + cash[l]'}",
        f"    net[bar * {width} + l] = growth(equity, whole[l])",
        "    whole[l] = equity",
        "    sum_traded[l] += money[l] / nav[l] if nav[l] > 0.0 else 0.0",
        "    sum_paid[l] += fees[l] / nav[l] if nav[l] > 0.0 else 0.0",
        "    sum_gross[l] += exposed[l] / equity if equity > 0.0 else 0.0",
    ]


def _indented(depth: int, lines: list[str]) -> list[str]:
    return [" " * 4 * depth + line for line in lines]
