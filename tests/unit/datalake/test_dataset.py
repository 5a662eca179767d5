"""A dataset: what is written is read, by key, by time, by what was known; versions, compaction, and two writers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mts1b.datalake import Lake, open_lake
from mts1b.datalake.dataset import Dataset, UnfilteredRead
from mts1b.datalake.datasets import CATALOGUE
from mts1b.datalake.definitions import MONTH, Definition, Storage
from mts1b.datalake.storage import place_of
from mts1b.datalake.table import FILES_PER_PARTITION_MAX
from mts1b.foundation.errors import DataError, InputError, UnknownNameError
from mts1b.platform.telemetry import COLLECTOR
from tests.unit.datalake.made_bars import bars

FIRST = datetime(2024, 1, 30, 14, 30, tzinfo=UTC)


def trades(
    symbols: str = "AB", count: int = 20, minutes: int = 600, seed: int = 1, start: datetime = FIRST
) -> pl.DataFrame:
    """Some trades of each name, `minutes` apart."""
    random = np.random.default_rng(seed)
    rows = [
        {
            "symbol": symbol,
            "ts": start + timedelta(minutes=minutes * n),
            "sequence": n,
            "price": float(p),
            "size": float(q),
        }
        for symbol in symbols
        for n, (p, q) in enumerate(zip(random.integers(100, 200, count) / 4, random.integers(1, 9, count), strict=True))
    ]
    return pl.DataFrame(rows)


@pytest.fixture
def store(tmp_path: Path) -> Dataset:
    return open_lake(tmp_path / "lake").equities.trades


def test_what_takes_time_is_an_operation(tmp_path: Path) -> None:
    before = COLLECTOR.totals().durations
    lake = open_lake(tmp_path / "lake")
    lake.equities.trades.write(trades())
    lake.equities.trades.read()
    lake.equities.trades.verify()
    for name in ("datalake.write", "datalake.read", "datalake.verify"):
        earlier = before[name].count if name in before else 0
        assert COLLECTOR.totals().durations[name].count == earlier + 1


def test_what_is_written_is_read(store: Dataset) -> None:
    given_rows = trades().sample(fraction=1.0, shuffle=True, seed=3)
    stored = store.write(given_rows)
    read = store.read()
    assert read.equals(trades().cast(dict(read.schema)))
    assert read.schema["ts"] == pl.Datetime("us", "UTC") and read.columns == [
        "symbol",
        "ts",
        "sequence",
        "price",
        "size",
    ]
    assert [file.partition for file in stored.snapshot.files] == ["year=2024/month=01", "year=2024/month=02"]
    assert store.arrow(["A"]).num_rows == 20 and store.read(["A"], columns=["price"]).columns == [
        "symbol",
        "ts",
        "sequence",
        "price",
    ]
    part = store.read(["B"], start="2024-02-01", end="2024-02-02")
    assert part.equals(
        read.filter(pl.col("symbol") == "B", pl.col("ts").dt.date().is_between(date(2024, 2, 1), date(2024, 2, 2)))
    )
    lazy = store.scan(["B"], start="2024-02-01", end="2024-02-02")
    assert lazy.collect().sort("ts").equals(part)
    assert store.read(start="2025-01-01").height == 0 and store.read(start="2025-01-01").schema == read.schema


def test_a_stored_key_is_refused_or_replaced(store: Dataset) -> None:
    store.write(trades())
    with pytest.raises(DataError, match="stored already, the first is symbol=A"):
        store.write(trades(count=3))
    again = store.upsert(trades())
    assert again.snapshot.number == 1, "the same rows make no version"
    changed = trades().with_columns(pl.col("price") + 1)[5:6]
    after = store.upsert(changed)
    assert after.snapshot.number == 2 and store.read().height == 40
    assert (store.read()["price"] != store.at(1).read()["price"]).sum() == 1
    whole = store.write(trades("C"), mode="replace")
    assert whole.symbols == ("C",) and store.at(1).stored().symbols == ("A", "B")
    assert [version.note for version in store.versions()] == ["created", "frame", "frame", "frame"]


def test_rows_after_those_stored_are_a_file_more_until_there_are_many(store: Dataset) -> None:
    for n in range(FILES_PER_PARTITION_MAX + 1):
        stored = store.upsert(trades(count=3, minutes=1, start=FIRST + timedelta(minutes=5 * n)))
        assert len(stored.snapshot.files) == (n + 1 if n < FILES_PER_PARTITION_MAX else 1)
    assert stored.rows == 6 * (FILES_PER_PARTITION_MAX + 1) and store.verify() == stored.rows
    assert store.read().equals(store.read().sort("symbol", "ts"))


def test_compaction_keeps_rows_and_digest(store: Dataset) -> None:
    for n in range(5):
        before = store.upsert(trades(count=3, minutes=1, start=FIRST + timedelta(minutes=5 * n), seed=n))
    rows = store.read()
    after = store.compact()
    assert (len(before.snapshot.files), len(after.snapshot.files)) == (5, 1)
    assert after.version == before.version and store.read().equals(rows)
    assert store.at(before.snapshot.number).read().equals(rows)
    assert store.compact().snapshot.number == after.snapshot.number, "nothing to do makes no version"


def small_files(tmp_path: Path, rows_per_file: int) -> Dataset:
    storages = {"": Storage(MONTH, rows_per_group=2, rows_per_file=rows_per_file)}
    definition = replace(CATALOGUE["equities.trades"], storages=storages)
    return Dataset(place_of(tmp_path / "small"), definition)


def test_a_large_month_of_a_name_has_files_of_its_own(tmp_path: Path) -> None:
    small = small_files(tmp_path, 8)
    stored = small.write(trades("ABC", 5, 1), mode="replace")
    stored = small.upsert(trades("M", 20, 1))
    cut = [(file.extent.low, file.extent.high, file.rows) for file in stored.snapshot.files]
    assert ("M", "M", 8) in cut and all(rows <= 8 for _, _, rows in cut) and stored.rows == 35
    assert small.read(["M"], start=FIRST + timedelta(minutes=9), end=FIRST + timedelta(minutes=10)).height == 2
    assert small.read().equals(pl.concat([trades("ABC", 5, 1), trades("M", 20, 1)]).cast(dict(small.read().schema)))


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["upsert", "compact"]),
        st.lists(st.tuples(st.sampled_from("ABCDE"), st.integers(0, 40), st.integers(1, 3)), min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=6,
)


@given(OPERATIONS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_writes_equals_a_dictionary(tmp_path_factory: pytest.TempPathFactory, operations: list) -> None:
    small, model = small_files(tmp_path_factory.mktemp("model"), 5), dict[tuple[str, int], int]()
    for operation, rows in operations:
        if operation == "compact":
            small.compact()
            continue
        fresh = {(symbol, day): price for symbol, day, price in rows}
        model |= fresh
        small.upsert(frame_of(fresh))
    if not model:
        return
    assert small.read(start="2000-01-01").equals(frame_of(model).sort("symbol", "ts").cast(dict(small.read().schema)))
    once = small_files(tmp_path_factory.mktemp("once"), 5)
    assert once.write(frame_of(model)).version == small.stored().version
    assert small.verify() == len(model)


def frame_of(model: dict[tuple[str, int], int]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"symbol": symbol, "ts": FIRST + timedelta(days=day), "sequence": 0, "price": float(price), "size": 1.0}
            for (symbol, day), price in model.items()
        ]
    )


BORROW = pl.DataFrame(
    {
        "symbol": ["A", "A", "B"],
        "ts": [datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)],
        "rate": [0.01, 0.02, 0.03],
        "known_ts": [
            datetime(2024, 1, 3, tzinfo=UTC),
            datetime(2024, 1, 4, tzinfo=UTC),
            datetime(2024, 1, 3, tzinfo=UTC),
        ],
    }
)


def test_a_revised_row_stands_beside_the_one_before(lake_of_borrow: Dataset) -> None:
    revised = BORROW[:1].with_columns(rate=pl.lit(0.05), known_ts=pl.lit(datetime(2024, 2, 1, tzinfo=UTC)))
    stored = lake_of_borrow.upsert(revised)
    assert stored.rows == 4 and [file.revised for file in stored.snapshot.files] == [True]
    assert lake_of_borrow.read(["A"])["rate"].to_list() == [0.05, 0.02]
    assert lake_of_borrow.read(["A"], as_of="2024-01-31")["rate"].to_list() == [0.01, 0.02]
    assert lake_of_borrow.read(["A"], as_of="2024-01-03")["rate"].to_list() == [0.01]
    assert lake_of_borrow.read(as_of="2024-01-02").height == 0
    assert lake_of_borrow.scan(["A"]).collect()["rate"].to_list() == [0.05, 0.02]
    assert lake_of_borrow.scan(["A"], as_of="2024-01-31").collect()["rate"].to_list() == [0.01, 0.02]
    repeated = revised.with_columns(known_ts=pl.lit(datetime(2024, 3, 1, tzinfo=UTC)))
    assert lake_of_borrow.upsert(repeated).snapshot == stored.snapshot, "said again is nothing new"
    assert "known_ts" not in lake_of_borrow.read(["A"]).columns
    assert lake_of_borrow.read(["A"], columns=["rate", "known_ts"])["known_ts"][0] == datetime(2024, 2, 1, tzinfo=UTC)


@pytest.fixture
def lake_of_borrow(tmp_path: Path) -> Dataset:
    made = open_lake(tmp_path).equities.borrow
    made.write(BORROW)
    return made


def test_a_bar_counts_as_known_when_it_ended(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    stored = lake.equities.bars.ingest(bars(["A"], days=10))
    assert not stored.snapshot.holds("known_ts")
    assert lake.equities.bars.read(as_of="2024-01-04").height == 3, "a day's bar is known as its day ends"
    assert lake.equities.bars.read(as_of="2024-01-04T23:00:00").height == 2
    late = lake.equities.bars.read()[:1].with_columns(
        close=pl.lit(7.0), known_ts=pl.lit(datetime(2024, 6, 1, tzinfo=UTC))
    )
    lake.equities.bars.upsert(late)
    assert lake.equities.bars.read()["close"][0] == 7.0 and lake.equities.bars.panel(adjust=None).close[0, 0] == 7.0
    assert lake.equities.bars.read(as_of="2024-05-31")["close"][0] != 7.0
    for adjust in (None, "total"):
        loaded = next(iter(lake.equities.bars.stretches(adjust=adjust))).batches[0].load(["close"])["close"]
        assert loaded[0].tolist() == lake.equities.bars.panel(adjust=adjust).close[:, 0].tolist()


@pytest.mark.parametrize("locked", [True, False])
def test_of_two_writers_neither_loses_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locked: bool) -> None:
    """Without the lock, as on an object store, the second to commit does its work again."""
    from concurrent.futures import ThreadPoolExecutor
    from contextlib import nullcontext

    if not locked:
        monkeypatch.setattr("mts1b.datalake.storage.Place.writers_turn", lambda _place: nullcontext())
    handles = [open_lake(tmp_path).equities.trades for _ in range(4)]
    frames = [
        [trades("ABCD"[w], 2, 1, seed=10 * w + n, start=FIRST + timedelta(minutes=3 * n)) for n in range(4)]
        for w in range(4)
    ]

    def writes(writer: int) -> None:
        for frame in frames[writer]:
            handles[writer].upsert(frame)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(writes, range(4)))
    wanted = pl.concat([frame for one in frames for frame in one]).sort("symbol", "ts")
    found = open_lake(tmp_path).equities.trades
    assert found.read().equals(wanted.cast(dict(found.read().schema))) and found.verify() == wanted.height
    assert len(found.versions()) == 17


def test_an_unfiltered_read_of_much_warns_with_the_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_lake(tmp_path).equities.trades
    stored = store.write(trades())
    monkeypatch.setattr("mts1b.datalake.dataset.WARNED_BYTES_MIN", 1)
    with pytest.warns(UnfilteredRead, match=f"reads all {stored.bytes:,} bytes"):
        store.read()
    with pytest.warns(UnfilteredRead):
        store.scan()


BAD_ROWS = [
    (trades().drop("price"), "no column 'price'"),
    (trades().with_columns(colour=pl.lit("red")), "colour"),
    (trades().with_columns(price=pl.lit("much")), "wrong type"),
    (trades().with_columns(price=pl.lit(float("inf"))), "finite"),
    (trades().with_columns(size=pl.lit(None, pl.Float64)), "size is missing"),
    (trades().with_columns(ts=pl.lit(5)), "neither dates nor times"),
    (pl.concat([trades(), trades()]), "same key"),
    (trades().clear(), "no rows"),
]


@pytest.mark.parametrize(("rows", "words"), BAD_ROWS, ids=[words for _, words in BAD_ROWS])
def test_rows_that_break_the_schema_are_named(store: Dataset, rows: pl.DataFrame, words: str) -> None:
    with pytest.raises(DataError, match=words):
        store.write(rows)
    assert store.stored() is None


def test_bad_questions(store: Dataset) -> None:
    with pytest.raises(InputError, match=r"holds no equities\.trades"):
        store.read()
    store.write(trades())
    cases = [
        (dict(columns=["prise"]), UnknownNameError, "price"),
        (dict(symbols=["Z"]), UnknownNameError, "known: A, B"),
    ]
    cases += [(dict(adjust="split"), InputError, "no prices to adjust"), (dict(interval="1m"), UnknownNameError, "1m")]
    for asked, error, words in cases:
        with pytest.raises(error, match=words):
            store.read(**asked)
    with pytest.raises(InputError, match="is not kept"):
        store.at(9).read()
    with pytest.raises(InputError, match="no table of names by times"):
        store.arrays()


def test_arrays_are_what_was_read(tmp_path: Path) -> None:
    made = open_lake(tmp_path).equities.bars
    made.ingest(pl.concat([bars(["B"], days=400), bars(["A"], days=300, first=date(2024, 3, 1))]))
    found = made.arrays(["B", "A"], columns=["close"])
    assert found.symbols == ("B", "A") and list(found.fields) == ["close"]
    np.testing.assert_array_equal(found.fields["close"], made.panel(["B", "A"], adjust=None).close)
    assert "adj_close" in made.arrays().fields


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_dataset_of_the_catalogue_takes_a_row_and_gives_it_back(name: str, tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    domain, _, short = name.partition(".")
    dataset = getattr(getattr(lake, domain), short)
    assert dataset.definition is CATALOGUE[name]
    frame = example(dataset.definition)
    row = frame.row(0, named=True)
    dataset.write(frame)
    assert dataset.read(columns=frame.columns).select(frame.columns).equals(frame)
    fewer = pl.DataFrame(
        [{**row, **{c.name: None for c in dataset.definition.columns if c.optional}}], schema=frame.schema
    )
    assert dataset.write(fewer, mode="replace").rows == 1 and dataset.verify() == 1
    assert dataset.read(columns=frame.columns).select(frame.columns).equals(fewer)


def example(definition: Definition) -> pl.DataFrame:
    """One row with a value in every column."""
    row = {column.name: EXAMPLES[str(column.read)] for column in definition.columns}
    return pl.DataFrame([row], schema=definition.read_schema)


EXAMPLES = {
    "String": "X",
    "Float64": 2.0,
    "Int64": 7,
    "Boolean": True,
    "Date": date(2024, 5, 6),
    "Datetime(time_unit='us', time_zone='UTC')": datetime(2024, 5, 6, tzinfo=UTC),
    "List(String)": ["X", "Y"],
}


def test_news_are_found_by_what_they_are_about(tmp_path: Path) -> None:
    news = open_lake(tmp_path).news.articles
    rows = [
        {
            "ts": datetime(2024, 1, n + 1, 12, tzinfo=UTC),
            "source": "s",
            "id": str(n),
            "headline": f"h{n}",
            "symbols": about,
        }
        for n, about in enumerate([["A"], ["A", "B"], ["C"], []])
    ]
    news.write(pl.DataFrame(rows).with_columns(known_ts=pl.col("ts")))
    assert news.read(["A"])["id"].to_list() == ["0", "1"] and news.read(["B", "C"])["id"].to_list() == ["1", "2"]
    assert news.read(start="2024-01-02", end="2024-01-03")["id"].to_list() == ["1", "2"]
    assert news.scan(["B"]).select("id").collect()["id"].to_list() == ["1"]


def test_a_lake_of_the_old_format_says_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "equities" / "bars" / "interval=daily"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text('{"format": 1}')
    lake: Lake = open_lake(tmp_path)
    with pytest.raises(DataError, match=r"older version.*move this directory away and ingest the data again"):
        lake.equities.bars.read()
    with pytest.raises(DataError, match="older version"):
        lake.equities.bars.ingest(bars())
