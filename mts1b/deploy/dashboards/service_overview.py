"""What every service does, how fast, and what it holds."""

from __future__ import annotations

from mts1b.deploy.dashboards.build import Dashboard, Panel, Query, quantile, rate

OPERATION = "mts_operation_seconds"
POOL = 'postgres_pool_{}{{pool="primary"}}'

WITHIN_50_MS = rate(f"{OPERATION}_bucket", "service", le="0.05")

DASHBOARD = Dashboard(
    "mts1b-service-overview",
    "Service Overview",
    "Every service: operations, their durations and failures, processor, memory, database connections.",
    (
        (
            Panel("Operations", "ops", (Query(rate(f"{OPERATION}_count", "service"), "{{service}}"),)),
            Panel(
                "p99 of operations",
                "s",
                (Query(quantile(0.99, OPERATION, "service"), "{{service}}"),),
                "Of all operations of a service; waiting calls are none.",
            ),
            Panel(
                "Operations over 50 ms",
                "ops",
                (Query(f"{rate(f'{OPERATION}_count', 'service')} - {WITHIN_50_MS}", "{{service}}"),),
                "Live: mts mts1b-platform tail --slow-only --threshold-ms 50",
            ),
        ),
        (
            Panel(
                "Slowest ten by p99",
                "s",
                (Query(f"topk(10, {quantile(0.99, OPERATION, 'service, operation')})", "{{service}} {{operation}}"),),
                "The same without Prometheus: mts mts1b-platform metric --top 10 --since 1h",
            ),
            Panel(
                "Where the time goes",
                "percentunit",
                (Query(f"topk(10, {rate(f'{OPERATION}_sum', 'service, operation')})", "{{service}} {{operation}}"),),
                "Seconds spent in an operation for each second of the clock; operations inside others count in both.",
            ),
            Panel("Failures", "ops", (Query(rate("mts_operation_failures_total", "service"), "{{service}}"),)),
        ),
        (
            Panel(
                "Processor",
                "percentunit",
                (Query(rate("process_cpu_seconds_total", "service", job="mts1b"), "{{service}}"),),
            ),
            Panel(
                "Resident memory",
                "bytes",
                (Query('sum by (service) (process_resident_memory_bytes{job="mts1b"})', "{{service}}"),),
            ),
            Panel("Processes up", "short", (Query('sum by (service) (up{job="mts1b"})', "{{service}}"),)),
        ),
        (
            Panel(
                "Database connections",
                "short",
                (
                    Query(f"sum by (service) ({POOL.format('active')})", "active {{service}}"),
                    Query(f"sum by (service) ({POOL.format('idle')})", "idle {{service}}"),
                ),
                "Idle always at pool_size: decrease db.primary.pool_size.",
            ),
            Panel(
                "Waiting for a database connection",
                "short",
                (Query(f"sum by (service) ({POOL.format('waiting')})", "{{service}}"),),
                "Above 0 for long: increase db.primary.pool_size.",
                target=1.0,
            ),
        ),
    ),
)
