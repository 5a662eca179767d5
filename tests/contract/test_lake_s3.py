"""The same lake in an object store, by URI: moto's server speaks S3 on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import boto3
import numpy as np
import polars as pl
import pytest
from moto.server import ThreadedMotoServer

from mts1b.datalake import Lake, open_lake
from mts1b.foundation.errors import DataError, InputError, StackError
from tests.unit.datalake.made_bars import bars
from tests.unit.datalake.test_dataset import trades

KEYS = {"aws_access_key_id": "made-up", "aws_secret_access_key": "made-up-too", "aws_region": "us-east-1"}


@pytest.fixture(scope="module")
def options() -> Iterator[dict[str, str]]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    given = {name: value for name, value in KEYS.items() if name != "aws_region"}
    boto3.client("s3", endpoint_url=url, region_name="us-east-1", **given).create_bucket(Bucket="lakes")
    try:
        yield {**KEYS, "aws_endpoint_url": url, "aws_allow_http": "true"}
    finally:
        server.stop()


@pytest.fixture
def lake(options: dict[str, str], request: pytest.FixtureRequest) -> Lake:
    return open_lake(f"s3://lakes/{request.node.name}", options)


def test_a_lake_in_an_object_store_is_the_same_lake(lake: Lake, tmp_path) -> None:
    local = open_lake(tmp_path)
    for one in (lake, local):
        one.equities.bars.ingest(bars(["A", "B"], days=400))
        one.equities.bars.ingest(bars(["B", "C"], days=400, seed=5))
    remote, here = lake.equities.bars, local.equities.bars
    assert remote.stored().version == here.stored().version and remote.stored().symbols == ("A", "B", "C")
    assert remote.stored().files()[0].startswith("s3://lakes/")
    assert remote.read(["C"], start="2024-06-01", end="2024-06-30").equals(
        here.read(["C"], start="2024-06-01", end="2024-06-30")
    )
    assert remote.scan(["B"]).collect().equals(here.scan(["B"]).collect())
    np.testing.assert_array_equal(remote.panel().close, here.panel().close)
    loaded = [batch.load(["close"])["close"] for stretch in remote.stretches() for batch in stretch.batches]
    assert sum(table.size for table in loaded) == remote.panel().close.size
    assert remote.verify() == 1200 and remote.at(1).read().height == 800
    asked = (
        "SELECT symbol, avg(close) AS mean FROM equities.bars WHERE ts < '2024-03-01' GROUP BY symbol ORDER BY symbol"
    )
    with lake.duckdb_session() as conn, local.duckdb_session() as other:
        assert conn.execute(asked).pl().equals(other.execute(asked).pl())


def test_writers_in_an_object_store_lose_nothing(lake: Lake, options: dict[str, str]) -> None:
    """There is no lock there: whoever commits second does it again."""
    start = datetime(2024, 1, 30, tzinfo=UTC)

    def writes(name: str) -> None:
        store = open_lake(lake.place.root, options).equities.trades
        for n in range(4):
            store.upsert(trades(name, 2, 1, seed=n, start=start + timedelta(minutes=3 * n)))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(writes, "ABC"))
    store = lake.equities.trades
    assert store.read().height == 24 and store.verify() == 24
    rows, before = store.read(), store.stored()
    assert len(store.compact().snapshot.files) == 1 and store.read().equals(rows)
    assert store.stored().version == before.version
    store.forget(older_than_s=0)
    assert open_lake(lake.place.root, options).equities.trades.read().equals(rows)


def test_what_can_go_wrong_there(options: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"holds no equities\.trades"):
        open_lake("s3://lakes/empty", options).equities.trades.read()
    with pytest.raises(InputError, match="no such object store: ftp"):
        open_lake("ftp://lakes/x")
    missing = open_lake("s3://no-such-bucket/x", options).equities.trades
    with pytest.raises((StackError, DataError)):
        missing.write(trades())
    store = open_lake("s3://lakes/damaged", options).equities.trades
    stored = store.write(trades())
    store.place.remove(stored.snapshot.files[0].path)
    with pytest.raises(DataError, match="cannot be read"):
        open_lake("s3://lakes/damaged", options).equities.trades.read()


def test_polars_reads_the_table_as_delta(lake: Lake, options: dict[str, str]) -> None:
    """Versions and files are those of an open format: another tool finds the rows without us."""
    lake.equities.trades.write(trades())
    found = pl.scan_delta(f"{lake.place.root}/equities/trades", storage_options=options).collect()
    assert found.height == 40 and {"year", "month"} < set(found.columns)
