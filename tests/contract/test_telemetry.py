"""Operations on the real bus: slow ones within a second, all of them by the minute, and the commands that show them."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mts1b.cli import data, platform
from mts1b.deploy.observation import observation
from mts1b.foundation.clock import NS_PER_MS, NS_PER_S, SystemClock
from mts1b.foundation.errors import InputError, StackError
from mts1b.platform.telemetry import COLLECTOR, Collector, recorded, span
from mts1b.platform.telemetry.listening import rollups_since
from mts1b.platform.telemetry.reporter import Reporter
from mts1b.platform.telemetry.rollup import Ranked
from mts1b.platform.telemetry.service import Observation, observe, unobserve
from tests.conftest import RunningStack

CLOCK = SystemClock()
RUN = "from mts1b.cli.main import run; run()"


@pytest.fixture(scope="module")
def watched(stack: RunningStack) -> Observation:
    return observation(stack.settings)


@pytest.fixture
def observed(watched: Observation) -> Iterator[None]:
    """This process as a service that is watched."""
    observe("oms", watched)
    yield
    unobserve()
    COLLECTOR.service = "mts1b"


def shell(stack: RunningStack, line: str) -> subprocess.Popen[str]:
    """A command of the source, as written, on the test's stack."""
    program, *words = line.split()
    assert program == "mts"
    environment = {**os.environ, "MTS_DATA_DIR": str(stack.settings.data_dir)}
    command = [sys.executable, "-c", RUN, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_the_sources_tail_shows_a_slow_operation_within_a_second(stack: RunningStack, observed: None) -> None:
    with shell(stack, "mts mts1b-platform tail --slow-only --threshold-ms 50") as tail:
        assert tail.stdout is not None and tail.stderr is not None
        assert "following operations of at least 50 ms" in tail.stderr.readline()
        with span("oms_journal", fund="f1"):
            time.sleep(0.02)
        with span("broker_submit", fund="f1") as slow:
            time.sleep(0.06)
        ended_s = time.monotonic()
        line = tail.stdout.readline()
        took_s = time.monotonic() - ended_s
        tail.send_signal(signal.SIGINT)
        assert tail.wait(20) == 0 and tail.stdout.read() == ""
    assert took_s < 1.0
    assert "broker_submit" in line and f"{slow.trace_id:032x}" in line and '{"fund": "f1"}' in line


def test_the_sources_metric_ranks_the_last_hour(stack: RunningStack, observed: None) -> None:
    service, name = "oms", "slower_than_everything_" * 8  # of the whole session's operations it is the first
    recorded(name, 3_600 * NS_PER_S)
    unobserve()
    with shell(stack, "mts mts1b-platform metric --top 10 --since 1h") as metric:
        table, problem = metric.communicate(timeout=60)
    assert metric.returncode == 0, problem
    head, _line, first = [line.split() for line in table.splitlines() if line.strip()][:3]
    assert " ".join(head) == "service operation count failed total s mean ms p50 ms p99 ms longest ms"
    assert first[:3] == [service, name, "1"] and first[-1] == "3,600,000.00"


def test_every_operation_is_streamed_to_who_asks_for_all(
    stack: RunningStack, observed: None, capsys: pytest.CaptureFixture[str]
) -> None:
    done = threading.Event()

    def work() -> None:
        while not done.wait(0.01):
            with span("quick", n=1):
                pass

    working = threading.Thread(target=work)
    working.start()
    try:
        platform.tail(limit=3, service="oms", seconds=20, data_dir=stack.settings.data_dir, as_json=True)
    finally:
        done.set()
        working.join()
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["service"], one["operation"], one["attributes"]) for one in found] == [("oms", "quick", {"n": 1})] * 3


def test_what_a_command_did_to_the_lake_is_kept(stack: RunningStack, capsys: pytest.CaptureFixture[str]) -> None:
    """The command has ended; its operations are ranked with those of the actors."""
    data.ingest(data_dir=stack.settings.data_dir, as_json=True)
    capsys.readouterr()
    platform.metric(top=1_000, since="1h", data_dir=stack.settings.data_dir, as_json=True)
    found = {(row["service"], row["operation"]): row["count"] for row in json.loads(capsys.readouterr().out)}
    assert found["datalake", "datalake.ingest"] >= 1
    COLLECTOR.service = "mts1b"


def exact_p99_ms(found: list[int]) -> float:
    return sorted(found)[max(1, -(-len(found) * 99 // 100)) - 1] / NS_PER_MS


def test_metric_agrees_with_the_raw_spans(
    stack: RunningStack, watched: Observation, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two processes of a service and one of another: counts are exact, p99 and total within 2 %."""
    draw = random.Random(7)
    raw: dict[tuple[str, str], list[int]] = {}
    for service in ("marketdata", "strategy", "strategy"):
        collector = Collector(CLOCK, service)
        reporter = Reporter(lambda: watched.line("test"), f"test-{draw.random()}".replace(".", "-"), collector)
        reporter.start()
        for name, median_ms in (("open", 2.0), ("close", 0.3)):
            for _ in range(3_000):
                took_ns = int(median_ms * NS_PER_MS * draw.lognormvariate(0, 0.8))
                raw.setdefault((service, name), []).append(took_ns)
                collector.ended(name, took_ns, (1, 1, 0), {})
        reporter.close(10)
    platform.metric(top=100, since="1h", data_dir=stack.settings.data_dir, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    rows = {(row["service"], row["operation"]): Ranked(**row) for row in shown}
    for key, durations in raw.items():
        row = rows[key]
        assert row.count == len(durations)
        assert row.total_s == pytest.approx(sum(durations) / NS_PER_S, rel=1e-9)
        assert row.p99_ms == pytest.approx(exact_p99_ms(durations), rel=0.02)
    assert [row.p99_ms for row in rows.values()] == sorted((row.p99_ms for row in rows.values()), reverse=True)


def test_an_old_minute_is_out_of_sight(watched: Observation) -> None:
    collector = Collector(CLOCK, "ancient")
    reporter = Reporter(lambda: watched.line("test"), "one", collector)
    collector.ended("x", 5, (1, 1, 0), {})
    reporter.start()
    reporter.close(10)

    async def seen(since_ns: int) -> set[str]:
        line = await watched.line("test")
        try:
            return {rollup.service for rollup in await rollups_since(line, since_ns)}
        finally:
            await line.close()

    assert "ancient" in asyncio.run(seen(CLOCK.now_ns() - 60 * NS_PER_S))
    assert "ancient" not in asyncio.run(seen(CLOCK.now_ns() + 60 * NS_PER_S))


def test_a_stack_without_a_bus_is_named(tmp_path: Path) -> None:
    for command in (platform.tail, platform.metric):
        with pytest.raises(StackError, match="is not up; run `mts up`"):
            command(data_dir=tmp_path)


@pytest.mark.parametrize("since", ["", "1", "h", "-1h", "1w", "1h30m", "x"])
def test_a_since_that_is_no_time_is_named(since: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1h"):
        platform.metric(since=since, data_dir=tmp_path)
