"""A dashboard as rows of panels, and as the JSON that Grafana loads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

DATASOURCE = {"type": "prometheus", "uid": "mts1b-prometheus"}
"""The data source that the provisioning files name."""

WINDOW = "$__rate_interval"
"""What Grafana puts in for a rate's window: wide enough for the interval of scrapes and the width of the picture."""

SCHEMA_VERSION = 41
GRID_COLUMNS, PANEL_ROWS = 24, 8


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and how its lines are called; `{{label}}` stands for a label's value."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `unit`: Grafana's name of it (`s`, `bytes`, `ops`). `target`: a line not to be crossed."""

    title: str
    unit: str
    queries: tuple[Query, ...]
    about: str = ""
    target: float | None = None
    kind: str = "timeseries"


@dataclass(frozen=True, slots=True)
class Dashboard:
    """`uid` is its address. `rows`: panels side by side, row under row."""

    uid: str
    title: str
    about: str
    rows: tuple[tuple[Panel, ...], ...]
    tags: tuple[str, ...] = field(default=("mts1b",))

    @property
    def panels(self) -> list[Panel]:
        return [panel for row in self.rows for panel in row]

    def to_json(self) -> dict[str, Any]:
        """Grafana's dashboard model."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.about,
            "tags": list(self.tags),
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "timezone": "utc",
            "refresh": "10s",
            "time": {"from": "now-1h", "to": "now"},
            "templating": {"list": []},
            "annotations": {"list": []},
            "panels": list(self._placed()),
        }

    def _placed(self) -> Iterator[dict[str, Any]]:
        number = 0
        for place, row in enumerate(self.rows):
            width = GRID_COLUMNS // len(row)
            for column, panel in enumerate(row):
                number += 1
                position = {"x": column * width, "y": place * PANEL_ROWS, "w": width, "h": PANEL_ROWS}
                yield {"id": number, "gridPos": position, **_panel(panel)}


def _panel(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    custom: dict[str, Any] = {}
    if panel.target is not None:
        steps.append({"color": "red", "value": panel.target})
        custom = {"thresholdsStyle": {"mode": "line"}} if panel.kind == "timeseries" else {}
    return {
        "title": panel.title,
        "description": panel.about,
        "type": panel.kind,
        "datasource": DATASOURCE,
        "targets": [_query(place, query) for place, query in enumerate(panel.queries)],
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "custom": custom, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
        if panel.kind == "timeseries"
        else {},
    }


def _query(place: int, query: Query) -> dict[str, Any]:
    return {
        "refId": "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[place],
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend,
        "range": True,
    }


def rate(metric: str, by: str, **labels: str) -> str:
    """How fast a counter grows, summed up by labels."""
    return f"sum by ({by}) (rate({metric}{_selector(labels)}[{WINDOW}]))"


def quantile(share: float, histogram: str, by: str, **labels: str) -> str:
    """A quantile of a histogram's durations, by labels."""
    return f"histogram_quantile({share:g}, {rate(f'{histogram}_bucket', f'le, {by}' if by else 'le', **labels)})"


def quantile_so_far(share: float, histogram: str, **labels: str) -> str:
    """A quantile of what ended lately; where nothing did, of all that ended.

    For what is over within a few scrapes: a series that begins with its last value has no rate.
    """
    everything = f"histogram_quantile({share:g}, sum by (le) ({histogram}_bucket{_selector(labels)}))"
    return f"({quantile(share, histogram, '', **labels)} >= 0) or {everything}"


def _selector(labels: dict[str, str]) -> str:
    inside = ", ".join(f"{name}{_matcher(value)}" for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def _matcher(value: str) -> str:
    return f'=~"{value}"' if "|" in value or "*" in value else f'="{value}"'
