"""The benchmarks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mts1b.bench.kernel import kernel
from mts1b.bench.result import BenchResult
from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import unknown_name

BENCHMARKS: Mapping[str, Callable[[Clock], BenchResult]] = {"kernel": kernel}


def chosen(name: str) -> list[str]:
    """The names to run: one, or `all`. UnknownNameError suggests the nearest."""
    if name == "all":
        return list(BENCHMARKS)
    if name not in BENCHMARKS:
        raise unknown_name("benchmark", name, (*BENCHMARKS, "all"))
    return [name]
