"""`mts1b-deploy open grafana|ray|report`, `mts1b-deploy dashboards`: what there is to look at, and where."""

from __future__ import annotations

import sys
import webbrowser
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mts1b.cli.options import DataDir
from mts1b.config import Settings, environment_value, load_settings
from mts1b.foundation.errors import InputError, StackError


class Page(StrEnum):
    """What can be opened."""

    grafana = "grafana"
    ray = "ray"
    report = "report"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("open")(open_page)
    app.command("dashboards")(dashboards)


def open_page(
    page: Annotated[Page, typer.Argument(help="The dashboards, Ray's own dashboard, or the report of the quickstart.")],
    data_dir: DataDir = None,
) -> None:
    """Print the address, and open it where there is a browser."""
    address = ADDRESSES[page](load_settings(data_dir=data_dir))
    print(address)
    if has_display():
        webbrowser.open(address)


def dashboards(
    out: Annotated[Path | None, typer.Option("--out", help="Folder; the run directory if not given.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Write the files that a Prometheus and a Grafana load: scrapes, alert rules, dashboards. `up` does so too."""
    from mts1b.deploy.observability import write_observability

    settings = load_settings(data_dir=data_dir)
    if out is None and not settings.run_dir.is_dir():
        raise StackError("data_dir", str(settings.data_dir), "holds no stack", "run `mts up`, or give --out FOLDER")
    try:
        written = write_observability(settings, out and out.absolute())
    except OSError as error:
        raise InputError("out", str(out), f"cannot be written ({error.strerror})", "give a folder of yours") from None
    for path in written:
        print(path)


def grafana_address(settings: Settings) -> str:
    """The Service Overview of the Grafana that the settings name. StackError says how to come to one."""
    from mts1b.deploy.dashboards.service_overview import DASHBOARD

    url = settings.telemetry.grafana_url
    if url is None:
        run = settings.run_dir
        remedy = (
            f"start `prometheus --config.file={run}/prometheus/prometheus.yml` and a Grafana with "
            f"GF_PATHS_PROVISIONING={run}/grafana/provisioning, then set it, as http://127.0.0.1:3000"
        )
        raise StackError("telemetry.grafana_url", None, "no Grafana is configured", remedy)
    return f"{url.rstrip('/')}/d/{DASHBOARD.uid}"


def ray_address(settings: Settings) -> str:
    """Ray's dashboard. StackError when the stack is not up or the cluster is somebody else's."""
    from mts1b.deploy.endpoints import endpoints

    found = endpoints(settings)
    if not found.dashboard_url:
        remedy = "its owner knows its dashboard" if found.ray_address else "run `mts up`"
        raise StackError("ray", found.ray_address or None, "has no dashboard of ours", remedy)
    return found.dashboard_url


def report_address(settings: Settings) -> str:
    """The quickstart's report. InputError when there is none yet."""
    path = settings.data_dir / "report.html"
    if not path.exists():
        raise InputError("report", str(path), "is not there", "run `mts quickstart`")
    return path.as_uri()


ADDRESSES = {Page.grafana: grafana_address, Page.ray: ray_address, Page.report: report_address}


def has_display() -> bool:
    """Whether a browser would have anywhere to appear; one in the terminal would take it over."""
    if sys.platform == "linux":
        return bool(environment_value("DISPLAY") or environment_value("WAYLAND_DISPLAY"))
    return True
