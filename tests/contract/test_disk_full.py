"""Postgres on a disk that is full, really: a small one of its own, filled to the last byte while orders come."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from actors.local import Local
from actors.oms import OmsWorker, RiskMarks
from mts1b.config import load_settings
from mts1b.deploy import stack as deployed
from mts1b.foundation.clock import NS_PER_DAY, SystemClock
from mts1b.foundation.errors import StackError
from mts1b.foundation.order import OrderStatus
from mts1b.oms.journal import Journal
from mts1b.oms.local_risk import LocalRisk
from mts1b.oms.service import Oms
from mts1b.platform import db
from mts1b.platform.telemetry import Recorder
from mts1b.riskengine import RiskService
from mts1b.testing.risk import plain_master, wide_limits
from tests.conftest import RunningStack
from tests.contract.test_oms_on_postgres import check
from tests.unit.oms.desk import FUND, OPENING_CASH, PRICE, SYMBOLS, Desk

CLOCK = SystemClock()
DISK_MB = 96
ORDERS_MAX = 3_000


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack whose Postgres has a disk of DISK_MB to itself."""
    settings = load_settings(data_dir=tmp_path_factory.mktemp("small"))
    home = settings.data_dir / "postgres"
    home.mkdir(mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=0700", "tmpfs", str(home)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here: it takes root")
    try:
        yield RunningStack(settings, deployed.up(settings, CLOCK, parts=("postgres",)))
    finally:
        (home / "ballast").unlink(missing_ok=True)
        deployed.down(settings, CLOCK)
        subprocess.run(["umount", str(home)], check=True)


def fill(home: Path) -> None:
    """Not a byte is left."""
    with (home / "ballast").open("ab") as file:
        free = os.statvfs(home).f_bavail * os.statvfs(home).f_frsize
        os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), free)


class Traded(Desk):
    """A desk whose OMS sits in a worker, which brings it back by itself."""

    async def hire(self, pool: db.Pool) -> OmsWorker:
        self.risk = RiskService(FUND, wide_limits(SYMBOLS, open_orders_max=10_000), self.clock, plain_master(SYMBOLS))
        self.risk.set_covariance(SYMBOLS, np.eye(len(SYMBOLS)) * 1e-4)

        async def build(_: Recorder) -> Oms:
            port = LocalRisk(self.risk)
            return Oms(FUND, Journal(pool, FUND), port, self.venue, self.bus, self.clock, OPENING_CASH)

        self.worker = OmsWorker(build, self.venue, cast(RiskMarks, Local(self.risk)), Recorder())
        await self.worker.start()
        assert self.worker._oms is not None
        self.oms = self.worker._oms
        await self.worker.mark({symbol: PRICE for symbol in SYMBOLS}, self.session * NS_PER_DAY)
        return self.worker

    async def order(self, number: int) -> str:
        """Of 1 share; "" once it works, else why it does not."""
        try:
            order = await self.worker.submit(self.command(number, 1 + number % 97))
        except StackError as error:
            return str(error)
        return "" if order.status in (OrderStatus.WORKING, OrderStatus.FILLED) else order.reason


@pytest.mark.timeout(120)
@pytest.mark.parametrize("log_too", [False, True], ids=["tables", "write-ahead log"])
def test_no_order_is_sent_that_is_not_on_record_and_room_is_enough(small: RunningStack, log_too: bool) -> None:
    """`log_too`: not even the server's log can be written, which ends the server until there is room."""
    home = small.settings.data_dir / "postgres"

    async def case() -> None:
        pool = await db.open_pool("small", small.endpoints.postgres_dsn, pool_size=6)
        await pool.execute("DROP SCHEMA public CASCADE")
        await pool.execute("CREATE SCHEMA public")
        await db.migrate(pool)
        desk = Traded()
        await desk.hire(pool)
        assert await desk.order(0) == ""
        fill(home)
        if log_too:
            with pytest.raises(StackError), db.translated():
                while True:
                    await pool.fetchval("SELECT pg_logical_emit_message(false, 'filler', repeat('x', 1000000))")
        number, problem = 1, ""
        while not problem and number < ORDERS_MAX:
            problem = await desk.order(number)
            number += 1
        assert problem
        held = len(desk.exchange.exchange.orders)
        problems = [problem] + [await desk.order(number + one) for one in range(5)]
        assert all(problems)
        assert log_too or any("make room" in told for told in problems), problems
        assert len(desk.exchange.exchange.orders) == held
        (home / "ballast").unlink()
        for one in range(number + 5):  # all of them again, under the keys they had
            while await desk.order(one):  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.1)
        assert len(desk.exchange.exchange.orders) == number + 5
        await check(desk, pool)
        log = (small.settings.data_dir / "logs" / "postgres.log").read_text()
        assert "No space left on device" in log and ("PANIC:  could not write" in log) is log_too
        await desk.worker.close()
        await db.close_pools()

    asyncio.run(case())
