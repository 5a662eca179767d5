"""How this project's processes are observed, from the settings and what is up."""

from __future__ import annotations

from pathlib import Path

from mts1b.config import Settings
from mts1b.deploy.endpoints import Endpoints, nats_source, read_running, with_given
from mts1b.platform.telemetry.service import Observation


def targets_dir(settings: Settings) -> Path:
    """Where each process that shows metrics puts a file for Prometheus."""
    return settings.run_dir / "prometheus" / "services"


def observation(settings: Settings, found: Endpoints | None = None, exposed: bool = True) -> Observation:
    """What processes are told. `found`: where the parts answer; read from the run directory if not handed in.

    `exposed` False: they come and go, or are Ray's, and show no page of metrics of their own.
    """
    if found is None:
        found = with_given(settings, read_running(settings) or Endpoints(data_dir=str(settings.data_dir)))
    wanted = settings.telemetry
    shown = exposed and wanted.exposition and settings.run_dir.is_dir()
    return Observation(
        bus=nats_source(settings, found),
        targets=str(targets_dir(settings)) if shown else None,
        slow_ms=wanted.slow_ms,
        retention_s=wanted.retention_hours * 3_600.0,
        retention_bytes_max=wanted.retention_bytes_max,
        traces_exporter=wanted.traces_exporter,
        metrics_exporter=wanted.metrics_exporter,
    )
