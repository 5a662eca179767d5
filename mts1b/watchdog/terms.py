"""From the settings to what the detectors and the book take."""

from __future__ import annotations

from mts1b.config_sections import ConsumerAlerts, DatabaseAlerts, DependencyAlerts, DriftAlerts, VpinAlerts, Watchdog
from mts1b.watchdog import consumers, database, dependencies
from mts1b.watchdog.book import Terms
from mts1b.watchdog.consumers import ConsumerLevels
from mts1b.watchdog.database import DatabaseLevels
from mts1b.watchdog.drift import DriftLevels
from mts1b.watchdog.flow import FlowTerms
from mts1b.watchdog.grade import Levels
from mts1b.watchdog.series import FEATURE_ALERT, PNL_ALERT, WindowTerms


def alert_terms(section: Watchdog) -> dict[str, Terms]:
    """How long each must last before it is an alert, where that is not at once."""
    return {
        dependencies.ALERT: Terms(section.dependency.down_for_s),
        dependencies.LATENCY_ALERT: Terms(section.dependency.slow_for_s),
        consumers.ALERT: Terms(section.consumer.slow_for_s),
        consumers.UNREAD_ALERT: Terms(section.consumer.unread_for_s),
        database.POOL_ALERT: Terms(section.database.waiting_for_s),
    }


def latency_levels(section: DependencyAlerts) -> Levels:
    return Levels(section.latency_ms_warning, section.latency_ms_critical)


def consumer_levels(section: ConsumerAlerts) -> ConsumerLevels:
    return ConsumerLevels(
        wait=Levels(section.wait_warning, section.wait_critical),
        in_flight=Levels(section.in_flight_warning, section.in_flight_critical),
    )


def database_levels(section: DatabaseAlerts) -> DatabaseLevels:
    return DatabaseLevels(
        pool_waiting=Levels(section.pool_waiting_warning, section.pool_waiting_critical, release=1.0),
        transaction_s=Levels(section.transaction_s_warning, section.transaction_s_critical),
        lock_wait_s=Levels(section.lock_wait_s_warning, section.lock_wait_s_critical),
        connections_share=Levels(section.connections_share_warning, section.connections_share_critical),
        dead_share=Levels(section.dead_share_warning, section.dead_share_critical),
        dead_rows_min=section.dead_rows_min,
    )


def drift_terms(section: DriftAlerts) -> dict[str, WindowTerms]:
    """By alert: features and returns are judged alike."""
    levels = DriftLevels(
        psi=Levels(section.psi_warning, section.psi_critical),
        p_value=section.p_value,
        observed_min=section.observed_min,
    )
    return dict.fromkeys((FEATURE_ALERT, PNL_ALERT), WindowTerms(section.window, levels))


def flow_terms(section: VpinAlerts) -> FlowTerms:
    return FlowTerms(
        buckets=section.buckets,
        buckets_per_day=section.buckets_per_day,
        level=Levels(section.level_warning, section.level_critical),
        rank=Levels(section.rank_warning, section.rank_critical, release=0.97),
        rank_floor=section.rank_floor,
        history_min=section.history_min,
    )
