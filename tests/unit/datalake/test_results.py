"""The results of sweeps as datasets of the lake."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from mts1b.datalake import Lake, open_lake
from mts1b.foundation.errors import InputError, UnknownNameError

ROWS = pl.DataFrame(
    {
        "combination": [2, 0, 1],
        "fast": [7, 5, 6],
        "sharpe": [0.7, None, float("nan")],
        "drawdown": pl.Series([0.1, 0.2, 0.3], dtype=pl.Float32),
        "code_version": pl.Series(["a", "a", "a"], dtype=pl.Categorical),
    }
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = open_lake(tmp_path)
    made.research.results.write("abc1", ROWS)
    made.research.results.write("abc2", ROWS.select("combination", slow=pl.lit(3.5)))
    return made


def test_a_sweep_is_a_dataset_like_any_other(lake: Lake) -> None:
    results = lake.research.results
    read = results.read("abc1")
    assert read["combination"].to_list() == [0, 1, 2] and read.columns == ROWS.columns
    assert read["sharpe"][0] is None and read["sharpe"][2] == 0.7 and read["drawdown"].dtype == pl.Float64
    assert results.read("abc1", ["fast"]).columns == ["combination", "fast"]
    assert results.scan("abc1").filter(pl.col("fast") > 5).collect().height == 2
    assert results.sweeps() == ["abc1", "abc2"] and results.write("abc1", ROWS).snapshot.number == 1
    changed = results.write("abc1", ROWS.with_columns(fast=pl.col("fast") + 1))
    assert changed.snapshot.number == 2 and results.of("abc1").at(1).read()["fast"].to_list() == [5, 6, 7]
    assert results.of("abc1").verify() == 3
    assert [(one.dataset, one.interval, one.rows) for one in lake.all_stored()] == [
        ("research.results", "abc1", 3),
        ("research.results", "abc2", 3),
    ]


def test_what_cannot_be_a_result(lake: Lake) -> None:
    results = lake.research.results
    with pytest.raises(UnknownNameError, match="abc1"):
        results.read("abc9")
    with pytest.raises(InputError, match="not the key of a sweep"):
        results.write("../x", ROWS)
    with pytest.raises(InputError, match="number the combinations"):
        results.write("abc3", ROWS.drop("combination"))
    with pytest.raises(InputError, match="holds Struct"):
        results.write("abc3", ROWS.select("combination", odd=pl.struct("fast")))
