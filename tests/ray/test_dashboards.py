"""A real Prometheus over a stack at work: every query of every dashboard and every rule has an answer."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from actors.paper_session import Extent, fresh_fund, run_paper
from jobs.sweep import sweep
from mts1b.brokers.paper.matching import Rules
from mts1b.datalake import open_lake, sample_path
from mts1b.deploy.dashboards import DASHBOARDS
from mts1b.deploy.dashboards.build import WINDOW
from mts1b.deploy.observability import prometheus_configuration, write_observability
from mts1b.foundation.clock import SystemClock
from mts1b.research.request import SweepRequest
from tests.conftest import RunningStack
from tests.paper_market import FIRST, SESSIONS, small_plan

PROMETHEUS = shutil.which("prometheus")
CLOCK = SystemClock()
ACTORS = 5
RAY_SHOWS_WITHIN_S = 90

pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="no Prometheus here (Debian: apt-get install prometheus)")


class Prometheus:
    """One that runs."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/api/v1"

    def ask(self, path: str, **given: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/{path}?{urllib.parse.urlencode(given)}", timeout=30) as answer:
            found = json.load(answer)
        assert found["status"] == "success", found
        return found["data"]

    def is_ready(self) -> bool:
        try:
            return bool(self.ask("status/runtimeinfo"))
        except OSError:
            return False

    def scraped_since(self, moment_s: float, services: int) -> bool:
        """Whether so many services were scraped after the moment."""
        scraped = 'max by (service) (timestamp(up{job="mts1b"}) and up{job="mts1b"} == 1)'
        found = self.ask("query", query=f"count({scraped} > {moment_s})")["result"]
        return bool(found) and int(found[0]["value"][1]) >= services

    def has_data(self, expr: str) -> bool:
        """Whether the query had any value lately: a series ends with its process."""
        now_s = CLOCK.now_ns() / 1e9
        asked = {"start": str(now_s - 240), "end": str(now_s), "step": "2"}
        series = self.ask("query_range", query=expr.replace(WINDOW, "30s"), **asked)["result"]
        return any(value not in ("NaN", "+Inf") for one in series for _, value in one["values"])


@pytest.fixture(scope="module")
def prometheus(ray_stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It scrapes the test's stack every second, as the configuration that `up` wrote tells it to."""
    folder = tmp_path_factory.mktemp("prometheus")
    write_observability(ray_stack.settings, folder)
    configuration = folder / "prometheus" / "prometheus.yml"
    configuration.write_text(yaml.safe_dump(prometheus_configuration(ray_stack.settings, scrape_s=1)))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [str(PROMETHEUS), f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'data'}"]
    command.append(f"--web.listen-address=127.0.0.1:{port}")
    with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log, stdout=log) as process:
        running = Prometheus(port)
        try:
            wait_for(running.is_ready, f"see {folder / 'log'}", 60)
            yield running
        finally:
            process.terminate()
            process.wait(30)


def wait_for(condition: Any, otherwise: str, within_s: float) -> None:
    until_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until_s, otherwise
        time.sleep(0.5)


@pytest.fixture(scope="module")
def at_work(prometheus: Prometheus, ray_stack: RunningStack) -> Prometheus:
    """After a paper session and a sweep, watched."""
    settings = ray_stack.settings
    open_lake(settings.lake_root).equities.bars.ingest(sample_path())
    request = SweepRequest(strategy="sma_cross", grid=("fast=5:25:1", "slow=60:200:4"), symbols=("AAPL", "MSFT"))
    sweep(request, settings, CLOCK)
    plan = small_plan(fresh_fund(CLOCK))

    def wait_to_be_seen(done: int, _total: int) -> None:
        if done in (2, SESSIONS - 1):
            now_s = CLOCK.now_ns() / 1e9  # a rate needs a value from before the sessions between, and one from after
            wait_for(lambda: prometheus.scraped_since(now_s, ACTORS), "not every actor was scraped", 60)

    run_paper(settings, plan, Extent(FIRST, SESSIONS, 1), Rules(), CLOCK, wait_to_be_seen)
    return prometheus


QUERIES = [
    pytest.param(query.expr, id=f"{dashboard.uid}:{panel.title}:{query.legend}")
    for dashboard in DASHBOARDS
    for panel in dashboard.panels
    for query in panel.queries
]


@pytest.mark.parametrize("expr", QUERIES)
def test_every_query_has_data(at_work: Prometheus, expr: str) -> None:
    wait_for(lambda: at_work.has_data(expr), f"no data: {expr}", RAY_SHOWS_WITHIN_S)


def test_every_service_was_scraped_and_ray_too(at_work: Prometheus) -> None:
    found = {(one["service"], one["job"]) for one in at_work.ask("series", **{"match[]": 'up{job="mts1b"}'})}
    assert found == {(name, "mts1b") for name in ("marketdata", "strategy", "riskengine", "oms", "broker")}
    targets = at_work.ask("targets", state="active")["activeTargets"]
    assert [one["health"] for one in targets if one["labels"]["job"] == "ray"] == ["up"] * 3


def test_rules_are_loaded_and_evaluated(at_work: Prometheus) -> None:
    groups = at_work.ask("rules")["groups"]
    assert [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")] == []
    assert len(groups) == 4
