"""What each service of the performance notes is here: an actor, a job, or a library that runs in whoever calls it."""

from __future__ import annotations

from dataclasses import dataclass

from mts1b.config import Settings
from mts1b.deploy.observation import targets_dir
from mts1b.platform.telemetry.targets import live_targets


@dataclass(frozen=True, slots=True)
class Service:
    """`name` as its operations are told under. `code`: the module that holds it, as a path of this repository."""

    name: str
    kind: str
    here: str
    code: str
    begun_by: str


SERVICES = (
    Service("marketdata", "actor", "feed-<fund>", "actors/feed.py", "mts paper run"),
    Service("oms", "actor", "oms-<fund>, with broker-<fund> before the venue", "actors/oms.py", "mts paper run"),
    Service("riskengine", "actor", "risk-<fund>", "actors/risk.py", "mts paper run"),
    Service("research", "job", "Ray tasks of one CPU each", "jobs/sweep.py", "mts sweep, mts walk-forward"),
    Service("GPUbacktester", "job", "Ray tasks of one GPU each", "jobs/fanout.py", "mts sweep --backend gpu"),
    Service("datalake", "library", "in whoever reads or writes bars", "mts1b/datalake/bars.py", "mts data ingest"),
)
"""In the order of the notes. The strategy of a fund is an actor of its own, `strategy-<fund>`."""


@dataclass(frozen=True, slots=True)
class Running:
    """A service with the processes that show metrics of it now, by their funds."""

    service: Service
    processes: int
    funds: tuple[str, ...]


def running(settings: Settings) -> list[Running]:
    """Every service; those of jobs show their metrics through Ray and are not counted here."""
    live = live_targets(targets_dir(settings))
    found = []
    for service in SERVICES:
        own = [labels for labels in live if labels["service"] == service.name]
        funds = sorted({labels["fund"] for labels in own if "fund" in labels})
        found.append(Running(service, len(own), tuple(funds)))
    return found
