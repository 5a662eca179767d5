from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from mts1b.foundation.clock import NS_PER_MS, NS_PER_S
from mts1b.foundation.errors import InputError
from mts1b.platform.telemetry import Collector, Histogram
from mts1b.platform.telemetry.exposition import BOUNDS_S, cumulative, shown
from mts1b.platform.telemetry.gauges import gauge
from mts1b.platform.telemetry.targets import live_targets, write_target


def read(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_prometheus_reads_operations_failures_and_gauges() -> None:
    collector = Collector()
    for took_ms in (1, 30, 70):
        collector.ended("broker_submit", took_ms * NS_PER_MS, (1, 1, 0), {})
    collector.ended("broker_submit", NS_PER_MS, (1, 1, 0), {}, OSError)
    gauge(
        "exposition_test_active", "Connections handed out.", lambda: [({"pool": "primary"}, 2.0), ({"pool": "b"}, 0.0)]
    )
    found = read(shown(collector))
    of = (("operation", "broker_submit"),)
    assert found["mts_operation_seconds_count", of] == 4
    assert found["mts_operation_seconds_sum", of] == pytest.approx(0.102)
    assert found["mts_operation_seconds_bucket", (("le", "0.05"), *of)] == 3
    assert found["mts_operation_seconds_bucket", (("le", "+Inf"), *of)] == 4
    assert found["mts_operation_failures_total", of] == 1
    assert found["exposition_test_active", (("pool", "primary"),)] == 2
    assert found["exposition_test_active", (("pool", "b"),)] == 0
    assert found["process_resident_memory_bytes", ()] > 1e6


def test_the_pools_gauges_have_the_sources_names() -> None:
    import mts1b.platform.db  # noqa: F401

    text = shown(Collector())
    for state in ("active", "idle", "waiting"):
        assert f"# TYPE postgres_pool_{state} gauge" in text


@given(st.lists(st.integers(0, 10**12), max_size=50))
def test_buckets_count_what_is_within_them(durations: list[int]) -> None:
    """At most 1.6 % of a bound below it a duration may be counted above it, never the other way round."""
    histogram = Histogram()
    for duration_ns in durations:
        histogram.add(duration_ns)
    counts = cumulative(histogram)
    assert counts[-1] == ("+Inf", len(durations))
    for bound_s, (_, count) in zip(BOUNDS_S, counts, strict=False):
        within = [duration for duration in durations if duration <= bound_s * NS_PER_S]
        surely = [duration for duration in durations if duration * (1 + 2**-6) <= bound_s * NS_PER_S]
        assert len(surely) <= count <= len(within)


@pytest.mark.parametrize("name", ["", "a-b", "1a", "a b"])
def test_a_gauge_has_a_metrics_name(name: str) -> None:
    with pytest.raises(InputError, match="no metric"):
        gauge(name, "x", lambda: [])


def test_a_process_is_listed_while_it_lives(tmp_path: Path) -> None:
    write_target(tmp_path / "targets" / "oms-1.json", 1234, {"service": "oms", "fund": "f"})
    (found,) = live_targets(tmp_path / "targets")
    assert (found["service"], found["fund"], found["address"]) == ("oms", "f", "127.0.0.1:1234")
    (entry,) = json.loads((tmp_path / "targets" / "oms-1.json").read_text())
    assert entry["targets"] == ["127.0.0.1:1234"] and entry["labels"]["__pid__"] == str(os.getpid())
    gone = tmp_path / "targets" / "oms-2.json"
    entry["labels"]["__created__"] = "1.0"  # the pid was another process's
    gone.write_text(json.dumps([entry]))
    (tmp_path / "targets" / "broken.json").write_text("{")
    assert len(live_targets(tmp_path / "targets")) == 1
    assert sorted(path.name for path in (tmp_path / "targets").iterdir()) == ["oms-1.json"]
    assert live_targets(tmp_path / "nowhere") == []
