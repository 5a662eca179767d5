"""The book of alerts: raised once while something is bad, cleared once it is well again. Pure.

`decide(book, finding, now, terms)` gives the book afterwards and what changed. A standing alert is raised again only
when it becomes more severe; it keeps its id from the first raising to the clearing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mts1b.foundation.alerts import Ease, Finding, Numbers, Severity
from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.ids import digest

Key = tuple[str, str]
"""Alert and subject."""


@dataclass(frozen=True, slots=True)
class Terms:
    """For how long a thing must be bad before its alert is raised, and well before it is cleared. Seconds."""

    raise_after_s: float = 0.0
    clear_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that is, or was, wrong. Times in UTC nanoseconds; `cleared_ns` None: it stands.

    `lasts_s` not 0: it is an event, and clears by itself that long after the last one like it.
    """

    alert_id: str
    alert: str
    subject: str
    severity: Severity
    summary: str
    numbers: Numbers
    raised_ns: int
    cleared_ns: int | None = None
    lasts_s: float = 0.0

    @property
    def key(self) -> Key:
        return self.alert, self.subject


class ChangeKind(StrEnum):
    RAISED = "raised"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class Change:
    """An alert that was raised, or raised to a higher severity, or cleared, at `ts_ns`."""

    kind: ChangeKind
    alert: Alert
    ts_ns: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one thing. `bad_ns`, `well_ns`: since when, as far as it is so now."""

    alert: Alert | None = None
    bad_ns: int | None = None
    well_ns: int | None = None
    ends_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Book:
    """All that stands or may soon. Immutable. `raised` counts the alerts it has raised: their ids are made with it."""

    entries: Mapping[Key, Entry] = field(default_factory=dict)
    raised: int = 0

    @property
    def standing(self) -> tuple[Alert, ...]:
        """The alerts that stand, the most severe first, then by age."""
        found = [entry.alert for entry in self.entries.values() if entry.alert is not None]
        return tuple(sorted(found, key=lambda alert: (-alert.severity.rank, alert.raised_ns, alert.key)))

    def subjects(self, alert: str) -> set[str]:
        """What there is an entry for under one alert."""
        return {subject for name, subject in self.entries if name == alert}

    def with_standing(self, alerts: Iterable[Alert], now_ns: int) -> Book:
        """The same, with alerts that stood before this process began; what it has raised itself stays as it is."""
        found = dict(self.entries)
        for alert in alerts:
            known = found.get(alert.key, Entry())
            if known.alert is None:
                ends_ns = now_ns + int(alert.lasts_s * NS_PER_S) if alert.lasts_s else None
                found[alert.key] = replace(known, alert=alert, ends_ns=ends_ns)
        return Book(found, self.raised)


@dataclass(frozen=True, slots=True)
class Decided:
    book: Book
    changes: tuple[Change, ...] = ()


def decide(book: Book, finding: Finding, now_ns: int, terms: Terms) -> Decided:
    """Take one finding in."""
    key = (finding.alert, finding.subject)
    before = book.entries.get(key, Entry())
    severity = finding.severity
    if severity is not None:
        alert_id = digest("alert", *key, now_ns, book.raised)
        after, changes = _bad(before, finding, severity, alert_id, now_ns, terms)
    elif finding.state is Ease.WELL:
        after, changes = _well(before, now_ns, terms)
    else:
        after, changes = replace(before, bad_ns=None, well_ns=None), ()
    fresh = before.alert is None and after.alert is not None
    return Decided(replace(_with(book, key, after), raised=book.raised + fresh), changes)


def expire(book: Book, now_ns: int) -> Decided:
    """Clear the alerts of what does not last and has not come again."""
    changes: tuple[Change, ...] = ()
    for key, entry in tuple(book.entries.items()):
        if entry.ends_ns is not None and now_ns >= entry.ends_ns:
            book = _with(book, key, Entry())
            changes += () if entry.alert is None else (_cleared(entry.alert, now_ns),)
    return Decided(book, changes)


def _bad(
    before: Entry, finding: Finding, severity: Severity, alert_id: str, now_ns: int, terms: Terms
) -> tuple[Entry, tuple[Change, ...]]:
    bad_ns = now_ns if before.bad_ns is None else before.bad_ns
    ends_ns = now_ns + int(finding.lasts_s * NS_PER_S) if finding.lasts_s else None
    after = Entry(before.alert, bad_ns, None, ends_ns)
    if before.alert is None:
        if now_ns - bad_ns < terms.raise_after_s * NS_PER_S:
            return after, ()
        raised = Alert(
            alert_id=alert_id,
            alert=finding.alert,
            subject=finding.subject,
            severity=severity,
            summary=finding.summary,
            numbers=finding.numbers,
            raised_ns=now_ns,
            lasts_s=finding.lasts_s,
        )
    elif severity.rank > before.alert.severity.rank:
        raised = replace(before.alert, severity=severity, summary=finding.summary, numbers=finding.numbers)
    else:
        return after, ()
    return replace(after, alert=raised), (Change(ChangeKind.RAISED, raised, now_ns),)


def _well(before: Entry, now_ns: int, terms: Terms) -> tuple[Entry, tuple[Change, ...]]:
    if before.alert is None:
        return Entry(), ()
    well_ns = now_ns if before.well_ns is None else before.well_ns
    if now_ns - well_ns < terms.clear_after_s * NS_PER_S:
        return Entry(before.alert, None, well_ns, before.ends_ns), ()
    return Entry(), (_cleared(before.alert, now_ns),)


def _cleared(alert: Alert, now_ns: int) -> Change:
    return Change(ChangeKind.CLEARED, replace(alert, cleared_ns=now_ns), now_ns)


def _with(book: Book, key: Key, entry: Entry) -> Book:
    """An entry that says nothing is left out, so that the book does not grow with what was once looked at."""
    entries = {known: held for known, held in book.entries.items() if known != key}
    return replace(book, entries=entries if entry == Entry() else entries | {key: entry})
