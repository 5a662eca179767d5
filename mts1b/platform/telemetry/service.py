"""A process under observation: what it says, where, and under which service's name."""

from __future__ import annotations

import atexit
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from mts1b.foundation.clock import NS_PER_MS
from mts1b.platform.rotation import Source
from mts1b.platform.telemetry.spans import COLLECTOR
from mts1b.platform.telemetry.wire import ROLLUPS

if TYPE_CHECKING:
    from mts1b.platform.eventbus.line import Line
    from mts1b.platform.telemetry.exposition import Exposed
    from mts1b.platform.telemetry.otel import Export
    from mts1b.platform.telemetry.reporter import Reporter

KEPT_STREAM = "mts-telemetry"


@dataclass(frozen=True, slots=True)
class Observation:
    """What the processes of a desk are told about being observed; it travels to each of them.

    `bus`: its URL, or where that is kept; "": nobody is told. `targets`: the directory that Prometheus watches, two
    below one of a running stack; None: no metrics are shown.
    """

    bus: str | Source = field(default="", repr=False)
    targets: str | None = None
    slow_ms: float = 50.0
    retention_s: float = 48 * 3_600.0
    retention_bytes_max: int = 256 << 20
    traces_exporter: str | None = None
    metrics_exporter: str | None = None

    async def line(self, name: str) -> Line:
        """Connect to the bus as `name`. StackError when it does not answer."""
        from mts1b.platform.eventbus.line import Kept, connect_line  # the client: not for every program that may ask

        kept = Kept(KEPT_STREAM, f"{ROLLUPS}.>", self.retention_s, self.retention_bytes_max)
        return await connect_line(self.bus, kept, name)


NOTHING = Observation()
"""Operations are counted in their process and told to nobody."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What runs in this process for those who look. `close` sends the rest."""

    service: str
    instance: str
    reporter: Reporter | None
    exposed: Exposed | None
    export: Export | None

    def close(self) -> None:
        for part in (self.reporter, self.exposed, self.export):
            if part is not None:
                part.close()


_observed: Observed | None = None
_lock = Lock()


def observe(service: str, plan: Observation, labels: Mapping[str, str] | None = None) -> Observed:
    """Have this process observed as `service`, once; a second call gives what the first one started.

    `labels` go with its metrics. StackError when no metrics can be shown; a bus that is away is waited for.
    """
    global _observed
    with _lock:
        if _observed is None:
            COLLECTOR.service = service
            _observed = _started(service, plan, dict(labels or {}))
            atexit.register(unobserve)
        return _observed


@contextmanager
def observing(service: str, plan: Observation) -> Iterator[None]:
    """This process observed as `service` during the body, unless it is already: for programs that do one thing."""
    before = _observed
    if before is None and plan != NOTHING:
        observe(service, plan)
    try:
        yield
    finally:
        if before is None:
            unobserve()


def unobserve() -> None:
    """Send the rest, and be observed no longer."""
    global _observed
    with _lock:
        ended, _observed = _observed, None
    if ended is not None:
        ended.close()


def _started(service: str, plan: Observation, labels: dict[str, str]) -> Observed:
    from mts1b.platform.telemetry.reporter import Reporter, instance_name

    instance = instance_name()
    exposed = export = reporter = None
    if plan.traces_exporter or plan.metrics_exporter:
        from mts1b.platform.telemetry.otel import export_to  # the SDK: 8 MB that nobody pays for who did not ask

        export = export_to(plan.traces_exporter, plan.metrics_exporter, instance)
    if plan.targets is not None and Path(plan.targets).parent.parent.is_dir():  # else on another machine
        from mts1b.platform.telemetry.exposition import expose

        exposed = expose(Path(plan.targets), instance, labels)
    if plan.bus:
        slow_ns = int(plan.slow_ms * NS_PER_MS)
        reporter = Reporter(lambda: plan.line(f"telemetry-{service}"), instance, slow_ns=slow_ns)
        reporter.start()
    return Observed(service, instance, reporter, exposed, export)
