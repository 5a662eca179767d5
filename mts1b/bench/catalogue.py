"""The benchmarks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from mts1b.bench.eventbus import eventbus
from mts1b.bench.first_use import compile_times
from mts1b.bench.footprint import memory
from mts1b.bench.hotpath import hotpath
from mts1b.bench.kernel import kernel
from mts1b.bench.ladder import ladder, ladder_million
from mts1b.bench.lake import lake
from mts1b.bench.live_step import signal
from mts1b.bench.oms_rate import oms
from mts1b.bench.ratelimit import ratelimit
from mts1b.bench.result import BenchResult
from mts1b.bench.session import Session
from mts1b.bench.single import single, single_minute
from mts1b.bench.span_cost import spans
from mts1b.bench.strategies import ladder_strategies
from mts1b.bench.versus_vectorbt import ladder_vs_vectorbt
from mts1b.bench.walkforward import walkforward
from mts1b.foundation.errors import unknown_name

BENCHMARKS: Mapping[str, Callable[[Session], BenchResult]] = {
    "kernel": kernel,
    "ladder": ladder,
    "ladder-million": ladder_million,
    "ladder-strategies": ladder_strategies,
    "ladder-vs-vectorbt": ladder_vs_vectorbt,
    "single": single,
    "single-minute": single_minute,
    "walkforward": walkforward,
    "lake": lake,
    "signal": signal,
    "compile": compile_times,
    "memory": memory,
    "spans": spans,
    "ratelimit": ratelimit,
    "eventbus": eventbus,
    "hotpath": hotpath,
    "oms": oms,
}

REPORT = "report"


def chosen(name: str) -> list[str]:
    """The names to run: one, or `all`. UnknownNameError suggests the nearest."""
    if name == "all":
        return list(BENCHMARKS)
    if name not in BENCHMARKS:
        raise unknown_name("benchmark", name, (*BENCHMARKS, "all", REPORT))
    return [name]


def run(name: str, session: Session) -> BenchResult:
    """Run one; a quick result says that it is one, so that nobody takes it for a measurement."""
    result = BENCHMARKS[name](session)
    return replace(result, figures={**result.figures, "quick": 1.0}) if session.quick else result
