"""What a span costs where nobody listens, beside the OpenTelemetry SDK's."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mts1b.bench.result import BenchResult
from mts1b.bench.session import Session
from mts1b.foundation.errors import InvariantBroken
from mts1b.platform.telemetry import COLLECTOR, Operation, recorded, span

SPANS, RUNS = 20_000, 5
Tree = list[tuple[str, str, dict[str, object]]]
"""Name, name of the parent and attributes of each span, in the order they ended."""


def spans(session: Session) -> BenchResult:
    """Microseconds of one span with an attribute, of one recorded afterwards, and of a span of the SDK's.

    Nobody listens to either; ours is counted in a histogram all the same. InvariantBroken when the two do not tell of
    the same spans, parents and attributes where somebody does.
    """
    from opentelemetry.sdk.trace import TracerProvider

    tracer = TracerProvider().get_tracer("bench")
    if (ours := _our_tree()) != (theirs := _their_tree()):
        raise InvariantBroken("spans", ours, f"the SDK tells of {theirs}")
    count = session.size(SPANS, 200)

    def our_span() -> None:
        with span("bench.span", pool="primary"):
            pass

    def their_span() -> None:
        with tracer.start_as_current_span("bench.span", attributes={"pool": "primary"}):
            pass

    def afterwards() -> None:
        recorded("bench.recorded", 1_000)

    taken = {}
    for call in (our_span, afterwards, their_span):
        session.tell(call.__name__)
        seconds, _ = session.best_of(RUNS, _repeated(call, count))
        taken[call.__name__] = seconds / count * 1e6
    figures = {"span_us": taken["our_span"], "recorded_us": taken["afterwards"], "spans": float(count)}
    theirs_us = taken["their_span"]
    return BenchResult("spans", figures, {"otel_span_us": theirs_us, "ratio_to_otel": theirs_us / taken["our_span"]})


def _repeated(call: Callable[[], None], count: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(count):
            call()

    return run


def _our_tree() -> Tree:
    found: list[Operation] = []
    COLLECTOR.listen(found.append)
    try:
        with span("outer", a=1), span("inner", b="x"):
            pass
    finally:
        COLLECTOR.unlisten(found.append)
    return _tree((one.name, one.span_id, one.parent_id, dict(one.attributes)) for one in found)


def _their_tree() -> Tree:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("bench")
    with (
        tracer.start_as_current_span("outer", attributes={"a": 1}),
        tracer.start_as_current_span("inner", attributes={"b": "x"}),
    ):
        pass
    ended = kept.get_finished_spans()
    return _tree(
        (one.name, one.context.span_id, one.parent.span_id if one.parent else 0, dict(one.attributes or {}))
        for one in ended
    )


def _tree(ended: Iterable[tuple[str, int, int, dict[str, object]]]) -> Tree:
    listed = list(ended)
    names = {number: name for name, number, _, _ in listed}
    return [(name, names.get(parent, ""), attributes) for name, _, parent, attributes in listed]
