"""`mts stream`: one strategy, one set of values, over a history too long to be held: minutes of many names."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mts1b.cli.options import AsJson, DataDir
from mts1b.config import load_settings
from mts1b.foundation.clock import NS_PER_S, Clock, SystemClock, iso

if TYPE_CHECKING:
    from mts1b.research.stream import StreamRequest


def register(app: typer.Typer) -> None:
    """Add `mts stream`."""
    app.command("stream")(stream)


def stream(
    strategy: Annotated[str, typer.Argument(help="A name of the library, FILE.py, or FILE.py:NAME.")],
    param: Annotated[list[str] | None, typer.Option("--param", help="name=value. Once for each parameter.")] = None,
    symbols: Annotated[str, typer.Option(help="A,B,C or all.")] = "all",
    start: Annotated[str | None, typer.Option(help="First date, YYYY-MM-DD, included.")] = None,
    end: Annotated[str | None, typer.Option(help="Last date, YYYY-MM-DD, included.")] = None,
    interval: Annotated[str, typer.Option(help="Interval of the bars.")] = "1m",
    commission_bps: Annotated[float, typer.Option(help="Of the traded value.")] = 1.0,
    half_spread_bps: Annotated[float, typer.Option(help="Of the traded value.")] = 2.0,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """One combination as a sweep would judge it, read from the lake as it goes by: any length, bounded memory."""
    from jobs.backtest import read_params
    from jobs.console import symbols_of
    from mts1b.backtester import Execution
    from mts1b.research.stream import StreamRequest
    from mts1b.strategy.files import find_strategy

    chosen = find_strategy(strategy)
    request = StreamRequest(
        chosen,
        read_params(param or [], chosen),
        symbols_of(symbols),
        start,
        end,
        interval,
        Execution(commission_bps, half_spread_bps),
        str(load_settings(data_dir=data_dir).lake_root),
    )
    _show(facts_of(request, SystemClock()), as_json)


def facts_of(request: StreamRequest, clock: Clock) -> dict[str, Any]:
    """The run as JSON-ready data; a number that is infinite or unknown is None."""
    from mts1b.research.stream import stream_request

    began_ns = clock.monotonic_ns()
    found = stream_request(request)
    elapsed_s = (clock.monotonic_ns() - began_ns) / NS_PER_S
    return {
        "strategy": found.strategy,
        "params": dict(found.values),
        "symbols": len(found.symbols),
        "bars": len(found.ts_ns),
        "first": iso(int(found.ts_ns[0])),
        "last": iso(int(found.ts_ns[-1])),
        "data_version": found.data_version,
        "metrics": {name: value if math.isfinite(value) else None for name, value in found.metrics.items()},
        "elapsed_s": elapsed_s,
    }


def _show(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(facts, indent=1, allow_nan=False))
        return
    from rich.box import SIMPLE
    from rich.table import Table

    from jobs.screen import screen

    console = screen()
    values = " ".join(f"{name}={value:g}" for name, value in facts["params"].items())
    console.print(
        f"{facts['strategy']} {values}: {facts['symbols']} symbols x {facts['bars']:,} bars, {facts['first'][:10]} to "
        f"{facts['last'][:10]}, in {facts['elapsed_s']:.2f} s",
        soft_wrap=True,
    )
    table = Table("metric", "value", box=SIMPLE)
    for name, value in facts["metrics"].items():
        table.add_row(name, "infinite" if value is None else f"{value:,.6g}")
    console.print(table)
    console.print("a year is 252 bars here, as in every sweep: scale the yearly figures of intraday bars", style="dim")
