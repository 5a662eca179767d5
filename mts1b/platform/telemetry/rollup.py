"""Durations by minute, service and operation: what a process says of itself, what is kept, what is ranked.

A process repeats the whole of the minute at hand until it is over: a message lost or sent twice changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from mts1b.foundation.clock import NS_PER_MS, NS_PER_S
from mts1b.foundation.errors import DataError, unknown_name
from mts1b.platform.telemetry.histogram import Histogram
from mts1b.platform.telemetry.spans import Totals

MINUTE_NS = 60 * NS_PER_S
OPERATIONS_PER_PART = 50
"""Operations in one message: with every bucket in use it stays below what a server takes (1 MB)."""


@dataclass(frozen=True, slots=True)
class Rollup:
    """What one process did in one minute. `instance` names the process; `minute`: minutes since 1970, UTC."""

    service: str
    instance: str
    minute: int
    totals: Totals


def packed(rollup: Rollup) -> list[bytes]:
    """The rollup as messages, in an order that stays when operations are added."""
    names = list(rollup.totals.durations)
    parts = [names[at : at + OPERATIONS_PER_PART] for at in range(0, len(names), OPERATIONS_PER_PART)]
    return [json.dumps(_plain(rollup, part), separators=(",", ":")).encode() for part in parts]


def _plain(rollup: Rollup, names: Sequence[str]) -> dict[str, Any]:
    held = rollup.totals
    return {
        "service": rollup.service,
        "instance": rollup.instance,
        "minute": rollup.minute,
        "operations": {name: [*_numbers(held.durations[name]), held.failures.get(name, 0)] for name in names},
    }


def _numbers(histogram: Histogram) -> tuple[int, int, list[int], list[int]]:
    """Total and longest; buckets in order, each as the distance from the one before; their counts."""
    buckets = sorted(histogram.counts)
    steps = [after - before for before, after in pairwise([0, *buckets])]
    return histogram.total_ns, histogram.longest_ns, steps, [histogram.counts[bucket] for bucket in buckets]


def unpacked(message: bytes) -> Rollup:
    """One part of a rollup. DataError when the message is none."""
    try:
        found = json.loads(message)
        durations, failures = {}, {}
        for name, (total_ns, longest_ns, steps, counts, failed) in found["operations"].items():
            filled = dict(zip(accumulate(steps), counts, strict=True))
            durations[name] = Histogram(filled, sum(counts), int(total_ns), int(longest_ns))
            failures[name] = int(failed)
        totals = Totals(durations, failures)
        return Rollup(str(found["service"]), str(found["instance"]), int(found["minute"]), totals)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError("rollup", message[:80], f"cannot be read ({error!r})", "who else publishes there?") from None


@dataclass(frozen=True, slots=True)
class Ranked:
    """One operation of one service, over all its processes and minutes. Durations in milliseconds, total in seconds.

    p50 and p99 are nearest-rank, at most 1.6 % above the true ones.
    """

    service: str
    operation: str
    count: int
    failures: int
    total_s: float
    mean_ms: float
    p50_ms: float
    p99_ms: float
    longest_ms: float


ORDERS = {"p99": lambda row: row.p99_ms, "total": lambda row: row.total_s}


def ranked(rollups: Iterable[Rollup], top: int, by: str = "p99") -> list[Ranked]:
    """The `top` operations, slowest first by their p99, or by the total time they took. UnknownNameError: another."""
    if by not in ORDERS:
        raise unknown_name("by", by, ORDERS)
    merged: dict[tuple[str, str], tuple[Histogram, list[int]]] = {}
    for rollup in rollups:
        for name, durations in rollup.totals.durations.items():
            histogram, failed = merged.setdefault((rollup.service, name), (Histogram(), [0]))
            histogram.merge(durations)
            failed[0] += rollup.totals.failures.get(name, 0)
    rows = [_row(service, name, histogram, failed) for (service, name), (histogram, (failed,)) in merged.items()]
    return sorted(rows, key=ORDERS[by], reverse=True)[:top]


def _row(service: str, name: str, histogram: Histogram, failures: int) -> Ranked:
    return Ranked(
        service=service,
        operation=name,
        count=histogram.count,
        failures=failures,
        total_s=histogram.total_ns / NS_PER_S,
        mean_ms=histogram.total_ns / histogram.count / NS_PER_MS if histogram.count else 0.0,
        p50_ms=histogram.percentile_ns(50) / NS_PER_MS,
        p99_ms=histogram.percentile_ns(99) / NS_PER_MS,
        longest_ms=histogram.longest_ns / NS_PER_MS,
    )
