"""The lake in SQL: the source's example as written, filters that reach the files, and no way to write."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from mts1b.datalake import Lake, open_lake
from mts1b.foundation.errors import DataError, InputError
from tests.unit.datalake.made_bars import INTRADAY, bars


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = open_lake(tmp_path_factory.mktemp("it's a lake") / "lake")
    made.equities.bars.ingest(bars(["AAPL", "IBM", "MSFT"], first=date(2022, 1, 1), days=1000))
    made.equities.bars.ingest(INTRADAY, interval="1m")
    return made


def test_the_sources_example_as_written(lake: Lake) -> None:
    with lake.duckdb_session() as conn:
        df = conn.execute("""
SELECT symbol, AVG(close) AS avg_close
FROM equities.bars
WHERE ts BETWEEN '2024-01-01' AND '2024-06-01'
GROUP BY symbol
""").pl()
    read = lake.equities.bars.read(start="2024-01-01", end="2024-06-01")
    expected = read.group_by("symbol").agg(pl.col("close").mean()).sort("symbol")
    assert df.sort("symbol")["symbol"].to_list() == expected["symbol"].to_list()
    assert df.sort("symbol")["avg_close"].to_list() == pytest.approx(expected["close"].to_list(), rel=1e-12)


def test_sql_and_read_give_the_same_rows(lake: Lake) -> None:
    with lake.duckdb_session() as conn:
        found = conn.execute("SELECT * FROM equities.bars WHERE interval = ? ORDER BY symbol, ts", ["daily"]).pl()
        one = conn.execute("SELECT ts, close FROM equities.bars_1m WHERE interval = '1m' ORDER BY ts").fetchone()
        assert conn.execute("SELECT 1 WHERE false").fetchone() is None
        assert conn.execute("SELECT count(*) FROM equities.bars").fetchall() == [(3000,)]
    assert found.drop("interval").equals(lake.equities.bars.read())
    assert one is not None and one[0] == INTRADAY["ts"][0] and one[1] == 270.25


def test_filters_reach_into_the_files(lake: Lake) -> None:
    question = "EXPLAIN ANALYZE SELECT avg(close) FROM equities.bars WHERE ts < '2022-02-01' AND interval = 'daily'"
    with lake.duckdb_session() as conn:
        plan = str(conn.execute(question).fetchall())
    assert "Row Groups Scanned: 1 /" in plan


def test_an_empty_lake_has_an_empty_table(tmp_path: Path) -> None:
    with open_lake(tmp_path).duckdb_session() as conn:
        assert conn.execute("SELECT symbol, ts, close, interval FROM equities.bars").fetchall() == []


def test_scratch_tables_live_in_the_session_only(lake: Lake) -> None:
    with lake.duckdb_session() as conn:
        conn.execute("CREATE TEMP TABLE kept AS SELECT * FROM equities.bars LIMIT 3")
        assert conn.execute("SELECT count(*) FROM kept").fetchone() == (3,)
    with lake.duckdb_session() as conn, pytest.raises(InputError, match="kept"):
        conn.execute("SELECT * FROM kept")


REFUSED = [
    "COPY (SELECT 1) TO '{file}'",
    "COPY (SELECT 1) TO '{file}' (USE_TMP_FILE false)",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}' (USE_TMP_FILE false)",
    "SELECT 1; COPY (SELECT 1) TO '{file}'",
    "ATTACH '{folder}/other.db'",
    "EXPORT DATABASE '{folder}/out'",
    "SELECT * FROM read_csv('/etc/hosts')",
    "SET enable_external_access = true",
    "INSTALL httpfs",
    "INSERT INTO equities.bars SELECT * FROM equities.bars",
    "SELEC 1",
    "SELECT nothing FROM equities.bars",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_a_session_writes_and_opens_nothing_else(lake: Lake, statement: str) -> None:
    held = lake.equities.bars.stored()
    assert held is not None
    with lake.duckdb_session() as conn, pytest.raises(InputError) as caught:
        conn.execute(statement.format(file=held.files()[0], folder=lake.root))
    assert "\n" not in caught.value.problem
    assert lake.equities.bars.verify() == 3000


def test_a_damaged_file_is_a_data_error(tmp_path: Path) -> None:
    made = open_lake(tmp_path)
    made.equities.bars.ingest(bars(days=5))
    held = made.equities.bars.stored()
    assert held is not None
    Path(held.files()[0]).unlink()
    with pytest.raises(DataError), made.duckdb_session() as conn:
        conn.execute("SELECT * FROM equities.bars")
