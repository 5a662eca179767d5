"""The frame of the benchmarks: names, the standing JSON, the made-up market. Timings are never asserted."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mts1b.bench import kernel as benched
from mts1b.bench.catalogue import BENCHMARKS, chosen
from mts1b.bench.result import BenchResult
from mts1b.bench.universe import made_up_panel
from mts1b.foundation.errors import InvariantBroken, UnknownNameError
from mts1b.testing.clock import SimulatedClock


def test_names() -> None:
    assert chosen("all") == list(BENCHMARKS) and chosen("kernel") == ["kernel"]
    with pytest.raises(UnknownNameError, match="kernel"):
        chosen("kernl")


def test_the_standing_form() -> None:
    content = json.loads(BenchResult("x", {"wall_s": 1.0}, {"ratio_to_peer": 2.0}).to_json())
    assert set(content) == {"name", "figures", "versus", "machine"} and content["figures"] == {"wall_s": 1.0}
    assert content["machine"]["cores"] >= 1


def test_the_same_seed_makes_the_same_market() -> None:
    first, again, other = (made_up_panel(3, 50, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.close, again.close) and not np.array_equal(first.close, other.close)
    assert bool((first.high >= first.low).all())


def test_unequal_results_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark refuses to speak of speed when the fast backend is wrong."""
    monkeypatch.setattr(benched, "BARS", 60)
    monkeypatch.setattr(benched, "NAMES", 2)
    monkeypatch.setattr(benched, "FAST", np.array([5.0, 6.0]))
    monkeypatch.setattr(benched, "SLOW", np.array([20.0, 24.0]))
    monkeypatch.setattr(benched, "CHECKED", 4)
    right = benched.evaluate

    def wrong(*given: object, backend: str = "cpu", **named: object) -> object:
        found = right(*given, backend=backend, **named)  # type: ignore[arg-type]
        if backend == "cpu":
            found.metrics["sharpe"][0] += 1.0
        return found

    clock = TickingClock()
    assert benched.kernel(clock).figures["wall_s"] > 0
    monkeypatch.setattr(benched, "evaluate", wrong)
    with pytest.raises(InvariantBroken, match="sharpe"):
        benched.kernel(clock)


class TickingClock(SimulatedClock):
    """Every look at it takes a millisecond."""

    def monotonic_ns(self) -> int:
        self.advance(1_000_000)
        return super().monotonic_ns()
