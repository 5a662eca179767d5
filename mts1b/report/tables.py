"""The report's tables and words, as HTML. Every text from outside is escaped here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from mts1b.report.data import FoldRow, LatencyRow, PaperSession, ReportData, SweepFigures

GATES = {
    1: "idempotency",
    2: "schema",
    3: "static",
    4: "position",
    5: "drawdown",
    6: "short",
    7: "CRO veto",
}
UNITS = ((1000.0, "s"), (1.0, "ms"), (1e-3, "µs"), (1e-6, "ns"))
"""Size in ms, and name."""
CONVINCING = 0.95
"""Deflated Sharpe from which a winner is called more than luck: the field's usual confidence."""


def tiles(data: ReportData) -> str:
    """The headline figures."""
    shown: list[tuple[str, str, str]] = []
    if data.sweep is not None:
        sweep = data.sweep
        shown += [
            ("Best Sharpe", f"{sweep.sharpe:.2f}", f"luck alone: {sweep.sharpe_by_luck:.2f}"),
            ("Deflated Sharpe", probability(sweep.deflated_sharpe), f"after {sweep.trials:,} trials"),
        ]
    if data.out_of_sample_sharpe is not None:
        folds = f"{len(data.folds)} folds" if data.folds else "walk-forward"
        shown.append(("Out-of-sample Sharpe", f"{data.out_of_sample_sharpe:.2f}", folds))
    if data.paper is not None:
        paper = data.paper
        change = f"{paper.nav[-1] / paper.nav_start - 1.0:+.1%}" if len(paper.nav) else "no session"
        shown.append(("Paper trading", change, f"{paper.orders:,} orders, {paper.fills:,} fills"))
    for row in data.latency:
        if row.step.startswith("Total"):
            shown.append(("Order path, p99", duration(row.p99_ms), f"target {_target(row)}"))
    return "".join(
        f'<div class="tile"><div class="label">{escape(label)}</div><div class="value">{escape(value)}</div>'
        f'<div class="note">{escape(note)}</div></div>'
        for label, value, note in shown
    )


def verdict(sweep: SweepFigures) -> str:
    """One sentence on how much of the best Sharpe is luck."""
    luck = f"the best of {sweep.trials:,} worthless trials would show about {sweep.sharpe_by_luck:.2f}"
    if not sweep.deflated_sharpe >= CONVINCING:
        judged = f"The winner's Sharpe of {sweep.sharpe:.2f} is not convincing evidence of skill"
    else:
        judged = f"The winner's Sharpe of {sweep.sharpe:.2f} is more than luck would explain"
    chance = f"the probability that it beats that is {probability(sweep.deflated_sharpe)} (deflated Sharpe ratio)"
    return f"<p><strong>{judged}</strong>: {luck}; {chance}, and {CONVINCING:.0%} is the usual bar.</p>"


def sweep_facts(sweep: SweepFigures) -> str:
    """What was swept, and what made the figures."""
    rows = [
        ("Strategy", sweep.strategy),
        ("Definition", sweep.formula),
        ("Winner", params(sweep.params)),
        ("Ladder", f"{sweep.trials:,} combinations × {sweep.symbols:,} names × {sweep.bars:,} bars"),
        ("Took", f"{sweep.seconds:,.1f} s"),
        ("Costs", sweep.costs),
        ("Data", sweep.data),
        ("Code", sweep.code),
    ]
    return facts(rows)


def fold_table(rows: Sequence[FoldRow]) -> str:
    """Each fold's windows, choice and Sharpe."""
    lines = [
        (
            f"{row.train_dates[0]} – {row.train_dates[1]}",
            f"{row.test_dates[0]} – {row.test_dates[1]}",
            params(row.params),
            f"{row.train_sharpe:.2f}",
            f"{row.test_sharpe:.2f}",
        )
        for row in rows
    ]
    heads = ("Chosen on", "Judged on", "Choice", "Sharpe in sample", "Sharpe out of sample")
    return _table(heads, map(_cells, lines), numeric=2)


def refusals(paper: PaperSession) -> str:
    """Orders refused at each risk gate."""
    gates = sorted({*range(1, 7), *paper.refusals})
    names = [(f"{gate} · {GATES.get(gate, 'unknown')}", f"{paper.refusals.get(gate, 0):,}") for gate in gates]
    total = sum(paper.refusals.values())
    return _table(("Risk gate", "Refused"), map(_cells, [*names, ("all", f"{total:,}")]), numeric=1)


def paper_facts(paper: PaperSession) -> str:
    """Counts of the session."""
    rows = [
        ("Sessions", f"{paper.sessions:,}"),
        ("Orders", f"{paper.orders:,}"),
        ("Fills", f"{paper.fills:,}"),
        ("Fees paid", f"{paper.fees:,.2f}"),
        ("NAV at the end", f"{paper.nav[-1]:,.2f}" if len(paper.nav) else "none"),
        ("Audit chain", f"{paper.audit_links:,} links verified"),
    ]
    return facts(rows)


def latency(rows: Sequence[LatencyRow]) -> str:
    """The hot path, step by step, against its targets."""
    lines = []
    for row in rows:
        texts = (row.step, f"{row.count:,}", duration(row.p50_ms), duration(row.p99_ms), _target(row))
        state = {None: "", True: '<span class="good">✓ within</span>', False: '<span class="bad">✗ over</span>'}
        lines.append(f"{_cells(texts)}<td>{state[row.within]}</td>")
    return _table(("Step", "Count", "p50", "p99", "Target (p99)", ""), lines, numeric=4, after=1)


def warnings(texts: Iterable[str]) -> str:
    """Each warning, in full."""
    return "".join(f"<li>{escape(text)}</li>" for text in texts)


def params(values: Mapping[str, float]) -> str:
    """`fast=12, slow=200`."""
    return ", ".join(f"{name}={value:g}" for name, value in values.items())


def duration(ms: float) -> str:
    """A duration in the unit that reads best; `not run` for NaN."""
    if math.isnan(ms):
        return "not run"
    size, unit = next(((size, unit) for size, unit in UNITS if ms >= size), UNITS[-1])
    return f"{ms / size:.3g} {unit}" if ms < 1000 * size else f"{ms / size:,.0f} {unit}"


def _target(row: LatencyRow) -> str:
    return "no target" if row.target_ms is None else f"≤ {duration(row.target_ms)}"


def probability(value: float) -> str:
    if not 0.0 <= value <= 1.0:
        return "unknown"
    return "> 99.9%" if value > 0.999 else f"{value:.1%}"


def facts(rows: Iterable[tuple[str, str]]) -> str:
    return (
        "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows if value) + "</dl>"
    )


def _cells(texts: Iterable[str]) -> str:
    return "".join(f"<td>{escape(text)}</td>" for text in texts)


def _table(heads: Sequence[str], rows: Iterable[str], numeric: int, after: int = 0) -> str:
    """A table whose last `numeric` columns before the final `after` are right-aligned."""
    first, last = len(heads) - numeric - after + 1, len(heads) - after
    head = "".join(
        f'<th class="{"number" if first <= place <= last else ""}">{escape(text)}</th>'
        for place, text in enumerate(heads, start=1)
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    classes = " ".join(f"n{place}" for place in range(first, last + 1))
    table = f'<table class="{classes}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll">{table}</div>'
