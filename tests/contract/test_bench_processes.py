"""The benchmarks that measure in processes of their own: what they tell is read, what fails is named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mts1b.bench.first_use import measured
from mts1b.bench.session import Session
from mts1b.bench.single import single_minute
from mts1b.bench.versus_vectorbt import run_side
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.errors import InvariantBroken


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
