"""What goes wrong in a story: drawn from its seed, at moments of time and at persistence points."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random

from mts1b.foundation.clock import NS_PER_MS, NS_PER_S
from mts1b.testing.sim.network import Weather

FAULTS_MIN, FAULTS_MAX = 3, 6
POINT_MAX = 360
TIME_MAX_NS = 14 * NS_PER_S


class Kind(StrEnum):
    CRASH_BEFORE = "crash_before_write"
    CRASH_AFTER = "crash_after_write"
    STOP_BEFORE = "stop_before_write"
    STOP_AFTER = "stop_after_write"
    FAIL_BEFORE = "fail_write"
    FAIL_AFTER = "fail_write_that_is_durable"
    CRASH = "crash"
    STOP = "stop"
    STALL_VENUE = "stall_venue"
    STORM = "storm"
    BUS_DOWN = "bus_down"
    SECOND_OMS = "second_oms"
    CRASH_RISK = "crash_risk"
    STOP_RISK = "stop_risk"


AT_POINTS = (
    Kind.CRASH_BEFORE,
    Kind.CRASH_AFTER,
    Kind.STOP_BEFORE,
    Kind.STOP_AFTER,
    Kind.FAIL_BEFORE,
    Kind.FAIL_AFTER,
)
STOP_NS = (100 * NS_PER_MS, 12 * NS_PER_S)
STALL_NS = (500 * NS_PER_MS, 9 * NS_PER_S)
STORM_NS = (500 * NS_PER_MS, 6 * NS_PER_S)


@dataclass(frozen=True, slots=True)
class Fault:
    """`at`: the number of the point for those at persistence points, else nanoseconds. `lasts_ns`, where it ends."""

    kind: Kind
    at: int
    lasts_ns: int
    weather: Weather


def draw(random: Random) -> list[Fault]:
    """A story's faults, of both sorts."""
    return [_fault(random) for _ in range(random.randint(FAULTS_MIN, FAULTS_MAX))]


def _fault(random: Random) -> Fault:
    kind = random.choice(list(Kind))
    at = random.randint(3, POINT_MAX) if kind in AT_POINTS else random.randint(NS_PER_S, TIME_MAX_NS)
    span = STORM_NS if kind is Kind.STORM else STALL_NS if kind in (Kind.STALL_VENUE, Kind.BUS_DOWN) else STOP_NS
    weather = Weather(random.random() * 0.4, random.random() * 0.3, random.random() * 0.3)
    return Fault(kind, at, random.randint(*span), weather)
