"""Features, settings as terms, and pools as a metrics page shows them."""

from __future__ import annotations

import numpy as np
import pytest

from mts1b.config_sections import DatabaseAlerts, Watchdog
from mts1b.watchdog import terms
from mts1b.watchdog.consumers import ConsumerLevels
from mts1b.watchdog.database import DatabaseLevels, PoolFigures
from mts1b.watchdog.dependencies import ALERT as DEPENDENCY
from mts1b.watchdog.drift import DriftLevels
from mts1b.watchdog.features import bar_features, first_order_returns
from mts1b.watchdog.flow import FlowTerms
from mts1b.watchdog.pools import pools_on
from mts1b.watchdog.series import FEATURE_ALERT


def test_features_know_no_price_level() -> None:
    rng = np.random.default_rng(0)
    before, bar = (np.sort(rng.uniform(10, 20, (5, 4)), axis=0)[[1, 3, 0, 2, 4]] for _ in range(2))
    found = bar_features(before, bar, np.array([1.0, 0.0, 0.5, 1.0]))
    assert found["return"] == pytest.approx(np.log(bar[3] / before[3]))
    assert found["range"] == pytest.approx((bar[1] - bar[2]) / bar[3])
    grown = bar_features(before * 7, bar * 7, found["target"])
    for name, values in found.items():
        assert grown[name] == pytest.approx(values), name


def test_a_name_without_a_bar_has_no_features() -> None:
    before, bar = np.full((5, 2), 10.0), np.full((5, 2), 10.0)
    bar[:, 1] = np.nan
    found = bar_features(before, bar, np.zeros(2))
    assert np.isnan(found["return"]).tolist() == [False, True] and found["target"].tolist() == [0, 0]


def test_returns_of_targets_by_hand() -> None:
    """Two names, each half of the money: 1 and 0.5 of its half held; moves of 10 % and -10 %, then one name is gone."""
    close = np.array([[10.0, 20.0], [11.0, 18.0], [np.nan, 19.8]])
    targets = np.array([[1.0, 0.5], [1.0, 1.0], [0.0, 0.0]])
    assert first_order_returns(close, targets) == pytest.approx([(0.1 - 0.05) / 2, 0.1 / 2])


def test_settings_say_what_the_detectors_say_by_themselves() -> None:
    """Two places hold the defaults; they must not part."""
    section = Watchdog()
    assert terms.consumer_levels(section.consumer) == ConsumerLevels()
    assert terms.database_levels(section.database) == DatabaseLevels()
    assert terms.flow_terms(section.vpin) == FlowTerms()
    assert terms.drift_terms(section.drift)[FEATURE_ALERT].levels == DriftLevels()
    assert terms.alert_terms(section)[DEPENDENCY].raise_after_s == section.dependency.down_for_s
    assert terms.latency_levels(section.dependency).warning == 500


def test_a_warning_above_its_critical_level_is_refused() -> None:
    with pytest.raises(ValueError, match="lock_wait_s_warning"):
        DatabaseAlerts(lock_wait_s_warning=100)


PAGE = """# HELP postgres_pool_waiting Callers that wait for a connection.
# TYPE postgres_pool_waiting gauge
postgres_pool_waiting{pool="primary"} 3.0
postgres_pool_waiting{pool="reports"} 0.0
postgres_pool_active{pool="primary"} 20.0
postgres_pool_idle{fund="x",pool="primary"} 1.0
postgres_pool_waiting_more{pool="primary"} 9.0
mts_operation_seconds_count{operation="db.fetch"} 7.0
"""


def test_pools_are_read_from_a_page() -> None:
    assert pools_on(PAGE, "oms-1") == [
        PoolFigures("oms-1", "primary", 20, 1, 3),
        PoolFigures("oms-1", "reports", 0, 0, 0),
    ]
    assert pools_on("", "oms-1") == []
