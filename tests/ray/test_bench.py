"""The benchmarks that need Ray, at quick sizes: they show equal results, count kernel time and see memory."""

from __future__ import annotations

import pytest

from mts1b.bench.ladder import ladder_million
from mts1b.bench.session import Session
from mts1b.bench.walkforward import walkforward
from mts1b.foundation.clock import SystemClock


def test_the_ladder_through_ray(settings) -> None:
    told: list[str] = []
    found = ladder_million(Session(SystemClock(), quick=True, tell=told.append), settings)
    figures = found.figures
    assert figures["combinations"] == 40 * 64 and found.versus["source_h100_wall_s"] == 600
    assert 0 < figures["kernel_s"] < figures["busy_s"] < figures["cores"] * figures["wall_s"]
    assert figures["outside_kernel_share"] == pytest.approx(
        1 - figures["kernel_s"] / figures["cores"] / figures["wall_s"]
    )
    assert 0.1 < figures["peak_memory_gb"] < 100
    assert any("combinations" in text for text in told) and any("reference" in text for text in told)


def test_cross_validation_against_the_plain_sweep(settings) -> None:
    found = walkforward(Session(SystemClock(), quick=True), settings)
    assert found.figures["folds"] == 20 and found.figures["combinations"] == 10 * 32
    assert found.versus["ratio_to_plain"] == found.figures["wall_s"] / found.versus["plain_wall_s"]
