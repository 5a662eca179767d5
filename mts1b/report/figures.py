"""The report's charts, as plotly figures in plain dicts: data in, JSON-ready figure out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.clock import NS_PER_DAY, from_ns
from mts1b.quantkit import metrics
from mts1b.report.data import Curves, FoldRow, GridMap, PaperSession, SweepFigures, SymbolFills, TopCurves

Figure = dict[str, Any]

INK, MUTED, LINE = "#16202c", "#5b6773", "#e3e7ec"
WINNER, HOLD, BUY, SELL = "#1f6feb", "#8a94a0", "#0b8f6a", "#d2552b"
OTHERS = "rgba(31, 111, 235, 0.35)"
WINNER_FILL = "rgba(31, 111, 235, 0.18)"
LOSS_TO_GAIN = [[0.0, "#b5482a"], [0.25, "#eab59f"], [0.5, "#f5f5f2"], [0.75, "#8fb8ee"], [1.0, "#174ea6"]]
FAINT_TO_STRONG = [[0.0, "#f3f6fb"], [0.35, "#b4cff3"], [0.7, "#4c8be6"], [1.0, "#123f86"]]
FONT = {"family": "system-ui, -apple-system, Segoe UI, Roboto, sans-serif", "size": 13, "color": INK}
BINS = 60
PAD_NS = 2 * NS_PER_DAY
"""Room beside the first and last marker of a price chart."""


def equity(curves: Curves) -> Figure:
    """Worth of 1 invested, on a log scale, above the drawdown from its highest so far."""
    days = _days(curves.ts_ns)
    data = []
    for name, returns, colour in (
        ("Buy and hold", curves.buy_and_hold, HOLD),
        ("Winner", curves.winner, WINNER),
    ):
        line = {"color": colour, "width": 1.8}
        worth, drawdown = metrics.equity(returns), metrics.drawdown(returns)
        shared: Figure = {
            "type": "scatter",
            "mode": "lines",
            "x": days,
            "name": name,
            "line": line,
            "legendgroup": name,
        }
        data.append({**shared, "y": _numbers(worth), "hovertemplate": "%{y:.2f}"})
        filled = {"fill": "tozeroy", "fillcolor": WINNER_FILL} if name == "Winner" else {}
        below = {"y": _numbers(drawdown), "yaxis": "y2", "showlegend": False, "hovertemplate": "%{y:.1%}"}
        data.append({**shared, **below, **filled, "line": {**line, "width": 1.2}})
    layout = _layout(
        480,
        hovermode="x unified",
        yaxis=_axis("Worth of 1", type="log", domain=[0.36, 1.0], tickformat=".3~r", nticks=8),
        yaxis2=_axis("Drawdown", tickformat=".0%", domain=[0.0, 0.3], anchor="x"),
    )
    layout["xaxis"] |= {"anchor": "y2"}
    return {"data": data, "layout": layout}


def top(curves: TopCurves) -> Figure:
    """Worth of 1 for each of the best combinations, the winner above the others, on a log scale."""
    days = _days(curves.ts_ns)
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": days,
            "y": _numbers(worth),
            "name": label,
            "line": {"color": WINNER if place == 0 else OTHERS, "width": 1.8 if place == 0 else 0.8},
            "hovertemplate": f"{label}: %{{y:.2f}}<extra></extra>",
        }
        for place, (label, worth) in reversed(list(enumerate(zip(curves.labels, curves.worth, strict=True))))
    ]
    axis = _axis("Worth of 1", type="log", tickformat=".3~r", nticks=8)
    return {"data": data, "layout": _layout(340, showlegend=False, yaxis=axis)}


def heat_map(grid: GridMap) -> Figure:
    """Sharpe of each pair of parameter values, with the winner marked. Diverging about 0 where both signs occur."""
    low, high = (float(pick(grid.sharpe)) if np.isfinite(grid.sharpe).any() else 0.0 for pick in (np.nanmin, np.nanmax))
    both = low < 0.0 < high
    bound = max(-low, high)
    span = {"zmin": -bound, "zmax": bound} if both else {"zmin": low, "zmax": high}
    cells = {
        "type": "heatmap",
        "x": _numbers(grid.xs),
        "y": _numbers(grid.ys),
        "z": [_numbers(row, 4) for row in grid.sharpe],
        "colorscale": LOSS_TO_GAIN if both else FAINT_TO_STRONG,
        "colorbar": {"title": {"text": "Sharpe"}, "thickness": 12, "outlinewidth": 0, "tickformat": ".2f"},
        "hovertemplate": f"{grid.x_name} %{{x}}, {grid.y_name} %{{y}}<br>Sharpe %{{z:.3f}}<extra></extra>",
        "hoverongaps": False,
        **span,
    }
    best = {
        "type": "scatter",
        "mode": "markers",
        "x": [grid.best[0]],
        "y": [grid.best[1]],
        "marker": {"symbol": "star", "size": 15, "color": "#ffd23f", "line": {"color": INK, "width": 1.2}},
        "hovertemplate": f"winner: {grid.x_name} %{{x}}, {grid.y_name} %{{y}}<extra></extra>",
    }
    layout = _layout(420, showlegend=False, yaxis=_axis(grid.y_name, showgrid=False))
    layout["xaxis"] |= {"title": {"text": grid.x_name}}
    return {"data": [cells, best], "layout": layout}


def trials(grid: GridMap, sweep: SweepFigures) -> Figure:
    """How many trials had which Sharpe, the best that luck alone would show, and the winner's."""
    known = grid.sharpe[np.isfinite(grid.sharpe)]
    counts, edges = np.histogram(known, bins=BINS)
    middle = (edges[1:] + edges[:-1]) / 2
    bars = {
        "type": "bar",
        "x": _numbers(middle, 4),
        "y": counts.tolist(),
        "marker": {"color": "#b9c7d8"},
        "hovertemplate": "Sharpe about %{x:.2f}: %{y} trials<extra></extra>",
    }
    layout = _layout(420, bargap=0.04, showlegend=False, yaxis=_axis("Trials"))
    layout["xaxis"] |= {"title": {"text": "Sharpe"}}
    marks = ((sweep.sharpe_by_luck, "best by luck", SELL, 0.86), (sweep.sharpe, "winner", WINNER, 0.98))
    layout["shapes"] = [_upright(at, colour) for at, _, colour, _ in marks]
    layout["annotations"] = [_label(at, f"{name} {at:.2f}", colour, height) for at, name, colour, height in marks]
    layout["margin"]["t"] = 36
    return {"data": [bars], "layout": layout}


def folds(rows: list[FoldRow]) -> Figure:
    """Sharpe of each fold where the parameters were chosen, beside where they were judged."""
    names = [f"{row.test_dates[0]}<br>{row.test_dates[1]}" for row in rows]
    data = [
        {
            "type": "bar",
            "name": name,
            "x": names,
            "y": _numbers(np.array(values), 4),
            "marker": {"color": colour},
            "hovertemplate": "%{y:.2f}",
        }
        for name, values, colour in (
            ("In sample (chosen on)", [row.train_sharpe for row in rows], "#c3ccd6"),
            ("Out of sample (judged on)", [row.test_sharpe for row in rows], WINNER),
        )
    ]
    layout = _layout(340, barmode="group", bargap=0.35, hovermode="x unified", yaxis=_axis("Sharpe", zeroline=True))
    layout["xaxis"] |= {"type": "category", "showgrid": False}
    return {"data": data, "layout": layout}


def nav(paper: PaperSession) -> Figure:
    """What the fund was worth at each close."""
    trace = _line(paper.ts_ns, paper.nav, "NAV", WINNER)
    trace["hovertemplate"] = "%{x}: %{y:,.0f}<extra></extra>"
    return {"data": [trace], "layout": _layout(260, showlegend=False, yaxis=_axis("NAV", tickformat="~s"))}


def fills(name: SymbolFills) -> Figure:
    """Closes, with each fill at its time and price: up is a buy, down a sell."""
    data = [_line(name.ts_ns, name.close, "Close", HOLD)]
    days = np.array(_days(name.fill_ts_ns), dtype=object)
    for label, side, colour, symbol in (
        ("Buy", name.fill_quantity > 0, BUY, "triangle-up"),
        ("Sell", name.fill_quantity < 0, SELL, "triangle-down"),
    ):
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": label,
                "x": days[side].tolist(),
                "y": _numbers(name.fill_price[side], 8),
                "customdata": _numbers(np.abs(name.fill_quantity[side])),
                "marker": {"symbol": symbol, "size": 9, "color": colour, "line": {"color": "#ffffff", "width": 0.8}},
                "hovertemplate": f"{label.lower()} %{{customdata:,}} at %{{y:.4f}} on %{{x}}<extra></extra>",
            }
        )
    layout = _layout(260, yaxis=_axis("", tickformat=",.2~f"))
    if len(name.ts_ns):
        layout["xaxis"] |= {"range": [_days(name.ts_ns - PAD_NS)[0], _days(name.ts_ns + PAD_NS)[-1]]}
    layout["title"] = {"text": f"<b>{name.symbol}</b>", "x": 0.01, "xanchor": "left", "y": 0.97, "font": {"size": 14}}
    return {"data": data, "layout": layout}


def _line(ts_ns: NDArray[np.int64], values: NDArray[np.float64], name: str, colour: str) -> Figure:
    line = {"color": colour, "width": 1.6}
    return {"type": "scatter", "mode": "lines", "name": name, "x": _days(ts_ns), "y": _numbers(values, 8), "line": line}


def _layout(height: int, **extra: Any) -> Figure:
    legend = {"orientation": "h", "x": 1.0, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}
    return {
        "height": height,
        "font": FONT,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 64, "r": 20, "t": 34, "b": 48},
        "legend": legend,
        "hoverlabel": {"font": {**FONT, "size": 12}},
        "xaxis": {"gridcolor": LINE, "linecolor": LINE, "zeroline": False, "automargin": True},
        **extra,
    }


def _axis(title: str, **extra: Any) -> Figure:
    base = {"gridcolor": LINE, "linecolor": LINE, "zeroline": False, "zerolinecolor": MUTED, "automargin": True}
    return {"title": {"text": title}, **base, **extra}


def _upright(at: float, colour: str) -> Figure:
    line = {"color": colour, "width": 2, "dash": "dot"}
    return {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def _label(at: float, text: str, colour: str, height: float) -> Figure:
    font = {"color": colour, "size": 12}
    place = {"x": at, "y": height, "yref": "paper", "xanchor": "right", "xshift": -6, "showarrow": False}
    return {"text": f"<b>{text}</b>", "font": font, "bgcolor": "rgba(255,255,255,0.8)", **place}


def _days(ts_ns: NDArray[np.int64]) -> list[str]:
    """Times as plotly reads them: dates for daily bars, else to the second."""
    days = bool(np.all(ts_ns % NS_PER_DAY == 0))
    moments = [from_ns(int(ts)) for ts in ts_ns]
    return [moment.strftime("%Y-%m-%d" if days else "%Y-%m-%d %H:%M:%S") for moment in moments]


def _numbers(values: NDArray[np.float64], digits: int = 6) -> list[float | None]:
    """Numbers to so many significant digits, which keeps the page small; null for what is not finite."""
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in values.tolist()]
