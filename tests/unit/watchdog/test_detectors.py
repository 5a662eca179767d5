"""Consumers, dependencies and the database: tables of what is found and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mts1b.foundation.alerts import Ease, Finding, Severity
from mts1b.platform.eventbus import ConsumerLag
from mts1b.riskengine.verdict import Mode
from mts1b.watchdog import consumers, database, dependencies
from mts1b.watchdog.database import (
    DatabaseLevels,
    LockWait,
    PoolFigures,
    ServerFigures,
    TableFigures,
    Transaction,
    pool_findings,
    server_findings,
)
from mts1b.watchdog.dependencies import Answer, dependency_findings
from mts1b.watchdog.funds import FundMode, fund_findings
from mts1b.watchdog.grade import Levels

BAD, WORSE, WELL, HOLDS = Severity.WARNING, Severity.CRITICAL, Ease.WELL, Ease.HOLDS


def states(findings: list[Finding]) -> dict[tuple[str, str], Severity | Ease]:
    return {(finding.alert, finding.subject): finding.state for finding in findings}


@pytest.mark.parametrize(
    ("wait", "in_flight", "readers", "delivered", "slow", "unread"),
    [
        (0, 0, 0, 7, WELL, WELL),
        (999, 0, 1, 7, HOLDS, WELL),
        (1_000, 0, 1, 7, BAD, WELL),
        (10_000, 10, 1, 9, WORSE, WELL),
        (0, 500, 0, 9, BAD, WELL),
        (5, 100, 0, 9, WELL, WELL),
        (1, 0, 0, 7, WELL, BAD),
        (0, 1, 0, 7, WELL, BAD),
        (20_000, 0, 0, 7, WORSE, BAD),
    ],
)
def test_a_consumer(
    wait: int, in_flight: int, readers: int, delivered: int, slow: Severity | Ease, unread: Severity | Ease
) -> None:
    """Seven deliveries were counted when it was last looked at."""
    lag = ConsumerLag("mts", "books", "mts.v1.>", wait, in_flight, 0, readers, delivered)
    found = states(consumers.consumer_findings([lag], consumers.ConsumerLevels(), {"mts/books": 7}))
    assert found == {("slow_consumer", "mts/books"): slow, ("unread_consumer", "mts/books"): unread}
    first = states(consumers.consumer_findings([lag], consumers.ConsumerLevels()))
    assert first["unread_consumer", "mts/books"] is WELL and consumers.deliveries([lag]) == {"mts/books": delivered}


def test_a_dependency_is_up_slow_or_down() -> None:
    answers = [Answer("nats", 1.0), Answer("valkey", 700.0), Answer("postgres", 2_000.0, "no answer")]
    found = states(dependency_findings(answers, Levels(500, 1_000)))
    assert found == {
        ("dependency", "nats"): WELL,
        ("dependency_latency", "nats"): WELL,
        ("dependency", "valkey"): WELL,
        ("dependency_latency", "valkey"): BAD,
        ("dependency", "postgres"): WORSE,
        ("dependency_latency", "postgres"): HOLDS,
    }
    assert dependencies.ALERT == "dependency"


@pytest.mark.parametrize(("waiting", "wanted"), [(0, WELL), (1, BAD), (19, BAD), (20, WORSE)])
def test_a_pool(waiting: int, wanted: Severity | Ease) -> None:
    (found,) = pool_findings([PoolFigures("oms", "primary", 20, 0, waiting)], DatabaseLevels())
    assert (found.subject, found.state) == ("oms/primary", wanted)


@pytest.mark.parametrize(
    ("latched", "told", "wanted"),
    [
        (Mode.ACTIVE, Mode.ACTIVE, WELL),
        (Mode.REDUCING, Mode.ACTIVE, BAD),
        (Mode.HALTED, Mode.REDUCING, WORSE),
        (Mode.ACTIVE, Mode.HALTED, WORSE),
    ],
)
def test_a_fund_that_is_held_back(latched: Mode, told: Mode, wanted: Severity | Ease) -> None:
    (found,) = fund_findings([FundMode("f", latched, told)])
    assert (found.alert, found.subject, found.state) == ("risk_mode", "f", wanted)
    assert ("by a person" in found.summary) == (told.severity > latched.severity)


CALM = ServerFigures(connections=3, connections_max=100)
SERVERS: list[tuple[ServerFigures, str, Severity | Ease]] = [
    (CALM, database.TRANSACTION_ALERT, WELL),
    (replace(CALM, transactions=(Transaction(7, "oms", "active", 59.0),)), database.TRANSACTION_ALERT, HOLDS),
    (replace(CALM, transactions=(Transaction(7, "", "idle in transaction", 61.0),)), database.TRANSACTION_ALERT, BAD),
    (replace(CALM, transactions=(Transaction(7, "", "active", 1_000.0),)), database.TRANSACTION_ALERT, WORSE),
    (replace(CALM, lock_waits=(LockWait(8, "", "orders", 4.0, (7,)),)), database.LOCK_ALERT, HOLDS),
    (replace(CALM, lock_waits=(LockWait(8, "", "orders", 6.0, (7,)),)), database.LOCK_ALERT, BAD),
    (replace(CALM, connections=85), database.CONNECTIONS_ALERT, BAD),
    (replace(CALM, connections=97), database.CONNECTIONS_ALERT, WORSE),
    (replace(CALM, tables=(TableFigures("public.orders", 100, 9_999),)), database.BLOAT_ALERT, WELL),
    (replace(CALM, tables=(TableFigures("public.orders", 100_000, 11_000),)), database.BLOAT_ALERT, WELL),
    (replace(CALM, tables=(TableFigures("public.orders", 20_000, 11_000),)), database.BLOAT_ALERT, BAD),
    (replace(CALM, tables=(TableFigures("public.orders", 0, 11_000),)), database.BLOAT_ALERT, WORSE),
]


@pytest.mark.parametrize(("figures", "alert", "wanted"), SERVERS)
def test_a_server(figures: ServerFigures, alert: str, wanted: Severity | Ease) -> None:
    found = {item.alert: item for item in server_findings("primary", figures, DatabaseLevels())}
    assert found[alert].state == wanted
    others = {item.state for name, item in found.items() if name != alert}
    assert others <= {WELL}


def test_the_longest_speaks_for_all_and_names_who_holds_the_lock() -> None:
    waits = (LockWait(8, "oms", "orders", 6.0, (7, 9)), LockWait(10, "", "fills", 2.0, ()))
    found = {item.alert: item for item in server_findings("primary", replace(CALM, lock_waits=waits), DatabaseLevels())}
    assert found[database.LOCK_ALERT].summary == "pid 8 waits 6.0 s for orders, held by 7, 9"
    assert dict(found[database.LOCK_ALERT].numbers) == {"waited_s": 6.0, "pid": 8.0, "waits_count": 2.0}
