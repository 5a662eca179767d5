"""The frame of the benchmarks: names, the standing JSON, the made-up market. Timings are never asserted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mts1b.bench import kernel as benched
from mts1b.bench.catalogue import BENCHMARKS, chosen, run
from mts1b.bench.equal import require_equal
from mts1b.bench.result import BenchResult, read_result
from mts1b.bench.session import Session
from mts1b.bench.universe import made_up_panel
from mts1b.foundation.errors import InvariantBroken, UnknownNameError
from mts1b.testing.clock import SimulatedClock


class TickingClock(SimulatedClock):
    """Every look at it takes a millisecond."""

    def monotonic_ns(self) -> int:
        self.advance(1_000_000)
        return super().monotonic_ns()


def test_names() -> None:
    assert chosen("all") == list(BENCHMARKS) and chosen("kernel") == ["kernel"]
    with pytest.raises(UnknownNameError, match="kernel"):
        chosen("kernl")


def test_a_quick_result_says_so() -> None:
    assert run("kernel", Session(TickingClock(), quick=True)).figures["quick"] == 1.0


def test_the_standing_form(tmp_path: Path) -> None:
    text = BenchResult("x", {"wall_s": 1.0}, {"ratio_to_peer": 2.0}).to_json(SimulatedClock(1_600_000_000 * 10**9))
    content = json.loads(text)
    assert set(content) == {"name", "figures", "versus", "machine"} and content["figures"] == {"wall_s": 1.0}
    assert content["machine"]["cores"] >= 1 and content["machine"]["date"] == "2020-09-13"
    (tmp_path / "x.json").write_text(text)
    assert read_result(tmp_path / "x.json").versus == {"ratio_to_peer": 2.0}


def test_the_same_seed_makes_the_same_market() -> None:
    first, again, other = (made_up_panel(3, 50, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.close, again.close) and not np.array_equal(first.close, other.close)
    assert bool((first.high >= first.low).all())


def test_the_best_of_several_runs() -> None:
    clock = SimulatedClock()
    takes = iter([5, 2, 3])
    seconds, last = Session(clock).best_of(3, lambda: clock.advance(next(takes) * 10**9) or "done")
    assert (seconds, last) == (2.0, "done")


def test_unequal_values_are_named() -> None:
    wanted = {"sharpe": np.array([1.0, 2.0, np.nan])}
    require_equal("x", {"sharpe": np.array([1.0, 2.0 + 1e-12, np.nan])}, wanted)
    with pytest.raises(InvariantBroken, match=r"sharpe=\(2.1, 2.0\): x at \(1,\)"):
        require_equal("x", {"sharpe": np.array([1.0, 2.1, np.nan])}, wanted)


def test_unequal_results_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark refuses to speak of speed when the fast backend is wrong."""
    right = benched.evaluate

    def wrong(*given: object, backend: str = "cpu", **named: object) -> object:
        found = right(*given, backend=backend, **named)  # type: ignore[arg-type]
        if backend == "cpu":
            found.metrics["sharpe"][0] += 1.0
        return found

    session = Session(TickingClock(), quick=True)
    assert benched.kernel(session).figures["wall_s"] > 0
    monkeypatch.setattr(benched, "evaluate", wrong)
    with pytest.raises(InvariantBroken, match="sharpe"):
        benched.kernel(session)
