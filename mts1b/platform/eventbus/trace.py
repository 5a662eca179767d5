"""The W3C trace context in a message's headers: who asked for what is known across processes.

OpenTelemetry's interface does the work; without a tracer in the process the context of a message received is handed
on as it came.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

FIELDS = ("traceparent", "tracestate")

_propagator = TraceContextTextMapPropagator()


def outgoing() -> dict[str, str]:
    """`traceparent` and `tracestate` of the current span; empty outside any."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier


@contextmanager
def received(headers: Mapping[str, str]) -> Iterator[None]:
    """Spans begun in the body, and events published there, belong to the trace that `headers` name, if any."""
    carrier = {name.lower(): value for name, value in headers.items() if name.lower() in FIELDS}
    if not carrier:
        yield
        return
    token = context.attach(_propagator.extract(carrier))
    try:
        yield
    finally:
        context.detach(token)
