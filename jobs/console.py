"""What the command-line ends of the jobs share: options in, tables out, errors as one line."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from jobs.screen import screen
from mts1b.backtester.choice import Choice
from mts1b.config import Settings, load_settings
from mts1b.foundation.errors import InputError, MtsError
from mts1b.research.accounting import Accounting
from mts1b.research.summary import SweepSummary, WalkForwardSummary

FOLDS_SHOWN_MAX = 20
"""Rows of a printed table of folds."""


def run_as_program(command: Callable[..., object]) -> None:
    """Run one typer command as this process; a known error becomes one line on stderr and its exit code."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    try:
        app()
    except MtsError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def settings_of(data_dir: Path | None) -> Settings:
    """The settings, under another data directory if one is given."""
    return load_settings(data_dir=data_dir)


def symbols_of(text: str) -> tuple[str, ...]:
    """`AAPL,MSFT` as a tuple; `all` as an empty one."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise InputError("symbols", text, "names no symbol", "write A,B,C or all")
    return () if names == ("all",) else names


def check_json_target(target: str | None) -> None:
    """InputError, before the work is done, when its result could not be written."""
    if target is not None and target != "-" and not Path(target).absolute().parent.is_dir():
        raise InputError("json", target, "its folder does not exist", "give another file")


def check_report_target(path: Path | None) -> None:
    """InputError, before the work is done, when the report could not be written."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise InputError("report", str(path), "is a folder, or its folder does not exist", "give another file")


def write_json(target: str | None, text: str) -> None:
    """Write a result to a file, or to standard output for `-`. InputError when the file cannot be written."""
    if target == "-":
        print(text)
    elif target is not None:
        try:
            Path(target).write_text(text + "\n")
        except OSError as error:
            raise InputError("json", target, f"cannot be written: {error.strerror}", "give another file") from None


def print_choice(choice: Choice, console: Console) -> None:
    """The source's rule as it applies here, the rates, and what was chosen."""
    table = Table("", "says", "here", "holds", box=SIMPLE, title="backend auto: the source's rule")
    for finding in choice.findings:
        speaks = {"cpu": "cpu is fine", "gpu": "gpu pays off"}[finding.backend]
        table.add_row(speaks, finding.rule, finding.here, "yes" if finding.holds else "no")
    console.print(table)
    rates = choice.rates
    console.print(f"cpu: {rates.cpu_per_s:.3g} bar-steps/s a core, {rates.cpu_from}", soft_wrap=True)
    console.print(f"gpu: {rates.gpu_per_s:.3g} bar-steps/s a device, {rates.gpu_from}", soft_wrap=True)
    times = ", ".join(f"{name} {seconds:.3g} s" for name, seconds in choice.estimates_s.items())
    console.print(f"estimated for the kernels: {times}", soft_wrap=True)
    console.print(f"chosen: {choice.backend}, because {choice.reason}", soft_wrap=True)


def print_sweep(summary: SweepSummary, rows: int = 5, console: Console | None = None) -> None:
    """The result of a sweep for a reader."""
    console = console or screen()
    console.print(
        f"{summary.strategy}: {summary.trials:,} combinations x {summary.symbols} symbols x {summary.bars:,} bars "
        f"in {summary.seconds:.1f} s ({summary.chunks_computed} chunks computed, {summary.chunks_skipped} found)",
        soft_wrap=True,
    )
    table = Table("rank", *summary.swept, "Sharpe", "CAGR", "max drawdown", "turnover", box=SIMPLE)
    for place, row in enumerate(summary.top[:rows], start=1):
        measured = (
            f"{row['sharpe']:.3f}",
            f"{row['cagr']:.2%}",
            f"{row['max_drawdown']:.2%}",
            f"{row['turnover']:.1f}",
        )
        table.add_row(str(place), *(f"{row[name]:g}" for name in summary.swept), *measured)
    console.print(table)
    fixed = " ".join(f"{name}={value:g}" for name, value in summary.best.items() if name not in summary.swept)
    if fixed:
        console.print(f"in all of them {fixed}", soft_wrap=True)
    console.print(
        f"best Sharpe {summary.sharpe:.3f}; {summary.trials:,} worthless trials would show "
        f"{summary.sharpe_by_luck:.3f}; deflated Sharpe ratio {summary.deflated_sharpe:.3f}",
        soft_wrap=True,
    )
    print_accounting(console, summary.accounting)
    for warning in summary.warnings:
        console.print(f"warning: {warning}", soft_wrap=True)
    if summary.walk_forward is not None:
        print_walk_forward(console, summary.walk_forward, summary.swept)
    console.print(f"table: {summary.table}; in the lake research.results, sweep {summary.key}", soft_wrap=True)


def print_accounting(console: Console, found: Accounting) -> None:
    """What the trials do to the best of them, a line for each question."""
    lines = [
        f"independent trials: about {found.independent_trials:,.1f} (effective rank of {found.trials_sampled} trials' "
        f"returns); so many worthless ones would show {found.sharpe_by_luck:.3f}; deflated Sharpe ratio "
        f"{found.deflated_sharpe:.3f}",
        f"probability that the best one's true Sharpe is above 0, had it been the only trial: "
        f"{found.probabilistic_sharpe:.3f}",
        f"bars needed to claim that with 95 % confidence: {_count(found.track_record_bars)}",
    ]
    if found.overfitting is not None:
        over = found.overfitting
        lines.append(
            f"probability of backtest overfitting {over.pbo:.3f}; the choice loses out of sample in {over.loss:.1%} "
            f"of {over.splits:,} splits (CSCV, {over.blocks} blocks, {over.trials:,} trials)"
        )
    test = found.superiority
    lines.append(
        "Hansen's test: not declared; to have it name a subset before the sweep: --spa name=values"
        if test is None
        else f"Hansen's test of {test.models} declared combinations against buy and hold: p = {test.p_value:.3f} "
        f"({test.lower:.3f} to {test.upper:.3f})"
    )
    for line in lines:
        console.print(line, soft_wrap=True)


def _count(bars: float | None) -> str:
    return "no number is enough" if bars is None else f"{math.ceil(bars):,}"


def print_walk_forward(console: Console, found: WalkForwardSummary, swept: tuple[str, ...]) -> None:
    """The folds with what they chose of the `swept` parameters, and the joined out-of-sample result."""
    judged_on = Column("judged on", no_wrap=True)
    chosen = Column("chosen", no_wrap=True)
    numbers = [Column(name, no_wrap=True, justify="right") for name in ("in", "out", "return")]
    table = Table("fold", judged_on, chosen, *numbers, box=SIMPLE, padding=(0, 1), title="Sharpe ratio by fold")
    for place, fold in enumerate(found.folds[:FOLDS_SHOWN_MAX], start=1):
        table.add_row(
            str(place),
            ", ".join(" to ".join(dates) for dates in fold.tests),
            " ".join(f"{name}={fold.params[name]:g}" for name in swept),
            f"{fold.train['sharpe']:.3f}",
            f"{fold.test['sharpe']:.3f}",
            f"{fold.test['total_return']:.2%}",
        )
    console.print(table)
    if len(found.folds) > FOLDS_SHOWN_MAX:
        console.print(f"and {len(found.folds) - FOLDS_SHOWN_MAX} folds more")
    if len(found.paths) > 1:
        sharpes = sorted(path.sharpe for path in found.paths)
        console.print(
            f"{len(sharpes)} paths: Sharpe {sharpes[0]:.3f} to {sharpes[-1]:.3f}, median "
            f"{statistics.median(sharpes):.3f}; below in equal money of all",
            soft_wrap=True,
        )
    console.print(
        f"out of sample: Sharpe {found.sharpe:.3f}, return {found.total_return:.2%}, max drawdown "
        f"{found.max_drawdown:.2%}, probability that the true Sharpe is above 0: {found.probabilistic_sharpe:.3f}",
        soft_wrap=True,
    )
