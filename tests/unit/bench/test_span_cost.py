from __future__ import annotations

import pytest

from mts1b.bench import span_cost
from mts1b.bench.session import Session
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.errors import InvariantBroken


def test_spans_beside_the_sdks_after_both_tell_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(SystemClock(), quick=True)
    found = span_cost.spans(session)
    assert found.figures["recorded_us"] > 0 and found.figures["span_us"] > 0
    assert found.versus["ratio_to_otel"] == found.versus["otel_span_us"] / found.figures["span_us"]
    monkeypatch.setattr(span_cost, "_their_tree", lambda: [("outer", "", {})])
    with pytest.raises(InvariantBroken, match="the SDK tells of"):
        span_cost.spans(session)
