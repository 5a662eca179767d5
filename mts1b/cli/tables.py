"""What several commands show of a paper session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.table import Column, Table

if TYPE_CHECKING:
    from actors.latency import LatencyRow

WITHIN = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}


def latency_table(rows: Sequence[LatencyRow]) -> Table:
    """The source's hot path with our columns beside it."""
    numbers = [Column(name, no_wrap=True, justify="right") for name in ("count", "p50 ms", "p99 ms", "target ms")]
    table = Table("hot path", *numbers, Column("within", no_wrap=True), box=SIMPLE, padding=(0, 1))
    for row in rows:
        target = "" if row.target_ms is None else f"{row.target_ms:g}"
        table.add_row(row.title, f"{row.count:,}", f"{row.p50_ms:.3f}", f"{row.p99_ms:.3f}", target, WITHIN[row.within])
    return table


def refusals_line(refusals: Mapping[int, int]) -> str:
    """Refusals by gate, on one line."""
    return "refusals: " + ", ".join(f"gate {gate}: {count}" for gate, count in refusals.items())
