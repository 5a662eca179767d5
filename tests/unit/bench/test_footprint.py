from __future__ import annotations

import pytest

from mts1b.bench.footprint import note_task
from mts1b.bench.footprint_services import Findings


def test_what_exceeds_its_figure_is_said_to() -> None:
    found, base = Findings(), {"rss_mb": 20.0, "uss_mb": 10.0}
    held = {"base": base, "idle": base, "active": {"rss_mb": 25.6, "uss_mb": 15.0}}
    note_task("redis", held, found)
    note_task("nats", held | {"active": {"rss_mb": 25.4, "uss_mb": 15.0}}, found)
    assert found.figures["redis_rss_mb"] == pytest.approx(5.6) and found.figures["redis_uss_mb"] == 5.0
    assert found.within == {"redis": False, "nats": True}
    found.note_worker("small", {"rss_mb": 150.0, "uss_mb": 70.0}, {"rss_mb": 140.0, "uss_mb": 60.0}, 80.0)
    found.note_worker("large", {"rss_mb": 210.0, "uss_mb": 70.0}, {"rss_mb": 140.0, "uss_mb": 60.0}, 200.0)
    assert found.within["small"] and not found.within["large"], "the base is judged apart where it alone is too large"
    for figure_mb, kept in ((170.0, False), (165.0, False), (159.0, True)):
        found.note_worker("near", {"rss_mb": 180.0, "uss_mb": 70.0}, {"rss_mb": 140.0, "uss_mb": 60.0}, figure_mb)
        assert found.within["near"] is kept, "or where it leaves no room for what every service has"
