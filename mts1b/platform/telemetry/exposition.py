"""This process's metrics as Prometheus reads them, on a port of loopback.

The only module that imports prometheus_client.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector as PrometheusCollector

from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.errors import StackError
from mts1b.platform.telemetry.gauges import Gauge, gauges
from mts1b.platform.telemetry.histogram import Histogram, upper_ns
from mts1b.platform.telemetry.spans import COLLECTOR, Collector
from mts1b.platform.telemetry.targets import LOOPBACK, live_targets, write_target

BOUNDS_S = (
    *(0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Buckets of durations as Prometheus gets them; the targets of the hot path are among them."""

OPERATION = "mts_operation_seconds"
FAILURES = "mts_operation_failures"


class Metrics(PrometheusCollector):
    """Durations and failures by operation, and every gauge."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def collect(self) -> Iterator[Any]:
        totals = self._collector.totals()
        durations = HistogramMetricFamily(OPERATION, "How long operations took.", labels=["operation"])
        failures = CounterMetricFamily(FAILURES, "Operations that ended with an error.", labels=["operation"])
        for name, histogram in sorted(totals.durations.items()):
            durations.add_metric([name], cumulative(histogram), histogram.total_ns / NS_PER_S)
            failures.add_metric([name], totals.failures.get(name, 0))
        yield durations
        yield failures
        yield from map(_family, gauges())


def cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    """How many durations are within each of BOUNDS_S, and how many there are. One near a bound may count above it."""
    held = sorted(histogram.counts.items())
    found, place, seen = [], 0, 0
    for bound_s in BOUNDS_S:
        while place < len(held) and upper_ns(held[place][0]) <= bound_s * NS_PER_S:
            seen += held[place][1]
            place += 1
        found.append((str(bound_s), float(seen)))
    return [*found, ("+Inf", float(histogram.count))]


def _family(one: Gauge) -> GaugeMetricFamily:
    samples = [(dict(labels), value) for labels, value in one.read()]
    names = sorted({name for labels, _ in samples for name in labels})
    family = GaugeMetricFamily(one.name, one.help, labels=names)
    for labels, value in samples:
        family.add_metric([labels.get(name, "") for name in names], value)
    return family


def registry(collector: Collector = COLLECTOR) -> CollectorRegistry:
    """What this process shows: operations, gauges, its own processor time and memory."""
    found = CollectorRegistry()
    found.register(Metrics(collector))
    ProcessCollector(registry=found)
    return found


def shown(collector: Collector = COLLECTOR) -> str:
    """The page that Prometheus would read now."""
    return generate_latest(registry(collector)).decode()


@dataclass(frozen=True, slots=True)
class Exposed:
    """A page that is being served. `target`: the file that tells Prometheus of it, if it was to be told."""

    port: int
    target: Path | None
    server: Any

    def close(self) -> None:
        if self.target is not None:
            self.target.unlink(missing_ok=True)
        self.server.shutdown()
        self.server.server_close()


def expose(targets: Path | None, instance: str, labels: dict[str, str], collector: Collector = COLLECTOR) -> Exposed:
    """Serve the page on a free port of loopback, and tell Prometheus by a file in `targets`."""
    try:
        server, _ = start_http_server(0, LOOPBACK, registry(collector))
    except OSError as error:
        raise StackError("metrics", LOOPBACK, str(error), "are there ports left?") from None
    target = None
    if targets is not None:
        live_targets(targets)
        target = targets / f"{collector.service}-{instance}.json"
        write_target(target, server.server_port, {"service": collector.service, "process": instance, **labels})
    return Exposed(server.server_port, target, server)
