"""Alert rules for Prometheus: what the performance notes say to look for, and what is down."""

from __future__ import annotations

from typing import Any

from mts1b.config import Settings
from mts1b.deploy.dashboards.hot_path import OPERATION, STEPS

Rule = dict[str, Any]


def rules(settings: Settings) -> dict[str, Any]:
    """The content of a rules file."""
    groups = {"services": _services(), "hot path": _hot_path(), "database": _database(settings), "ray": _ray()}
    return {"groups": [{"name": f"mts1b {name}", "rules": found} for name, found in groups.items()]}


def _rule(name: str, expr: str, lasting: str, severity: str, summary: str) -> Rule:
    return {
        "alert": name,
        "expr": expr,
        "for": lasting,
        "labels": {"severity": severity},
        "annotations": {"summary": summary},
    }


def _services() -> list[Rule]:
    failing = "sum by (service, operation) (rate(mts_operation_failures_total[5m])) > 0.1"
    return [
        _rule("MtsServiceDown", 'up{job="mts1b"} == 0', "1m", "critical", "{{ $labels.service }} shows no metrics"),
        _rule(
            "MtsOperationFails",
            failing,
            "5m",
            "warning",
            "{{ $labels.service }}: {{ $labels.operation }} fails {{ $value | humanize }} times a second",
        ),
    ]


def _hot_path() -> list[Rule]:
    return [_slow(*step) for step in STEPS]


def _slow(service: str, operation: str, title: str, target_s: float) -> Rule:
    where = f'service="{service}", operation="{operation}"'
    expr = f"histogram_quantile(0.99, sum by (le) (rate({OPERATION}_bucket{{{where}}}[5m]))) > {target_s:g}"
    summary = f"{title}: p99 is {{{{ $value | humanizeDuration }}}}, the target {1000 * target_s:g} ms"
    return _rule("MtsStepSlow", expr, "5m", "warning", summary) | {
        "labels": {"severity": "warning", "service": service, "operation": operation}
    }


def _database(settings: Settings) -> list[Rule]:
    size = settings.db.primary.pool_size
    return [
        _rule(
            "MtsPoolWaiting",
            'postgres_pool_waiting{pool="primary"} > 0',
            "5m",
            "warning",
            "{{ $value }} callers of {{ $labels.service }} wait for a connection: increase db.primary.pool_size",
        ),
        _rule(
            "MtsPoolIdle",
            f'min_over_time(postgres_pool_idle{{pool="primary"}}[6h]) >= {size}',
            "6h",
            "info",
            "all connections of {{ $labels.service }} are idle: decrease db.primary.pool_size",
        ),
    ]


def _ray() -> list[Rule]:
    return [
        _rule("MtsRayDown", 'up{job="ray"} == 0', "1m", "critical", "{{ $labels.instance }} of Ray shows no metrics"),
        _rule(
            "MtsRayMemory",
            "max by (ip) (ray_node_mem_used) / max by (ip) (ray_node_mem_total) > 0.9",
            "2m",
            "warning",
            "node {{ $labels.ip }} has {{ $value | humanizePercentage }} of its memory in use",
        ),
        _rule(
            "MtsRaySpills",
            'sum(ray_object_store_memory{Location="SPILLED"}) > 0',
            "2m",
            "warning",
            "the object store is too small: increase ray.object_store_bytes",
        ),
        _rule(
            "MtsSweepFails",
            'sum(increase(ray_mts1b_operation_failures_total{operation="sweep.chunks"}[10m])) > 0',
            "0m",
            "warning",
            "chunks of a sweep failed on the cluster",
        ),
    ]
