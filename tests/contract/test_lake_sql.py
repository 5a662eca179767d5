"""The lake in SQL: the source's example as written, filters that reach the files, no way to write, limits that hold.

A session is a process of its own, so most tests share one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from mts1b.datalake import Lake, open_lake
from mts1b.datalake.datasets import CATALOGUE
from mts1b.datalake.sql import Session
from mts1b.foundation.errors import DataError, InputError
from mts1b.platform.telemetry import COLLECTOR
from tests.unit.datalake.made_bars import INTRADAY, bars
from tests.unit.datalake.test_dataset import example
from tests.unit.datalake.test_results import ROWS


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = open_lake(tmp_path_factory.mktemp("it's a lake") / "lake")
    made.equities.bars.ingest(bars(["AAPL", "IBM", "MSFT"], first=date(2022, 1, 1), days=1000))
    made.equities.bars.ingest(INTRADAY, interval="1m")
    return made


@pytest.fixture(scope="module")
def conn(lake: Lake) -> Iterator[Session]:
    with lake.duckdb_session() as session:
        yield session


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


def test_a_question_is_an_operation(conn: Session) -> None:
    COLLECTOR.recent(clear=True)
    conn.execute("SELECT 1")
    assert COLLECTOR.recent().durations["datalake.sql"].count == 1


def test_sql_and_read_give_the_same_rows(lake: Lake, conn: Session) -> None:
    found = conn.execute("SELECT * FROM equities.bars WHERE interval = ? ORDER BY symbol, ts", ["daily"]).pl()
    one = conn.execute("SELECT ts, close FROM equities.bars_1m WHERE interval = '1m' ORDER BY ts").fetchone()
    assert conn.execute("SELECT 1 WHERE false").fetchone() is None
    assert conn.execute("SELECT count(*) FROM equities.bars").fetchall() == [(3000,)]
    assert found.drop("interval").equals(lake.equities.bars.read())
    assert one is not None and one[0] == INTRADAY["ts"][0] and one[1] == 270.25


def test_filters_reach_into_the_files(conn: Session) -> None:
    question = "EXPLAIN ANALYZE SELECT avg(close) FROM equities.bars WHERE ts < '2022-02-01' AND interval = 'daily'"
    assert "Row Groups Scanned: 1 /" in str(conn.execute(question).fetchall())


def test_every_dataset_is_a_view(tmp_path: Path) -> None:
    """Those that hold a row, sweeps with columns of their own, vwap in some files only, and a bar that was revised."""
    lake = open_lake(tmp_path)
    with lake.duckdb_session() as conn:
        assert conn.execute("SELECT symbol, ts, close, interval FROM equities.bars").fetchall() == []
        assert conn.execute("SELECT * FROM research.results").fetchall() == []
    for name, definition in CATALOGUE.items():
        if name != "equities.bars":
            getattr(getattr(lake, definition.domain), definition.name).write(example(definition))
    bare = lake.equities.bars
    bare.ingest(bars(["A", "B"], first=date(2023, 12, 1), days=20))
    bare.ingest(bars(["A"], days=20).with_columns(vwap="close"))
    late = datetime(2024, 6, 1, tzinfo=UTC)
    bare.upsert(bare.read(["A"])[:1].with_columns(close=7.0, known_ts=pl.lit(late)))
    lake.research.results.write("abc1", ROWS)
    lake.research.results.write("abc2", ROWS.select("combination", slow=pl.lit(3.5)))
    asked = "SELECT sweep, count(fast) AS fast, count(slow) AS slow FROM research.results GROUP BY sweep ORDER BY sweep"
    with lake.duckdb_session() as conn:
        for name in CATALOGUE:
            rows = bare.stored().rows - 1 if name == "equities.bars" else 1
            assert conn.execute(f"SELECT count(*) FROM {name}").fetchone() == (rows,), name  # noqa: S608
        found = conn.execute("SELECT * FROM equities.bars ORDER BY symbol, ts").pl()
        assert conn.execute(asked).fetchall() == [("abc1", 3, 0), ("abc2", 0, 3)]
    read = bare.read()
    assert found.select(read.columns).equals(read) and found["close"][0] == 7.0
    assert found["vwap"].is_not_null().sum() == 20


def test_scratch_tables_live_in_the_session_only(lake: Lake, conn: Session) -> None:
    with lake.duckdb_session() as other:
        other.execute("CREATE TEMP TABLE kept AS SELECT * FROM equities.bars LIMIT 3")
        assert other.execute("SELECT count(*) FROM kept").fetchone() == (3,)
    with pytest.raises(InputError, match="kept"):
        conn.execute("SELECT * FROM kept")


REFUSED = [
    "COPY (SELECT 1) TO '{file}'",
    "COPY (SELECT 1) TO '{file}' (USE_TMP_FILE false)",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}' (USE_TMP_FILE false)",
    "SELECT 1; COPY (SELECT 1) TO '{file}'",
    "PREPARE p AS COPY (SELECT 1) TO '{file}'",
    "SELECT * FROM query('COPY (SELECT 1) TO ''{file}'' ')",
    "COPY kept FROM '/etc/hosts'",
    "ATTACH '{folder}/other.db'",
    "EXPORT DATABASE '{folder}/out'",
    "IMPORT DATABASE '{folder}/out'",
    "CREATE PERSISTENT SECRET s (TYPE S3)",
    "SELECT * FROM read_csv('/etc/hosts')",
    "SELECT * FROM read_text('/etc/hosts')",
    "SELECT * FROM read_json('/etc/hosts')",
    "SELECT * FROM '/etc/hosts'",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_parquet('https://example.com/x.parquet')",
    "CREATE MACRO m() AS TABLE SELECT * FROM read_csv('/etc/hosts')",
    "CREATE TABLE t AS SELECT * FROM read_blob('/etc/hosts')",
    "SET enable_external_access = true",
    "SET memory_limit = '100GB'",
    "RESET memory_limit",
    "PRAGMA profiling_output = '{folder}/x'",
    "CALL enable_logging(storage = 'file', storage_config = {{'path': '{folder}/x'}})",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{folder}/x.duckdb_extension'",
    "INSERT INTO equities.bars SELECT * FROM equities.bars",
    "SELEC 1",
    "SELECT nothing FROM equities.bars",
    "SELECT * FROM requests",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_a_session_writes_and_opens_nothing_else(lake: Lake, conn: Session, statement: str) -> None:
    held = lake.equities.bars.stored()
    assert held is not None
    before = sorted(lake.root.parent.rglob("*"))
    with pytest.raises(InputError) as caught:
        conn.execute(statement.format(file=held.files()[0], folder=lake.root))
    assert "\n" not in caught.value.problem
    assert sorted(lake.root.parent.rglob("*")) == before and lake.equities.bars.verify() == 3000


LIMITS = [
    ("SELECT count(*) FROM range(1000000000000)", "was stopped after 0.3 s"),
    ("SELECT count(*) FROM equities.bars a, equities.bars b, equities.bars c, equities.bars d", "was stopped after"),
    ("CREATE TABLE big AS SELECT i, random() AS x FROM range(1000000000) t(i)", "Out of Memory|was stopped"),
    ("SELECT list(i) FROM range(100000000) t(i)", "Out of Memory|was stopped"),
    ("SELECT i FROM range(20000000) t(i)", "the answer is larger than 10,000,000 bytes"),
]


def test_a_statement_is_stopped_at_its_limits(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mts1b.datalake.sql.SQL_RESULT_BYTES_MAX", 10_000_000)
    with lake.duckdb_session(memory_bytes=100 << 20, timeout_s=0.3) as conn:
        for statement, words in LIMITS:
            with pytest.raises(InputError, match=words):
                conn.execute(statement)
            assert conn.execute("SELECT 1").fetchone() == (1,), "the session goes on"


ENDLESS = [
    ("SELECT length(rpad('x', 2000000000, 'y'))", "did not stop within 0.5 s"),
    ("SELECT len(range(1000000000))", "went past its memory"),
]


@pytest.mark.parametrize(("statement", "words"), ENDLESS)
def test_a_statement_that_does_not_stop_ends_its_session(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, statement: str, words: str
) -> None:
    """Within one call DuckDB looks at no limit: its process is ended, and this one has held nothing of it."""
    monkeypatch.setattr("mts1b.datalake.sql.GRACE_S", 0.3 if "stop" in words else 60.0)
    with lake.duckdb_session(memory_bytes=100 << 20, timeout_s=0.2) as conn:
        with pytest.raises(InputError, match=words):
            conn.execute(statement)
        with pytest.raises(InputError, match="the session was ended by the statement before"):
            conn.execute("SELECT 1")


def test_a_damaged_file_is_a_data_error(tmp_path: Path) -> None:
    made = open_lake(tmp_path)
    made.equities.bars.ingest(bars(days=5))
    held = made.equities.bars.stored()
    assert held is not None
    Path(held.files()[0]).unlink()
    with pytest.raises(DataError), made.duckdb_session() as conn:
        conn.execute("SELECT * FROM equities.bars")
