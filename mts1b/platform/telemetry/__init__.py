"""What every operation took, in which trace: counted in every process, streamed when slow, kept by the minute.

Rooms need `span`, `operation`, `recorded`, `outgoing` and `received`; the rest serves those who look.
"""

from __future__ import annotations

from mts1b.platform.telemetry.histogram import SUB_BUCKETS_BITS, Histogram, bucket_of, upper_ns
from mts1b.platform.telemetry.recorder import STEPS_MAX, Recorder, StepLatency
from mts1b.platform.telemetry.spans import COLLECTOR, Collector, Operation, operation, recorded, span
from mts1b.platform.telemetry.trace import outgoing, received, traceparent

__all__ = [
    "COLLECTOR",
    "STEPS_MAX",
    "SUB_BUCKETS_BITS",
    "Collector",
    "Histogram",
    "Operation",
    "Recorder",
    "StepLatency",
    "bucket_of",
    "operation",
    "outgoing",
    "received",
    "recorded",
    "span",
    "traceparent",
    "upper_ns",
]
