"""Spans and metrics to OpenTelemetry's exporters. The only module that imports its SDK, and only when one is asked for.

Our spans are lighter than the SDK's (2 microseconds where it takes 25) and carry ids of the same form, so they are
handed over when they have ended, with their ids, parents and times.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.errors import unknown_name
from mts1b.foundation.redaction import scrubbed
from mts1b.platform.telemetry.gauges import Gauge, gauges
from mts1b.platform.telemetry.spans import COLLECTOR, Collector, Operation

SCOPE = InstrumentationScope("mts1b")
DURATION = "mts.operation.duration"


@dataclass(frozen=True, slots=True)
class Export:
    """What was started; `close` sends what is buffered."""

    collector: Collector
    processor: SpanProcessor | None
    meters: MeterProvider | None
    listener: Any

    def close(self) -> None:
        self.collector.unlisten(self.listener)
        if self.processor is not None:
            self.processor.shutdown()
        if self.meters is not None:
            self.meters.shutdown()


def exporter(kind: str, name: str) -> Any:
    """A new exporter of spans (`kind` "traces") or metrics ("metrics") by the name it is installed under.

    OpenTelemetry's own mechanism: `console` comes with the SDK, `otlp` with opentelemetry-exporter-otlp; they read the
    OTEL_ variables themselves. UnknownNameError: none of that name is installed.
    """
    installed = {entry.name: entry for entry in entry_points(group=f"opentelemetry_{kind}_exporter")}
    if name not in installed:
        raise unknown_name(f"telemetry.{kind}_exporter", name, installed)
    return installed[name].load()()


def export_to(traces: str | None, metrics: str | None, instance: str) -> Export:
    """Hand this process's operations to exporters by their names. UnknownNameError: none of that name is installed."""
    spans = exporter("traces", traces) if traces else None
    return export(spans, exporter("metrics", metrics) if metrics else None, instance=instance)


def export(
    traces: SpanExporter | None = None,
    metrics: MetricExporter | MetricReader | None = None,
    collector: Collector = COLLECTOR,
    instance: str = "",
) -> Export:
    """Hand every operation from now on to the exporters given, in the background."""
    resource = Resource.create({"service.name": collector.service, "service.instance.id": instance})
    processor = None if traces is None else BatchSpanProcessor(traces)
    meters = None if metrics is None else MeterProvider([_reader(metrics)], resource)
    record = None if meters is None else _instruments(meters)

    def listener(operation: Operation) -> None:
        if processor is not None:
            processor.on_end(readable(operation, resource))
        if record is not None:
            seconds = operation.duration_ns / NS_PER_S
            record(seconds, {"operation": operation.name, "failed": bool(operation.error)})

    collector.listen(listener)
    return Export(collector, processor, meters, listener)


def _reader(metrics: MetricExporter | MetricReader) -> MetricReader:
    return metrics if isinstance(metrics, MetricReader) else PeriodicExportingMetricReader(metrics)


def _instruments(meters: MeterProvider) -> Any:
    """What records a duration. Gauges are shown from the first operation after they came on."""
    meter = meters.get_meter("mts1b")
    durations = meter.create_histogram(DURATION, unit="s", description="How long operations took.")
    shown: set[str] = set()

    def record(seconds: float, attributes: dict[str, Any]) -> None:
        durations.record(seconds, attributes)
        for one in gauges():
            if one.name not in shown:
                shown.add(one.name)
                meter.create_observable_gauge(one.name, [_observe(one)], description=one.help)

    return record


def _observe(one: Gauge) -> Any:
    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(value, dict(labels)) for labels, value in one.read()]

    return observe


def readable(operation: Operation, resource: Resource) -> ReadableSpan:
    """One of our operations as the SDK knows it once it has ended."""
    flags = TraceFlags(TraceFlags.SAMPLED)
    context = SpanContext(operation.trace_id, operation.span_id, is_remote=False, trace_flags=flags)
    parent = None
    if operation.parent_id:
        parent = SpanContext(operation.trace_id, operation.parent_id, is_remote=False, trace_flags=flags)
    return ReadableSpan(
        name=operation.name,
        context=context,
        parent=parent,
        resource=resource,
        attributes={name: _plain(scrubbed(value, name)) for name, value in operation.attributes.items()},
        kind=SpanKind.INTERNAL,
        instrumentation_scope=SCOPE,
        status=Status(StatusCode.ERROR, operation.error) if operation.error else Status(StatusCode.UNSET),
        start_time=operation.began_ns,
        end_time=operation.began_ns + operation.duration_ns,
    )


def _plain(value: object) -> str | bool | int | float:
    return value if isinstance(value, str | bool | int | float) else str(value)
