"""The benchmark of the lake, small: what it makes, asks, counts and hands over. Timings are never asserted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mts1b.bench.compression import compression
from mts1b.bench.lake_market import market
from mts1b.bench.lake_peer import FIELDS, LOCK, hand_over
from mts1b.bench.pages import evict, resident_bytes, touched
from mts1b.bench.session import Session
from mts1b.foundation.clock import SystemClock

QUICK = Session(SystemClock(), quick=True)


def test_pages_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(1 << 22))
    evict([file])
    assert resident_bytes(file) == 0

    def read(size: int) -> bytes:
        with file.open("rb") as opened:
            return opened.read(size)

    few, _ = touched([file], lambda: read(4_096))
    every, _ = touched([file], lambda: read(1 << 22))
    assert 0 < few.page_share < 1 and every.page_share == 1.0 and every.asked_bytes >= 1 << 22


def test_what_is_handed_over_is_name_after_name(tmp_path: Path) -> None:
    made = market(3)
    rows = hand_over(tmp_path, "", "daily", made.bars.partition_by("symbol"), made.bars.height)
    assert sum(rows) == made.bars.height and "arcticdb==6.28.2" in LOCK.read_text()
    for name in ("ts", *FIELDS["daily"]):
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), made.bars[name].to_physical().to_numpy())


@pytest.mark.filterwarnings("ignore::mts1b.datalake.dataset.UnfilteredRead")
def test_every_kind_of_the_sources_table_is_measured(tmp_path: Path) -> None:
    found = compression(QUICK)
    assert {f"compression_{kind}_ratio" for kind in ("daily", "intraday", "news", "options")} < set(found)
    assert all(value > 1.5 for name, value in found.items() if name.endswith("_ratio"))
