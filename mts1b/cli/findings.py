"""What the quickstart found: as figures for a program, as tables for a reader, as a report for a browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from actors.paper_session import OPENING_CASH, PaperResult
from jobs.console import print_sweep
from mts1b import backtester
from mts1b.backtester import Execution
from mts1b.cli.tables import latency_table, refusals_line
from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import InvariantBroken
from mts1b.marketdata.replay import on_tick
from mts1b.quantkit import metrics
from mts1b.report import data as pages
from mts1b.report.html import write_report
from mts1b.report.sections import fold_rows, grid_map, paper_session, sweep_figures
from mts1b.report.sweep_page import execution_words, top_curves
from mts1b.research.caveats import ADJUSTED, SURVIVORSHIP
from mts1b.research.curves import buy_and_hold_returns, returns_of
from mts1b.research.store import read_table
from mts1b.research.summary import SweepSummary
from mts1b.strategy import Strategy, get_strategy
from mts1b.strategy.panel import Panel


@dataclass(frozen=True, slots=True)
class Findings:
    """All results of one quickstart. `seconds`: wall time by stage."""

    panel: Panel
    execution: Execution
    sweep: SweepSummary
    paper: PaperResult
    audit_links: int
    seconds: Mapping[str, float]

    @property
    def winner_returns(self) -> pages.Floats:
        """Net returns a bar of the winner, [T]."""
        return returns_of(get_strategy(self.sweep.strategy), [self.sweep.best], self.panel, self.execution)[0]

    @property
    def paper_bars(self) -> slice:
        """The panel's rows that the paper session replayed."""
        first = int(np.searchsorted(self.panel.ts_ns, self.paper.nav[0][0]))
        return slice(first, first + self.paper.sessions)


def parity(panel: Panel, strategy: Strategy, values: Mapping[str, float], paper: PaperResult) -> int:
    """Compare the paper session's targets with the backtest's, bar by bar, to the bit; return the number of bars.

    Both decide on the panel's prices rounded to the tick, as the exchange takes them: adjusted ones lie off it.
    InvariantBroken names the first bar that differs.
    """
    wanted = backtester.targets(strategy, values, on_tick(panel))
    rows = np.searchsorted(panel.ts_ns, np.array(paper.decided_ns))
    differs = np.flatnonzero((wanted[rows] != paper.targets).any(axis=1))
    if len(differs):
        raise InvariantBroken("targets", int(paper.decided_ns[differs[0]]), "paper and backtest decide differently")
    return len(rows)


def settled_returns(found: Findings) -> tuple[float, float]:
    """Return of the paper fund and of the backtest over the same bars, from the first close the fund was invested at.

    Before that they cannot agree: the backtest comes in with positions, the fund with cash.
    """
    first, nav = found.paper_bars.start + 2, [float(value) for _, value in found.paper.nav]
    backtest = np.prod(1.0 + found.winner_returns[first : found.paper_bars.stop]) - 1.0
    return nav[-1] / nav[1] - 1.0, float(backtest)


def figures(found: Findings) -> dict[str, Any]:
    """Every printed figure, JSON-ready. `run` alone differs between two runs."""
    sweep, paper = found.sweep.to_dict(), found.paper.to_json()
    measured = {name: sweep.pop(name) for name in (*found.sweep.RUN_FIELDS, "table", "folder")}
    hot_path = {name: paper.pop(name) for name in ("latency", "elapsed_s", "fund_id")}
    hold = buy_and_hold_returns(found.panel)
    paper_return, backtest_return = settled_returns(found)
    paper |= {"return_once_invested": paper_return, "backtest_return_once_invested": backtest_return}
    return {
        "sweep": sweep | {"buy_and_hold_sharpe": float(metrics.sharpe(hold))},
        "paper": paper | {"targets_equal_backtest_bars": len(found.paper.decided_ns)},
        "run": {
            "sweep": measured,
            "paper": hot_path,
            "audit_links": found.audit_links,
            "seconds": dict(found.seconds),
        },
    }


def print_findings(found: Findings, console: Console) -> None:
    """The result for a reader."""
    print_sweep(found.sweep, console=console)
    hold = float(metrics.sharpe(buy_and_hold_returns(found.panel)))
    console.print(f"buy and hold: Sharpe {hold:.3f} (the sample is survivorship-biased)", highlight=False)
    paper = found.paper
    nav = paper.nav[-1][1]
    paper_return, backtest_return = settled_returns(found)
    console.print(
        f"paper: {paper.sessions} sessions, {paper.orders_total:,} orders, {len(paper.fills):,} fills, "
        f"NAV {nav:,.2f} ({nav / OPENING_CASH - 1:+.2%}); once invested {paper_return:+.2%}, the backtest "
        f"{backtest_return:+.2%}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(refusals_line(paper.refusals), highlight=False)
    console.print(f"parity: targets equal to the backtest's on {len(paper.decided_ns)} bars", highlight=False)
    console.print(latency_table(paper.latency))


def write_findings(found: Findings, path: Path, clock: Clock) -> Path:
    """The report, with its warnings."""
    sweep = found.sweep
    strategy = get_strategy(sweep.strategy)
    costs = execution_words(found.execution)
    walk_forward = sweep.walk_forward
    seen = [
        text for text in sweep.warnings if text not in (ADJUSTED, SURVIVORSHIP)
    ]  # the page says these two at length
    return write_report(
        path,
        pages.ReportData(
            title="MTS1B quickstart",
            made_ns=clock.now_ns(),
            sweep=sweep_figures(sweep, str(strategy.root), costs, "sample of 100 US names"),
            accounting=sweep.accounting,
            top=top_curves(sweep),
            curves=pages.Curves(found.panel.ts_ns, found.winner_returns, buy_and_hold_returns(found.panel)),
            grid=grid_map(read_table(sweep.table), list(strategy.params), sweep.best),
            folds=fold_rows(walk_forward) if walk_forward else (),
            out_of_sample_sharpe=walk_forward.sharpe if walk_forward else None,
            paper=paper_session(
                found.panel,
                found.paper.nav,
                OPENING_CASH,
                found.paper.fills,
                found.paper.orders_total,
                found.paper.refusals,
                found.audit_links,
            ),
            latency=tuple(
                pages.LatencyRow(row.title, row.count, row.p50_ms, row.p99_ms, row.target_ms)
                for row in found.paper.latency
            ),
            warnings=(pages.SURVIVORSHIP, pages.ADJUSTED, *seen, pages.PAPER, IN_SAMPLE, ALIKE),
        ),
    )


ALIKE = (
    "All combinations hold the same names long, and these rose: the deflated Sharpe ratio asks whether the winner "
    "beats the luck of choosing among them, not whether it beats holding the names. Compare it with buy and hold."
)

IN_SAMPLE = (
    "The winner was chosen on the whole period, the paper sessions among it: they show the order path, not "
    "performance. The out-of-sample folds are the honest part."
)
