"""The hot path's benchmark at its quick size: the venue's log agrees, every step was measured. No time is asserted."""

from __future__ import annotations

from actors.latency import HOT_PATH
from mts1b.bench.hotpath import hotpath
from mts1b.bench.session import Session
from mts1b.config import Settings
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.limits import VETO_TIMEOUT_S


def test_every_step_of_the_sources_table_is_measured(settings: Settings) -> None:
    found = hotpath(Session(SystemClock(), quick=True), settings)
    figures = found.figures
    assert figures["orders"] == 40 and figures["fills"] == 50
    for step in (*(budget.step for budget in HOT_PATH), "signal_to_venue", "risk_inside_signal_to_venue"):
        assert 0 < figures[f"{step}_p50_ms"] <= figures[f"{step}_p99_ms"] <= figures[f"{step}_p999_ms"]
    assert figures["floor_ratio"] == figures["signal_to_venue_p99_ms"] / figures["floor_sum_p99_ms"]
    judged = {name: kept for name, kept in found.versus.items() if name.endswith("_within")}
    assert figures["veto_slow_p99_ms"] >= 50 and figures["veto_hung_ms"] >= 1e3 * VETO_TIMEOUT_S
    assert len(judged) == len(HOT_PATH) + 2 + 3 and set(judged.values()) <= {0.0, 1.0}
