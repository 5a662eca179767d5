"""One strategy, one set of values, an account of cash and whole shares: its trades and statistics.

One function behind `mts backtest`, `python jobs/backtest.py` and `ray job submit --working-dir . -- python
jobs/backtest.py`: on a cluster it runs where the data are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.console import run_as_program, settings_of, symbols_of
from jobs.universe import AdjustOption, AsOfOption, UniverseOption, adjust_of
from mts1b.foundation.errors import InputError, unknown_name
from mts1b.strategy import Strategy
from mts1b.strategy.files import find_strategy

if TYPE_CHECKING:
    from mts1b.backtester import Account, Run
    from mts1b.datalake.adjust import Adjust
    from mts1b.strategy.panel import Panel

SHOWN_TRADES = 10

LABELS: dict[str, tuple[str, str]] = {
    "equity_final": ("final equity", "{:,.2f}"),
    "equity_peak": ("equity peak", "{:,.2f}"),
    "total_return": ("return", "{:.2%}"),
    "annual_return": ("annual return", "{:.2%}"),
    "annual_volatility": ("annual volatility", "{:.2%}"),
    "cagr": ("CAGR", "{:.2%}"),
    "sharpe": ("Sharpe", "{:.3f}"),
    "sortino": ("Sortino", "{:.3f}"),
    "calmar": ("Calmar", "{:.3f}"),
    "max_drawdown": ("max drawdown", "{:.2%}"),
    "max_drawdown_days": ("longest drawdown", "{:.0f} days"),
    "exposure": ("bars in the market", "{:.2%}"),
    "costs_paid": ("costs paid", "{:,.2f}"),
    "borrow_paid": ("borrow fees paid", "{:,.2f}"),
    "interest_earned": ("interest earned", "{:,.2f}"),
    "trades": ("trades", "{:,.0f}"),
    "win_rate": ("win rate", "{:.2%}"),
    "best_trade": ("best trade", "{:.2%}"),
    "worst_trade": ("worst trade", "{:.2%}"),
    "profit_factor": ("profit factor", "{:.3f}"),
    "expectancy": ("mean trade", "{:.2%}"),
    "sqn": ("SQN", "{:.3f}"),
    "kelly": ("Kelly", "{:.3f}"),
}
"""What each statistic is called and how it is written."""

Bps = Annotated[float, typer.Option(help="Of the traded value.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", readable=False, help="Data directory of the lake.")]


def command(
    strategy: Annotated[str, typer.Argument(help="A name of the library, FILE.py, or FILE.py:NAME.")],
    param: Annotated[list[str] | None, typer.Option("--param", help="name=value. Once for each parameter.")] = None,
    symbols: Annotated[str, typer.Option(help="A,B,C or all.")] = "all",
    start: Annotated[str | None, typer.Option(help="First date, YYYY-MM-DD, included.")] = None,
    end: Annotated[str | None, typer.Option(help="Last date, YYYY-MM-DD, included.")] = None,
    interval: Annotated[str, typer.Option(help="Interval of the bars.")] = "daily",
    universe: UniverseOption = None,
    adjust: AdjustOption = "total",
    as_of: AsOfOption = None,
    capital: Annotated[float, typer.Option(help="Cash at the start.")] = 1_000_000.0,
    fill: Annotated[str, typer.Option(help="next-open, close, or vwap (of the next bar).")] = "next-open",
    fractional: Annotated[bool, typer.Option("--fractional", help="Fractions of shares.")] = False,
    long_only: Annotated[bool, typer.Option("--long-only", help="Targets below 0 count as 0.")] = False,
    sleeves: Annotated[bool, typer.Option("--sleeves", help="Each name has its own part of the capital.")] = False,
    band: Annotated[float, typer.Option(help="Distance from the target left alone, 0.1 or inf.")] = 0.0,
    leverage_max: Annotated[float, typer.Option(help="Gross exposure, as a multiple of NAV.")] = 1.0,
    commission_bps: Bps = 1.0,
    half_spread_bps: Bps = 2.0,
    commission_per_share: Annotated[float, typer.Option(help="In money.")] = 0.0,
    commission_min: Annotated[float, typer.Option(help="In money, for each order.")] = 0.0,
    impact: Annotated[float, typer.Option(help="Y of the square-root law; about 1 is usual.")] = 0.0,
    impact_bars: Annotated[int, typer.Option(help="Bars of the impact's mean volume and volatility.")] = 20,
    volume_share_max: Annotated[float, typer.Option(help="Most of a bar's volume for one order.")] = math.inf,
    borrow_rate: Annotated[float, typer.Option(help="On shorts, a fraction a year.")] = 0.0,
    cash_rate: Annotated[float, typer.Option(help="On cash, a fraction a year.")] = 0.0,
    delist_after_bars: Annotated[int, typer.Option(help="Bars missing in a row until a name is closed.")] = 20,
    keep_open: Annotated[bool, typer.Option("--keep-open", help="Do not close all at the last bar.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Run a strategy through an account of cash and whole shares: its trades and statistics."""
    from mts1b.backtester import Account  # arrays and kernels: for this command only

    account = Account(
        capital=capital,
        fill=fill.replace("-", "_"),
        whole_shares=not fractional,
        direction="long" if long_only else "both",
        capital_by="sleeve" if sleeves else "portfolio",
        band=band,
        leverage_max=leverage_max,
        commission_bps=commission_bps,
        half_spread_bps=half_spread_bps,
        commission_per_share=commission_per_share,
        commission_min=commission_min,
        impact=impact,
        impact_bars=impact_bars,
        volume_share_max=volume_share_max,
        borrow_rate=borrow_rate,
        cash_rate=cash_rate,
        delist_after_bars=delist_after_bars,
        close_at_end=not keep_open,
    )
    bars = Bars(symbols_of(symbols), interval, start, end, universe, adjust_of(adjust), as_of)
    _run(find_strategy(strategy), param or [], bars, account, as_json, data_dir)


@dataclass(frozen=True, slots=True)
class Bars:
    """The bars asked for."""

    symbols: tuple[str, ...]
    interval: str
    start: str | None
    end: str | None
    universe: str | None
    adjust: Adjust
    as_of: str | None


def _run(
    strategy: Strategy,
    params: Sequence[str],
    bars: Bars,
    account: Account,
    as_json: bool,
    data_dir: Path | None,
) -> None:
    from mts1b.research.single import RunRequest, panel_of, run_request

    request = RunRequest(
        strategy=strategy,
        values=read_params(params, strategy),
        symbols=bars.symbols,
        start=bars.start,
        end=bars.end,
        interval=bars.interval,
        account=account,
        universe=bars.universe,
        adjust=bars.adjust,
        as_of=bars.as_of,
        lake_root=str(settings_of(data_dir).lake_root),
    )
    run = run_request(request)
    facts = facts_of(strategy, run, panel_of(request))
    if as_json:
        typer.echo(json.dumps(facts, indent=1, allow_nan=False))
    else:
        show(facts)


def read_params(texts: Sequence[str], strategy: Strategy) -> dict[str, float]:
    """`["fast=10"]` as `{"fast": 10.0}`. InputError for another form, an unknown name or one given twice."""
    values: dict[str, float] = {}
    for text in texts:
        name, _, number = (part.strip() for part in text.partition("="))
        if name not in strategy.params and number:
            raise unknown_name("param", name, strategy.params)
        if name in values:
            raise InputError(f"param.{name}", number, "given twice", "name each parameter once")
        try:
            values[name] = float(number)
        except ValueError:
            raise InputError("param", text, "not of the form name=value", "write --param fast=10") from None
    return values


def facts_of(strategy: Strategy, run: Run, panel: Panel) -> dict[str, Any]:
    """The run as JSON-ready data; a number that is infinite or unknown is None."""
    from mts1b.backtester import metrics_of, statistics

    trades = run.trades
    days = [str(day) for day in panel.ts_ns.astype("datetime64[ns]").astype("datetime64[s]")]
    columns = zip(
        (run.symbols[name] for name in trades.name),
        (days[bar] for bar in trades.entry_bar),
        (days[bar] for bar in trades.exit_bar),
        *(getattr(trades, name).tolist() for name in ("quantity", "entry_price", "exit_price", "costs", "pnl")),
        trades.returns.tolist(),
        trades.is_open.tolist(),
        strict=True,
    )
    names = ("symbol", "entry", "exit", "quantity", "entry_price", "exit_price", "costs", "pnl", "return", "is_open")
    return {
        "strategy": strategy.name,
        "hash": strategy.hash,
        "params": dict(run.values),
        "symbols": len(run.symbols),
        "bars": len(days),
        "first": days[0],
        "last": days[-1],
        "data_version": panel.data_version,
        "account": run.account.to_dict(),
        "statistics": _finite(statistics(run)),
        "metrics": _finite(metrics_of(run)),
        "trades": [dict(zip(names, row, strict=True)) for row in columns],
    }


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def show(facts: dict[str, Any]) -> None:
    """The facts for a reader: statistics, then the last trades."""
    from rich.box import SIMPLE
    from rich.table import Column, Table

    from jobs.screen import screen

    console = screen()
    values = " ".join(f"{name}={value:g}" for name, value in facts["params"].items())
    console.print(
        f"{facts['strategy']} {values}: {facts['symbols']} symbols x {facts['bars']:,} bars, "
        f"{facts['first'][:10]} to {facts['last'][:10]}",
        soft_wrap=True,
    )
    table = Table("statistic", "value", box=SIMPLE)
    for name, (label, form) in LABELS.items():
        value = facts["statistics"][name]
        table.add_row(label, "infinite" if value is None else form.format(value))
    console.print(table)
    trades = facts["trades"]
    dates = (Column(label, no_wrap=True) for label in ("entry", "exit"))
    last = Table("symbol", *dates, "shares", "in at", "out at", "profit", "return", box=SIMPLE, padding=(0, 1, 0, 0))
    for trade in trades[-SHOWN_TRADES:]:
        last.add_row(
            trade["symbol"],
            trade["entry"][:10],
            "open" if trade["is_open"] else trade["exit"][:10],
            f"{trade['quantity']:,.0f}" if facts["account"]["whole_shares"] else f"{trade['quantity']:,.4f}",
            f"{trade['entry_price']:,.2f}",
            f"{trade['exit_price']:,.2f}",
            f"{trade['pnl']:,.2f}",
            f"{trade['return']:.2%}",
        )
    if trades:
        console.print(f"the last {min(len(trades), SHOWN_TRADES)} of {len(trades):,} trades:")
        console.print(last)


if __name__ == "__main__":
    run_as_program(command)
