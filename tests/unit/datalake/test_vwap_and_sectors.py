"""What a lake may have beside prices and volume: volume-weighted prices of bars, sectors of names."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mts1b.datalake import Lake, open_lake
from mts1b.datalake.schema import BARS, on_tick
from mts1b.foundation.errors import DataError, InputError
from tests.unit.datalake.made_bars import bars
from tests.unit.datalake.test_stretches import minutes

SECTORS = pl.DataFrame({"symbol": ["AAPL", "XOM"], "sector": ["Technology", "Energy"]})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path)


def with_vwap(frame: pl.DataFrame) -> pl.DataFrame:
    """Every third bar has none."""
    price = (pl.col("high") + pl.col("low")) / 2
    return frame.with_columns(vwap=pl.when(pl.int_range(pl.len()) % 3 > 0).then(price))


def test_vwap_is_adjusted_stored_and_read(lake: Lake) -> None:
    given = with_vwap(bars())
    held = lake.equities.bars.ingest(given)
    assert held.snapshot.holds("vwap") and lake.equities.bars.verify() == held.rows
    read = lake.equities.bars.read()
    assert read["vwap"].equals(on_tick(given["vwap"]).alias("vwap")) and read["vwap"].null_count() == 134
    total = lake.equities.bars.read(["MSFT"], adjust="total")
    panel = lake.equities.bars.panel(["MSFT"])
    assert panel.vwap is not None and np.isnan(panel.vwap).sum() == 67
    np.testing.assert_allclose(panel.vwap[:, 0], total["vwap"].to_numpy(), rtol=1e-15)
    again = open_lake(lake.root / "again").equities.bars.ingest(given.with_columns(pl.col("vwap").fill_null(np.nan)))
    assert again.version == held.version


def test_files_without_vwap_stand_beside_those_with_it(lake: Lake) -> None:
    """Three years: none, one and again none; a later delivery without it takes it away from its bars."""
    plain = lake.equities.bars.ingest(bars(days=800, first=date(2022, 7, 1)))
    assert (
        not plain.snapshot.holds("vwap")
        and lake.equities.bars.read().schema == {**BARS, "adj_close": pl.Float64()}
        and lake.equities.bars.panel().vwap is None
    )
    year = with_vwap(bars(days=800, first=date(2022, 7, 1))).filter(pl.col("ts").dt.year() == 2023)
    mixed = lake.equities.bars.ingest(year)
    assert ["vwap" not in file.lacks for file in mixed.snapshot.files] == [False, True, False]
    assert [a.content == b.content for a, b in zip(plain.snapshot.files, mixed.snapshot.files, strict=True)] == [
        True,
        False,
        True,
    ]
    read = lake.equities.bars.read()
    assert read.drop("vwap", "adj_close").schema == BARS
    assert read["vwap"].is_not_null().sum() == year["vwap"].is_not_null().sum()
    assert lake.equities.bars.panel(end="2022-12-31").vwap is None
    panel = lake.equities.bars.panel()
    assert panel.vwap is not None and np.isfinite(panel.vwap).sum() == read["vwap"].is_not_null().sum()
    assert lake.equities.bars.ingest(year.drop("vwap")).version == plain.version


def test_stretches_have_it_too(lake: Lake) -> None:
    lake.equities.bars.ingest(with_vwap(minutes(days=30)).filter(pl.col("ts").dt.month() == 1), "1m")
    lake.equities.bars.ingest(minutes(days=30).filter(pl.col("ts").dt.month() == 2), "1m")
    found = lake.equities.bars.stretches(interval="1m")
    loaded = [batch.load(["vwap"])["vwap"] for stretch in found for batch in stretch.batches]
    wanted = lake.equities.bars.panel(interval="1m").vwap
    assert found.has_vwap and wanted is not None
    np.testing.assert_array_equal(np.concatenate(loaded, axis=1).T, wanted)


@pytest.mark.parametrize("price", [0.0, -1.0, float("inf"), 1e10])
def test_a_vwap_that_is_no_price(lake: Lake, price: float) -> None:
    with pytest.raises(DataError, match="vwap is not a positive price"):
        lake.equities.bars.ingest(bars().with_columns(vwap=pl.lit(price)))
    assert lake.equities.bars.stored() is None


def test_sectors_reach_the_panel(lake: Lake, tmp_path: Path) -> None:
    lake.equities.bars.ingest(bars())
    before = lake.equities.bars.panel()
    assert before.sectors == () and lake.equities.sectors.stored() is None
    SECTORS.write_csv(tmp_path / "sectors.csv")
    held = lake.equities.sectors.ingest(tmp_path / "sectors.csv")
    panel = lake.equities.bars.panel(["MSFT", "AAPL"])
    assert panel.sectors == ("", "Technology") and lake.equities.bars.panel(["MSFT"]).sectors == ()
    assert lake.equities.bars.panel().data_version != before.data_version
    assert (held.rows, held.sources) == (2, ("sectors.csv",)) and lake.equities.sectors.stored() == held
    assert lake.equities.sectors.ingest(tmp_path / "sectors.csv") == held
    after = lake.equities.sectors.ingest(pl.DataFrame({"symbol": ["MSFT", "XOM"], "sector": ["Technology", "Oil "]}))
    assert after.version != held.version and after.rows == 3
    assert lake.equities.sectors.of(["XOM", "MSFT", "SPY"]) == ("Oil", "Technology", "")


BAD = [
    (pl.DataFrame({"symbol": ["A"]}), "no column 'sector'"),
    (SECTORS.clear(), "holds no rows"),
    (pl.DataFrame({"symbol": ["A", "A"], "sector": ["x", "y"]}), "two sectors"),
    (pl.DataFrame({"symbol": ["A", "B"], "sector": ["x", None]}), "a value is missing"),
    (pl.DataFrame({"symbol": ["A", "B"], "sector": ["x", "  "]}), "blank"),
    (pl.DataFrame({"symbol": ["a b"], "sector": ["x"]}), "not a ticker"),
]


@pytest.mark.parametrize(("frame", "words"), BAD, ids=[words for _, words in BAD])
def test_sectors_that_cannot_be(lake: Lake, frame: pl.DataFrame, words: str) -> None:
    with pytest.raises(DataError, match=words):
        lake.equities.sectors.ingest(frame)
    with pytest.raises(InputError, match="no such file"):
        lake.equities.sectors.ingest("nowhere.csv")
    assert lake.equities.sectors.stored() is None


def test_damaged_sectors_are_named(lake: Lake) -> None:
    held = lake.equities.sectors.ingest(SECTORS)
    Path(held.files()[0]).write_text("not Parquet")
    with pytest.raises(DataError, match="cannot be read"):
        open_lake(lake.root).equities.sectors.read()
