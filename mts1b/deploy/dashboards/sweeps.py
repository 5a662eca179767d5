"""Sweeps on the cluster: how many combinations a second, how long chunks take, what fails."""

from __future__ import annotations

from mts1b.deploy.dashboards.build import Dashboard, Panel, Query, quantile_so_far, rate

CHUNK = {"operation": "sweep.chunks"}
OPERATION = "ray_mts1b_operation_seconds"

DASHBOARD = Dashboard(
    "mts1b-sweeps",
    "Sweeps",
    "Combinations computed by Ray's workers, through ray.util.metrics; series of workers that ended stay for a while.",
    (
        (
            Panel(
                "Combinations",
                "cps",
                (Query(rate("ray_mts1b_combinations_total", "strategy, backend"), "{{strategy}} {{backend}}"),),
            ),
            Panel(
                "Computed so far",
                "short",
                (Query("sum by (strategy, backend) (ray_mts1b_combinations_total)", "{{strategy}} {{backend}}"),),
            ),
        ),
        (
            Panel(
                "Tasks",
                "s",
                tuple(Query(quantile_so_far(share, OPERATION, **CHUNK), f"p{100 * share:g}") for share in (0.5, 0.99)),
                "One task computes a few neighbouring chunks. While none ends: of all since the cluster began.",
            ),
            Panel(
                "Tasks finished",
                "ops",
                (Query(rate(f"{OPERATION}_count", "operation", **CHUNK), "tasks"),),
            ),
            Panel(
                "Workers computing",
                "short",
                (Query(rate(f"{OPERATION}_sum", "operation", **CHUNK), "busy on average"),),
                "Seconds of computing for each second of the clock.",
            ),
        ),
        (
            Panel(
                "Processors in use",
                "short",
                (Query('sum by (State) (ray_resources{Name="CPU"})', "{{State}}"),),
            ),
            Panel(
                "Object store",
                "bytes",
                (
                    Query("sum(ray_object_store_used_memory)", "used"),
                    Query("sum(ray_object_store_available_memory)", "free"),
                ),
                "The panel lies here once, whatever the number of workers.",
            ),
        ),
    ),
)
