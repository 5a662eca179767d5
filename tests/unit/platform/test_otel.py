"""Operations as OpenTelemetry knows them, through its own exporters in memory."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from mts1b.foundation.clock import NS_PER_MS, NS_PER_S
from mts1b.foundation.errors import UnknownNameError
from mts1b.foundation.redaction import remember
from mts1b.platform.telemetry import COLLECTOR, Collector, span
from mts1b.platform.telemetry.gauges import gauge, gauges
from mts1b.platform.telemetry.otel import DURATION, export, exporter


def test_spans_keep_their_ids_parents_times_and_errors() -> None:
    found = InMemorySpanExporter()
    started = export(found)
    with pytest.raises(ZeroDivisionError), span("submit", order="o1", lot=object) as outer, span("commit"):
        _ = 1 / 0
    started.close()
    with span("later"):
        pass
    commit, submit = found.get_finished_spans()
    assert [one.name for one in (commit, submit)] == ["commit", "submit"]
    assert submit.context.trace_id == commit.context.trace_id == outer.trace_id
    assert commit.parent is not None and commit.parent.span_id == submit.context.span_id == outer.span_id
    assert submit.parent is None and submit.context.trace_flags.sampled
    assert submit.start_time is not None and submit.end_time is not None and submit.end_time >= submit.start_time
    assert submit.status.status_code is StatusCode.ERROR and submit.status.description == "ZeroDivisionError"
    assert submit.attributes == {"order": "o1", "lot": "<class 'object'>"}
    assert submit.resource.attributes["service.name"] == COLLECTOR.service


def values(reader: InMemoryMetricReader) -> dict[str, list[object]]:
    data = reader.get_metrics_data()
    assert data is not None
    metrics = [metric for scope in data.resource_metrics[0].scope_metrics for metric in scope.metrics]
    return {metric.name: list(metric.data.data_points) for metric in metrics}


def test_durations_and_gauges_are_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    collector, reader = Collector(), InMemoryMetricReader()
    started = export(None, reader, collector)
    for took_ms in (10, 30):
        collector.ended("commit", took_ms * NS_PER_MS, (1, 1, 0), {})
    gauge("otel_test_waiting", "Callers that wait.", lambda: [({"pool": "primary"}, 3.0)])
    collector.ended("commit", NS_PER_S, (1, 1, 0), {}, ValueError)
    found = values(reader)
    counted = {(point.attributes["operation"], point.attributes["failed"]): point for point in found[DURATION]}  # type: ignore[attr-defined]
    assert counted["commit", False].count == 2 and counted["commit", False].sum == pytest.approx(0.04)
    assert counted["commit", True].count == 1
    (point,) = found["otel_test_waiting"]
    assert (point.value, point.attributes) == (3.0, {"pool": "primary"})  # type: ignore[attr-defined]
    started.close()
    assert "otel_test_waiting" in {one.name for one in gauges()}


def test_an_exporter_is_found_by_the_name_it_is_installed_under() -> None:
    assert type(exporter("traces", "console")).__name__ == "ConsoleSpanExporter"
    with pytest.raises(UnknownNameError, match="telemetry.traces_exporter='consol'.*did you mean: console"):
        exporter("traces", "consol")


def test_secrets_stay_here() -> None:
    remember("another-planted-secret")
    found = InMemorySpanExporter()
    started = export(found)
    with span("http.get", url="https://a/?apikey=abcdef", note="another-planted-secret", password="x"):
        pass
    started.close()
    shown = str(found.get_finished_spans()[0].attributes)
    assert "abcdef" not in shown and "planted" not in shown and "'x'" not in shown
