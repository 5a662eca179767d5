"""The Ray cluster: nodes, memory, what is scheduled. Ray's own dashboard has the details."""

from __future__ import annotations

from mts1b.deploy.dashboards.build import Dashboard, Panel, Query

DASHBOARD = Dashboard(
    "mts1b-ray",
    "Ray",
    "Nodes of the cluster, from Ray's own metrics and its list of nodes (prom_metrics_service_discovery.json).",
    (
        (
            Panel(
                "Processor by node",
                "percent",
                (Query("max by (ip) (ray_node_cpu_utilization)", "{{ip}}"),),
                target=95.0,
            ),
            Panel(
                "Memory by node",
                "bytes",
                (
                    Query("max by (ip) (ray_node_mem_used)", "used {{ip}}"),
                    Query("max by (ip) (ray_node_mem_total)", "all {{ip}}"),
                ),
            ),
            Panel(
                "Disk by node",
                "percent",
                (Query("max by (ip) (ray_node_disk_utilization_percentage)", "{{ip}}"),),
                target=90.0,
            ),
        ),
        (
            Panel(
                "Memory of Ray's own processes",
                "bytes",
                (Query("sum by (Component) (ray_component_uss_bytes)", "{{Component}}"),),
                "Not shared with other processes (USS).",
            ),
            Panel(
                "Object store",
                "bytes",
                (Query("sum by (Location) (ray_object_store_memory)", "{{Location}}"),),
                "SPILLED means that the store is too small: ray.object_store_bytes.",
            ),
            Panel(
                "Resources",
                "short",
                (Query('sum by (Name, State) (ray_resources{Name=~"CPU|GPU"})', "{{Name}} {{State}}"),),
            ),
        ),
        (
            Panel("Tasks by state", "short", (Query("sum by (State) (ray_scheduler_tasks)", "{{State}}"),)),
            Panel("Nodes", "short", (Query("sum(ray_cluster_active_nodes)", "active"),)),
            Panel("Scrapes", "short", (Query('sum by (job) (up{job=~"ray|mts1b"})', "{{job}}"),)),
        ),
    ),
)
