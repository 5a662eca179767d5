"""Values that follow one another, and what each series is compared with: the memory behind the drift alerts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from mts1b.foundation.alerts import Ease, Finding
from mts1b.foundation.errors import InputError
from mts1b.watchdog.book import Key
from mts1b.watchdog.drift import DriftLevels, Floats, Reference, drift_finding

FEATURE_ALERT = "drift_feature"
PNL_ALERT = "drift_pnl"

SERIES_MAX = 2_000
"""Series held at a time; the one that was silent for longest goes first."""

EXPECTED_MAX = 2_000
"""Values of a reference that are kept: more do not move a decile."""


@dataclass(frozen=True, slots=True)
class WindowTerms:
    """`window`: the last observations that are judged together."""

    window: int
    levels: DriftLevels


@dataclass(slots=True)
class _Series:
    reference: Reference | None = None
    observed: deque[Floats] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class Window:
    """One series at a moment. `count`: observations, each of one value or of many that belong together."""

    key: Key
    reference: Reference | None
    observed: Floats
    count: int
    levels: DriftLevels


class SeriesBook:
    """All series by alert and subject. A series without a reference is neither bad nor well."""

    def __init__(self, terms: Mapping[str, WindowTerms]) -> None:
        self._terms = dict(terms)
        self._series: dict[Key, _Series] = {}

    def expect(self, key: Key, values: Floats, count: int | None = None) -> Floats:
        """Compare what comes with `values`, of `count` independent observations (None: all); those that are kept.

        InputError without a finite value.
        """
        kept = thinned(np.asarray(values, dtype=np.float64).ravel())
        independent = len(kept) if count is None else count
        self._of(key).reference = Reference.of(kept, self._terms[key[0]].levels.bins, independent)
        return kept

    def observe(self, key: Key, values: Floats) -> None:
        """Take in one observation: a value, or several of one moment."""
        series = self._of(key)
        series.observed.append(np.asarray(values, dtype=np.float64).ravel())
        while len(series.observed) > self._terms[key[0]].window:
            series.observed.popleft()

    def replace(self, key: Key, values: Floats) -> None:
        """All observations anew, one value each, where they are read from a table each time."""
        self._of(key).observed.clear()
        for value in np.asarray(values, dtype=np.float64).ravel():
            self.observe(key, np.array([value]))

    def subjects(self, alert: str) -> list[str]:
        """The series under one alert."""
        return [subject for name, subject in self._series if name == alert]

    def snapshot(self) -> list[Window]:
        """Every series as it is now; `judged` says how each is, in any thread."""
        return [
            Window(key, item.reference, _joined(item.observed), len(item.observed), self._terms[key[0]].levels)
            for key, item in self._series.items()
        ]

    def _of(self, key: Key) -> _Series:
        if key[0] not in self._terms:
            raise InputError("alert", key[0], "is no alert of drift", f"give one of {', '.join(self._terms)}")
        series = self._series.pop(key, None) or _Series()
        self._series[key] = series  # the last to be spoken of is the last to go
        if len(self._series) > SERIES_MAX:
            del self._series[next(iter(self._series))]
        return series


def _joined(observed: Iterable[Floats]) -> Floats:
    return np.concatenate((np.empty(0), *observed))


def judged(windows: list[Window]) -> list[Finding]:
    """One finding for each series."""
    return [
        Finding(*window.key, Ease.HOLDS, "nothing to compare with")
        if window.reference is None
        else drift_finding(window.key, window.reference, window.observed, window.levels, window.count)
        for window in windows
    ]


def thinned(values: Floats, most: int = EXPECTED_MAX) -> Floats:
    """At most so many of the values, evenly spaced."""
    return values if len(values) <= most else values[np.linspace(0, len(values) - 1, most).astype(np.int64)]
