"""Dashboards, scrapes and rules: what Grafana and Prometheus need of them, and that they speak of what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from actors.latency import HOT_PATH
from actors.wiring import SERVICES as ACTOR_SERVICES
from mts1b.config import load_settings
from mts1b.deploy.dashboards import DASHBOARDS, hot_path
from mts1b.deploy.dashboards.build import Dashboard
from mts1b.deploy.observability import files, write_observability
from mts1b.deploy.services import SERVICES
from mts1b.platform.telemetry.exposition import BOUNDS_S

ROOT = Path(__file__).parents[3]
REFERENCE = {
    "type": "object",
    "required": ["type", "uid"],
    "properties": {"type": {"const": "prometheus"}, "uid": {"const": "mts1b-prometheus"}},
}
GRAFANA: dict[str, Any] = {
    "type": "object",
    "required": ["uid", "title", "schemaVersion", "panels", "time", "templating", "annotations", "refresh"],
    "properties": {
        "uid": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,40}$"},
        "title": {"type": "string", "minLength": 1},
        "schemaVersion": {"type": "integer", "minimum": 36},
        "refresh": {"type": "string", "pattern": "^[0-9]+[smh]$"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "time": {"type": "object", "required": ["from", "to"]},
        "panels": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["id", "type", "title", "gridPos", "datasource", "targets", "fieldConfig", "options"],
                "properties": {
                    "id": {"type": "integer", "minimum": 1},
                    "type": {"enum": ["timeseries", "stat", "table"]},
                    "title": {"type": "string", "minLength": 1},
                    "datasource": REFERENCE,
                    "gridPos": {
                        "type": "object",
                        "required": ["x", "y", "w", "h"],
                        "properties": {
                            "x": {"type": "integer", "minimum": 0, "maximum": 23},
                            "y": {"type": "integer", "minimum": 0},
                            "w": {"type": "integer", "minimum": 1, "maximum": 24},
                            "h": {"type": "integer", "minimum": 1},
                        },
                    },
                    "targets": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "type": "object",
                            "required": ["refId", "expr", "datasource", "legendFormat"],
                            "properties": {
                                "refId": {"type": "string", "pattern": "^[A-Z]$"},
                                "expr": {"type": "string", "minLength": 1},
                                "datasource": REFERENCE,
                            },
                        },
                    },
                    "fieldConfig": {
                        "type": "object",
                        "required": ["defaults", "overrides"],
                        "properties": {
                            "defaults": {
                                "type": "object",
                                "required": ["unit", "thresholds"],
                                "properties": {
                                    "unit": {"enum": ["s", "bytes", "ops", "short", "percent", "percentunit", "cps"]},
                                    "thresholds": {
                                        "type": "object",
                                        "required": ["mode", "steps"],
                                        "properties": {"steps": {"type": "array", "minItems": 1}},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}
"""What Grafana needs of a dashboard model to show it."""


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_grafana_can_load_it(dashboard: Dashboard) -> None:
    model = json.loads(json.dumps(dashboard.to_json()))
    jsonschema.validate(model, GRAFANA)
    panels = model["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells, f"{panel['title']} lies on another panel"
        cells |= own
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs)


def test_the_schema_finds_a_fault() -> None:
    model = DASHBOARDS[0].to_json()
    del model["panels"][0]["gridPos"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(model, GRAFANA)


def test_the_dashboards_of_the_notes_are_there() -> None:
    assert [dashboard.title for dashboard in DASHBOARDS] == ["Service Overview", "Hot path", "Sweeps", "Ray"]
    shown = " ".join(query.expr for panel in DASHBOARDS[0].panels for query in panel.queries)
    for state in ("active", "idle", "waiting"):
        assert f'postgres_pool_{state}{{pool="primary"}}' in shown


def test_the_hot_path_is_the_budget() -> None:
    """Names, titles and targets of the steps are those that the order path is measured by."""
    ours = [(operation, title, target_s) for _, operation, title, target_s in hot_path.STEPS]
    assert ours == [(budget.step, budget.title, budget.target_ms / 1_000) for budget in HOT_PATH if budget.target_ms]
    assert {service for service, *_ in hot_path.STEPS} <= set(ACTOR_SERVICES.values())
    assert {target_s for *_, target_s in hot_path.STEPS} <= set(BOUNDS_S), "a target between two buckets is a guess"


def test_services_are_where_they_are_said_to_be() -> None:
    assert [service.name for service in SERVICES] == [
        *("marketdata", "oms", "riskengine", "research", "GPUbacktester", "datalake")
    ]
    for service in SERVICES:
        assert (ROOT / service.code).is_file()
        role, _, fund = service.here.partition("-<fund>")
        assert service.kind != "actor" or ACTOR_SERVICES[role] == service.name, fund
    page = (ROOT / "docs" / "observability.md").read_text()
    for service in SERVICES:
        assert f"| {service.name} | {service.kind} | {service.here} | {service.begun_by} |" in page


def test_files_are_written_and_say_where_to_look(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, db={"primary": {"pool_size": 7}})
    written = {
        path.relative_to(tmp_path / "out").as_posix(): path for path in write_observability(settings, tmp_path / "out")
    }
    assert set(written) == {
        *("prometheus/prometheus.yml", "prometheus/rules.yml"),
        *("grafana/provisioning/datasources/mts1b.yml", "grafana/provisioning/dashboards/mts1b.yml"),
        *(f"grafana/dashboards/{dashboard.uid}.json" for dashboard in DASHBOARDS),
    }
    scrapes = yaml.safe_load(written["prometheus/prometheus.yml"].read_text())["scrape_configs"]
    found = {scrape["job_name"]: scrape["file_sd_configs"][0]["files"] for scrape in scrapes}
    assert found["mts1b"] == [f"{tmp_path}/run/prometheus/services/*.json"]
    assert found["ray"] == [f"{tmp_path}/ray/head/prom_metrics_service_discovery.json"]
    provider = yaml.safe_load(written["grafana/provisioning/dashboards/mts1b.yml"].read_text())["providers"][0]
    assert Path(provider["options"]["path"]) == written["grafana/dashboards/mts1b-ray.json"].parent
    source = yaml.safe_load(written["grafana/provisioning/datasources/mts1b.yml"].read_text())["datasources"][0]
    assert (source["uid"], source["url"]) == ("mts1b-prometheus", "http://127.0.0.1:9090")
    assert ">= 7" in written["prometheus/rules.yml"].read_text()
    assert {path.stat().st_mode & 0o777 for path in written.values()} == {0o600}


def test_settings_name_other_servers(tmp_path: Path) -> None:
    told = {"prometheus_url": "http://prom:9090", "ray_service_discovery": "/tmp/ray/nodes.json"}
    text = "".join(files(load_settings(data_dir=tmp_path, telemetry=told), tmp_path).values())
    assert "http://prom:9090" in text and "- /tmp/ray/nodes.json" in text


def test_queries_have_balanced_brackets_and_no_variables_but_grafanas() -> None:
    for dashboard in DASHBOARDS:
        for query in (query for panel in dashboard.panels for query in panel.queries):
            assert all(query.expr.count(a) == query.expr.count(b) for a, b in ("()", "[]", "{}"))
            assert set(re.findall(r"\$\w+", query.expr)) <= {"$__rate_interval"}
