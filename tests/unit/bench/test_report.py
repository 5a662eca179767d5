"""The page made from saved results: every table of the source, ours beside it, nothing from the clock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mts1b.bench.report import NOT_MEASURED, number, page, shown
from mts1b.bench.source_tables import SOURCE_TABLES
from mts1b.foundation.errors import DataError, InputError

MACHINE = {
    "processor": "abacus",
    "cores": 2,
    "memory_gb": 8,
    "system": "Linux",
    "python": "3.11",
    "load_average": 0.1,
    "date": "2020-02-02",
}


def save(folder: Path, name: str, figures: dict[str, float], file: str | None = None) -> None:
    content = {"name": name, "figures": figures, "versus": {"ratio_to_peer": 12.0}, "machine": MACHINE}
    (folder / f"{file or name}.json").write_text(json.dumps(content))


def test_every_row_of_the_source_is_there_and_says_when_nothing_is_measured(tmp_path: Path) -> None:
    text = page(tmp_path)
    for table in SOURCE_TABLES:
        assert table.title in text
        for row in table.rows:
            assert " | ".join(row) in text
            assert not table.ours or len(table.ours) == len(table.rows)
    assert text.count(NOT_MEASURED) == sum(len(t.rows) * len(t.our_columns) for t in SOURCE_TABLES)
    assert "Nothing yet" in text


def test_ours_stands_beside_the_source_with_the_ratio(tmp_path: Path) -> None:
    save(tmp_path, "ladder", {"wall_s": 30.0, "peak_memory_gb": 3.5})
    text = page(tmp_path)
    assert "| CPU | ~10 hours | 30 s (1,200x) |" in text
    assert "| GPU (H100) | ~10 minutes | 30 s (20x) |" in text
    unknown = " | ".join([NOT_MEASURED] * 6)
    assert f"| mts1b-research (service) | 200 MB | 1-4 GB (active sweep) | {unknown} | 3.5 GB |" in text
    assert "2020-02-02: abacus, 2 cores" in text and "| ratio_to_peer | 12 |" in text
    assert page(tmp_path) == text


def test_what_is_not_a_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        page(tmp_path / "nowhere")
    save(tmp_path, "ladder", {"wall_s": 1.0}, file="other")
    with pytest.raises(DataError, match="is of ladder"):
        page(tmp_path)
    save(tmp_path, "other", {"wall_s": 1.0, "quick": 1.0})
    with pytest.raises(DataError, match="quick"):
        page(tmp_path)
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(DataError, match="not a benchmark's result"):
        page(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("wall_s", 29.31, "29.3 s"),
        ("p99_ms", 0.0123, "0.0123 ms"),
        ("bar_steps_per_s", 8.4e9, "8.40e+09"),
        ("outside_kernel_share", 0.1234, "12.3%"),
        ("combinations", 100_000, "100,000"),
        ("ratio_to_vectorbt", 1234.5, "1,234"),
        ("peak_memory_gb", 3.456, "3.46 GB"),
    ],
)
def test_figures_carry_their_unit(name: str, value: float, text: str) -> None:
    assert shown(name, value) == text
    assert number(value) in (text, text.partition(" ")[0]) or name.endswith("_share")
