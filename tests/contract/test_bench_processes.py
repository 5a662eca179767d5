"""The benchmarks that measure in processes of their own: what they tell is read, what fails is named."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from mts1b.bench.eventbus import eventbus, require_same_messages
from mts1b.bench.eventbus_peer import BareBus
from mts1b.bench.first_use import measured
from mts1b.bench.oms_rate import oms
from mts1b.bench.session import Session
from mts1b.bench.single import single_minute
from mts1b.bench.versus_vectorbt import run_side
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.errors import InvariantBroken
from mts1b.platform import db
from mts1b.platform.eventbus import Event, connect
from tests.conftest import RunningStack


def test_the_second_process_finds_the_kernels_of_the_first(tmp_path: Path) -> None:
    first, again = (measured("buy_and_hold", str(tmp_path)) for _ in range(2))
    assert list((tmp_path / ".cache" / "mts1b" / "kernels").iterdir())
    assert first["digest"] == again["digest"] and float(first["sweep_s"]) > 0 and float(first["step_s"]) > 0
    with pytest.raises(InvariantBroken, match="buy_and_fold"):
        measured("buy_and_fold", str(tmp_path))


def test_a_side_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvariantBroken, match="no prices"):
        run_side([sys.executable, "-c", "raise SystemExit('no prices')"], tmp_path, 1)


def test_minute_bars_from_files_to_metrics() -> None:
    found = single_minute(Session(SystemClock(), quick=True)).figures
    assert found["minute_3_bars"] == 3 * 2 * 21 * 390 and found["kernel_minute_3_wall_s"] > 0
    h100_bars_per_s = 1_000 * 120 * 21 * 390 / 14
    assert found["minute_3_speed_up_over_h100"] == pytest.approx(found["minute_3_bars_per_s"] / h100_bars_per_s)


class Forgetful(BareBus):
    """It loses one message."""

    async def publish_stored(self, happened: Event) -> None:
        if "3" not in happened.model_dump_json():
            await super().publish_stored(happened)


def test_publishing_is_timed_once_both_sides_store_the_same(stack: RunningStack) -> None:
    found = eventbus(Session(SystemClock(), quick=True))
    assert found.figures["events"] == 30 and found.figures["publish_durable_p99_ms"] > 0
    assert all(found.figures[f"publish_{ms}_ms_away_p50_ms"] >= ms for ms in (10, 100)), "no server is nearer"
    ours, theirs = found.figures["publish_durable_p50_ms"], found.versus["nats_py_publish_durable_p50_ms"]
    assert found.versus["publish_durable_ratio_to_nats_py"] == theirs / ours

    async def compare() -> None:
        url = stack.endpoints.nats_url
        bus, bare = await connect(url), await Forgetful.connect(url)
        try:
            await require_same_messages(bus, bare, 5)
        finally:
            await bus.close()
            await bare.close()

    with pytest.raises(InvariantBroken, match="nats-py.*4 messages stored, not the 5"):
        asyncio.run(compare())


def test_the_oms_loses_none_and_its_benchmark_leaves_no_order_behind(stack: RunningStack) -> None:
    found = oms(Session(SystemClock(), quick=True), stack.settings)
    for name in ("http", "near"):
        assert found.figures[f"{name}_orders"] > 0 and found.figures[f"{name}_p99_ms"] > 0
    few, many = (found.figures[f"stored_{stored}_cost_ms"] for stored in (1_000, 2_000))
    assert found.figures["stored_ratio"] == many / few

    async def left() -> int:
        pool = await db.open_pool("left", stack.endpoints.postgres_dsn, pool_size=1)
        try:
            return int(await pool.fetchval("SELECT count(*) FROM orders WHERE fund_id = 'old'"))
        finally:
            await db.close_pools()

    assert asyncio.run(left()) == 0
