"""What a Prometheus and a Grafana need to observe a stack, written into its run directory.

    prometheus --config.file=RUN/prometheus/prometheus.yml
    grafana server, with GF_PATHS_PROVISIONING=RUN/grafana/provisioning in its environment

Neither is part of the stack: a desk has its own, or starts them so, as the user who started the stack (nobody else may
read its directory; `mts1b-deploy dashboards --out DIR` writes the same elsewhere).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from mts1b.config import Settings
from mts1b.deploy.alert_rules import rules
from mts1b.deploy.dashboards import DASHBOARDS
from mts1b.deploy.dashboards.build import DATASOURCE
from mts1b.deploy.endpoints import write_private
from mts1b.deploy.observation import targets_dir

SCRAPE_S = 5
PROMETHEUS_URL = "http://127.0.0.1:9090"
"""Where a Prometheus listens unless it is told otherwise."""

RAY_DISCOVERY = "prom_metrics_service_discovery.json"
"""Ray's own list of its nodes, which it keeps in its temporary directory."""


def ray_discovery(settings: Settings) -> Path:
    """The file in which Ray lists its nodes' metrics."""
    return settings.telemetry.ray_service_discovery or settings.data_dir / "ray" / "head" / RAY_DISCOVERY


def prometheus_configuration(settings: Settings, scrape_s: int = SCRAPE_S) -> dict[str, Any]:
    """Scrapes: this machine's services, and every node of the Ray cluster."""

    def watched(pattern: str) -> list[dict[str, Any]]:
        return [{"files": [pattern], "refresh_interval": f"{scrape_s}s"}]

    dropped = [{"action": "labeldrop", "regex": "otel_scope_.*"}]
    return {
        "global": {"scrape_interval": f"{scrape_s}s", "evaluation_interval": "15s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [
            {"job_name": "mts1b", "file_sd_configs": watched(str(targets_dir(settings) / "*.json"))},
            {
                "job_name": "ray",
                "file_sd_configs": watched(str(ray_discovery(settings))),
                "metric_relabel_configs": dropped,
            },
        ],
    }


def grafana_datasource(settings: Settings) -> dict[str, Any]:
    """The Prometheus that the dashboards ask."""
    source = {
        "name": "MTS1B Prometheus",
        "type": DATASOURCE["type"],
        "uid": DATASOURCE["uid"],
        "access": "proxy",
        "url": settings.telemetry.prometheus_url or PROMETHEUS_URL,
        "jsonData": {"timeInterval": f"{SCRAPE_S}s", "httpMethod": "POST"},
    }
    return {"apiVersion": 1, "datasources": [source]}


def grafana_provider(folder: Path) -> dict[str, Any]:
    """Where Grafana finds the dashboards."""
    provider = {
        "name": "mts1b",
        "folder": "MTS1B",
        "type": "file",
        "allowUiUpdates": True,
        "updateIntervalSeconds": 30,
        "options": {"path": str(folder), "foldersFromFilesStructure": False},
    }
    return {"apiVersion": 1, "providers": [provider]}


def files(settings: Settings, root: Path) -> dict[Path, str]:
    """Every file below `root`, by path."""
    prometheus, grafana = root / "prometheus", root / "grafana"
    provisioning, dashboards = grafana / "provisioning", grafana / "dashboards"
    found = {
        prometheus / "prometheus.yml": _yaml(prometheus_configuration(settings)),
        prometheus / "rules.yml": _yaml(rules(settings)),
        provisioning / "datasources" / "mts1b.yml": _yaml(grafana_datasource(settings)),
        provisioning / "dashboards" / "mts1b.yml": _yaml(grafana_provider(dashboards)),
    }
    for dashboard in DASHBOARDS:
        found[dashboards / f"{dashboard.uid}.json"] = json.dumps(dashboard.to_json(), indent=1) + "\n"
    return found


def write_observability(settings: Settings, root: Path | None = None) -> list[Path]:
    """Write them, below the run directory if nothing else is said; returns what was written."""
    written = files(settings, root or settings.run_dir)
    for path, text in written.items():
        for folder in reversed(path.parents):
            folder.mkdir(mode=0o700, exist_ok=True)  # `parents=True` would leave those between open to read
        write_private(path, text)
    return list(written)


def _yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, width=120)
