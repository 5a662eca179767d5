"""How a sweep trades, as options of its commands: those of `mts1b.backtester.Execution`, under the same names."""

from __future__ import annotations

from typing import Annotated

import typer

from mts1b.backtester import Execution

CommissionOption = Annotated[float, typer.Option("--commission-bps", help="Of the traded value.")]
SpreadOption = Annotated[float, typer.Option("--half-spread-bps", help="Of the traded value.")]
FillOption = Annotated[str, typer.Option("--fill", help="open (next), close, or vwap (of the next bar).")]
CapitalOption = Annotated[float, typer.Option("--capital", help="What costs in money and volumes are set against.")]
SleevesOption = Annotated[bool, typer.Option("--sleeves", help="Each name has its own part of the capital.")]
LongOnlyOption = Annotated[bool, typer.Option("--long-only", help="Targets below 0 count as 0.")]
BandOption = Annotated[float, typer.Option("--band", help="Drift from an unchanged target left alone, 0.1 or inf.")]
PerShareOption = Annotated[float, typer.Option("--commission-per-share", help="In money.")]
LeastOption = Annotated[float, typer.Option("--commission-min", help="In money, for each order.")]
ImpactOption = Annotated[float, typer.Option("--impact", help="Y of the square-root law; about 1 is usual.")]
ImpactBarsOption = Annotated[int, typer.Option("--impact-bars", help="Bars of its volume and volatility.")]
VolumeOption = Annotated[float, typer.Option("--volume-share-max", help="Most of a bar's volume for one order.")]
BorrowOption = Annotated[float, typer.Option("--borrow-rate", help="On shorts, a fraction a year.")]
CashOption = Annotated[float, typer.Option("--cash-rate", help="On cash, a fraction a year.")]
DelistOption = Annotated[float, typer.Option("--delist-after-bars", help="Bars missing in a row until it is closed.")]

DEFAULTS = Execution()


def capital_by(sleeves: bool) -> str:
    """The option of `Execution` that `--sleeves` stands for."""
    return "sleeve" if sleeves else "portfolio"
