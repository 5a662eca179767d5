"""From what research found to what a report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np
import polars as pl

from mts1b.foundation.errors import InputError
from mts1b.foundation.fill import Fill
from mts1b.report.data import Floats, FoldRow, GridMap, PaperSession, SweepFigures, SymbolFills, Times
from mts1b.research.summary import SweepSummary, WalkForwardSummary
from mts1b.strategy.panel import Panel

VALUES_SHOWN_MAX = 160
"""Values of a parameter on one side of the heat map; of more, evenly spaced ones are shown."""


def sweep_figures(found: SweepSummary, formula: str, costs: str, data: str = "") -> SweepFigures:
    """The figures of a sweep; `formula` and `costs` in words, `data` before the data's version."""
    return SweepFigures(
        strategy=found.strategy,
        formula=formula,
        params=found.best,
        trials=found.trials,
        symbols=found.symbols,
        bars=found.bars,
        seconds=found.seconds,
        sharpe=found.sharpe,
        deflated_sharpe=found.deflated_sharpe,
        sharpe_by_luck=found.sharpe_by_luck,
        costs=costs,
        data=f"{data} version {found.data_version}".strip(),
        code=found.code_version,
    )


def fold_rows(found: WalkForwardSummary) -> tuple[FoldRow, ...]:
    """The rows of the out-of-sample section."""
    return tuple(
        FoldRow(fold.train_dates, fold.test_dates, fold.params, fold.train["sharpe"], fold.test["sharpe"])
        for fold in found.folds
    )


def grid_map(table: pl.DataFrame, params: Sequence[str], best: Mapping[str, float]) -> GridMap | None:
    """Sharpe over the two parameters with the most values, the others at the winner's.

    `table`: a row for each combination, a column for each of `params` and `sharpe`. None when fewer than two
    parameters vary. InputError when the table lacks a column.
    """
    for name in (*params, "sharpe"):
        if name not in table.columns:
            raise InputError("table", name, "no such column", "give the result table of this sweep")
    table = table.select(pl.col(name).cast(pl.Float64) for name in (*params, "sharpe"))
    varied = sorted(params, key=lambda name: -table[name].n_unique())
    if len(varied) < 2 or table[varied[1]].n_unique() < 2:
        return None
    x_name, y_name = sorted(varied[:2], key=list(params).index)
    held = {name: best[name] for name in params if name not in (x_name, y_name)}
    cut = table.filter(pl.col(name) == value for name, value in held.items()) if held else table
    xs, ys = (_shown(table[name], best[name]) for name in (x_name, y_name))
    cut = cut.filter(pl.col(x_name).is_in(xs.tolist()), pl.col(y_name).is_in(ys.tolist()))
    sharpe = np.full((len(ys), len(xs)), np.nan)
    places = [np.searchsorted(values, cut[name].to_numpy()) for values, name in ((ys, y_name), (xs, x_name))]
    sharpe[places[0], places[1]] = cut["sharpe"].to_numpy()
    return GridMap(x_name, xs, y_name, ys, sharpe, (best[x_name], best[y_name]), held)


def paper_session(
    panel: Panel,
    nav: Sequence[tuple[int, Decimal]],
    nav_start: Decimal,
    fills: Sequence[Fill],
    orders: int,
    refusals: Mapping[int, int],
    audit_links: int,
) -> PaperSession:
    """The paper section: worth `nav` (time, value) at each session's close, `fills` on the closes of `panel`."""
    ts_ns = np.array([ts for ts, _ in nav], dtype=np.int64)
    inside = np.isin(panel.ts_ns, ts_ns)
    return PaperSession(
        ts_ns=ts_ns,
        nav=np.array([float(value) for _, value in nav]),
        nav_start=float(nav_start),
        sessions=len(nav),
        orders=orders,
        fills=len(fills),
        fees=float(sum((fill.fee for fill in fills), Decimal(0))),
        refusals=refusals,
        audit_links=audit_links,
        symbols=tuple(
            _symbol_fills(symbol, panel.ts_ns[inside], panel.close[inside, column], fills)
            for column, symbol in enumerate(panel.symbols)
        ),
    )


def _symbol_fills(symbol: str, ts_ns: Times, close: Floats, fills: Sequence[Fill]) -> SymbolFills:
    own = [fill for fill in fills if fill.symbol == symbol]
    return SymbolFills(
        symbol=symbol,
        ts_ns=ts_ns,
        close=close,
        fill_ts_ns=np.array([fill.ts_ns for fill in own], dtype=np.int64),
        fill_price=np.array([float(fill.price) for fill in own]),
        fill_quantity=np.array([float(fill.side.sign * fill.quantity) for fill in own]),
    )


def _shown(values: pl.Series, best: float) -> Floats:
    """The distinct values, thinned to what can be seen, the winner's always among them."""
    distinct = np.unique(values.to_numpy())
    step = -(-len(distinct) // VALUES_SHOWN_MAX)
    return np.union1d(distinct[::step], distinct[distinct == best])
