import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.platform.telemetry import StepTimer, merged, percentile, summary


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=50), st.sampled_from([0.0, 0.5, 0.99, 1.0]))
def test_percentiles_are_numpys(values: list[int], share: float) -> None:
    assert percentile(sorted(values), share) == pytest.approx(np.percentile(values, share * 100), abs=1)


def test_the_newest_durations_stay() -> None:
    timer = StepTimer(kept_max=3)
    for ns in range(5):
        timer.record("step", ns)
    assert timer.durations() == {"step": [2, 3, 4]}
    timer.clear()
    assert timer.durations() == {}


def test_processes_come_together() -> None:
    whole = merged([{"a": [1, 2]}, {"a": [3], "b": [4]}])
    assert whole == {"a": [1, 2, 3], "b": [4]}
    assert summary("a", whole["a"]).p50_ns == 2
    with pytest.raises(ValueError):
        summary("c", [])
