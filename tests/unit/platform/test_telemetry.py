from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mts1b.foundation.errors import InputError
from mts1b.platform import telemetry
from mts1b.platform.telemetry import Histogram, Recorder, bucket_of, upper_ns

durations = st.integers(min_value=0, max_value=10**13)


@given(durations)
def test_a_bucket_holds_its_duration_within_its_error(duration_ns: int) -> None:
    upper = upper_ns(bucket_of(duration_ns))
    assert duration_ns <= upper <= duration_ns * (1 + 2**-telemetry.SUB_BUCKETS_BITS)


@given(st.integers(min_value=0, max_value=10**5))
def test_buckets_follow_each_other_without_gap(bucket: int) -> None:
    assert bucket_of(upper_ns(bucket)) == bucket
    assert bucket_of(upper_ns(bucket) + 1) == bucket + 1


@given(st.lists(durations, min_size=1, max_size=200), st.sampled_from([0, 1, 50, 99, 99.9, 100]))
def test_percentile_is_nearest_rank_rounded_up_within_the_error(found: list[int], percent: float) -> None:
    histogram = Histogram()
    for duration in found:
        histogram.add(duration)
    exact = sorted(found)[max(1, math.ceil(len(found) * percent / 100)) - 1]
    assert exact <= histogram.percentile_ns(percent) <= exact * (1 + 2**-telemetry.SUB_BUCKETS_BITS)
    assert histogram.percentile_ns(100) == max(found)


@settings(deadline=None)
@given(st.lists(durations), st.lists(durations))
def test_merging_equals_recording_in_one_place(ours: list[int], theirs: list[int]) -> None:
    here, there, both = Recorder(), Recorder(), Recorder()
    for recorder, found in ((here, ours), (there, theirs), (both, ours + theirs)):
        for duration in found:
            recorder.record("submit", duration)
    here.merge(pickle.loads(pickle.dumps(there)))
    assert here.table(["submit"]) == both.table(["submit"])


class Ticking:
    """A clock that moves by 5 ns each time it is read."""

    reading = 0

    def now_ns(self) -> int:
        return self.monotonic_ns()

    def monotonic_ns(self) -> int:
        self.reading += 5
        return self.reading


def test_timed_records_also_when_the_body_raises() -> None:
    recorder = Recorder()
    with pytest.raises(ZeroDivisionError), recorder.timed("sizing", Ticking()):
        _ = 1 / 0
    (row,) = recorder.table()
    assert (row.step, row.count, row.p50_ns, row.longest_ns) == ("sizing", 1, 5, 5)


def test_bounds_are_kept() -> None:
    recorder = Recorder()
    with pytest.raises(InputError, match="negative"):
        recorder.record("x", -1)
    for number in range(telemetry.STEPS_MAX):
        recorder.record(f"step {number}", 1)
    with pytest.raises(InputError, match="name steps"):
        recorder.record("one more", 1)
    assert recorder.table(["never"])[0].count == 0
