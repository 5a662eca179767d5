"""Grafana's dashboards as code: each module gives one; a later system adds its own module to DASHBOARDS."""

from __future__ import annotations

from mts1b.deploy.dashboards import hot_path, ray_cluster, service_overview, sweeps
from mts1b.deploy.dashboards.build import Dashboard

DASHBOARDS: tuple[Dashboard, ...] = (
    service_overview.DASHBOARD,
    hot_path.DASHBOARD,
    sweeps.DASHBOARD,
    ray_cluster.DASHBOARD,
)
"""In the order Grafana lists them."""
