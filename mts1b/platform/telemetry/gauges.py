"""Numbers that stand for a state, read when somebody looks: connections of a pool, messages that wait."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mts1b.foundation.errors import InputError

Sample = tuple[Mapping[str, str], float]
"""Labels and value."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """`name` as Prometheus shows it. `read` gives one value for each set of labels, from any thread."""

    name: str
    help: str
    read: Callable[[], Iterable[Sample]]


_gauges: dict[str, Gauge] = {}


def gauge(name: str, help: str, read: Callable[[], Iterable[Sample]]) -> None:
    """Have this process show a number under this name, in place of an earlier one of the same name."""
    if not name.isidentifier() or not name.isascii():
        raise InputError("gauge", name, "is no metric's name", "give letters, digits and underscores")
    _gauges[name] = Gauge(name, help, read)


def gauges() -> list[Gauge]:
    """Every gauge of this process."""
    return list(_gauges.values())
