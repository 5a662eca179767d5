"""The watch: every check at its own pace, its findings into the book, what changed to whoever wants it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from mts1b.foundation.alerts import Ease, Finding, Severity
from mts1b.foundation.clock import NS_PER_S, Clock
from mts1b.foundation.errors import MtsError
from mts1b.foundation.redaction import scrub
from mts1b.watchdog.book import Alert, Book, Change, Decided, Terms, decide, expire

CHECK_ALERT = "watchdog_check"
"""A check that could not look."""

LOG = logging.getLogger("mts1b.watchdog")

DEFAULT_TERMS = Terms()


class Check(Protocol):
    """Looks at something. `alerts`: those it answers for whole: a subject it no longer names is no longer there."""

    @property
    def name(self) -> str: ...
    @property
    def alerts(self) -> frozenset[str]: ...
    @property
    def period_s(self) -> float: ...
    @property
    def timeout_s(self) -> float: ...

    async def findings(self) -> Sequence[Finding]: ...


class Watch:
    """Runs checks and keeps the book. A check that fails or hangs raises an alert of its own and is asked again."""

    def __init__(
        self, checks: Sequence[Check], terms: Mapping[str, Terms], tell: Callable[[Change], None], clock: Clock
    ) -> None:
        self._checks = {check.name: check for check in checks}
        self._terms, self._tell, self._clock = terms, tell, clock
        self.book = Book()
        self.passes = dict.fromkeys(self._checks, 0)

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.gather(*(self._repeat(check) for check in self._checks.values()))

    async def look(self, name: str) -> None:
        """One pass of one check, now."""
        check = self._checks[name]
        problem = ""
        try:
            async with asyncio.timeout(check.timeout_s):
                found = await check.findings()
        except MtsError as error:
            problem = str(error)
        except TimeoutError:
            problem = f"took more than {check.timeout_s:g} s"
        except Exception as error:  # a defect of the check must not end the watch, nor be silent
            LOG.exception("the check %s failed", name)
            problem = f"{type(error).__name__}: {error}"
        if not problem:
            self.take(found)
            self._forget(check, found)
        state = Severity.WARNING if problem else Ease.WELL
        self.take([Finding(CHECK_ALERT, name, state, problem or "looks")])
        self.passes[name] += 1

    def take(self, findings: Iterable[Finding]) -> None:
        """Take findings in, of checks or of others."""
        now_ns = self._clock.now_ns()
        for finding in findings:
            shown = replace(finding, summary=scrub(finding.summary))  # it leaves by log, bus and webhook
            self._note(decide(self.book, shown, now_ns, self._terms.get(finding.alert, DEFAULT_TERMS)))
        self._note(expire(self.book, now_ns))

    def resume(self, standing: Iterable[Alert]) -> None:
        """Take over alerts that stood before this process began: they are cleared here when they are well."""
        self.book = self.book.with_standing(standing, self._clock.now_ns())

    def _forget(self, check: Check, found: Sequence[Finding]) -> None:
        named = {(finding.alert, finding.subject) for finding in found}
        gone = {(alert, subject) for alert in check.alerts for subject in self.book.subjects(alert)} - named
        self.take(Finding(alert, subject, Ease.WELL, "is no longer there") for alert, subject in sorted(gone))

    def _note(self, decided: Decided) -> None:
        self.book = decided.book
        for change in decided.changes:
            self._tell(change)

    async def _repeat(self, check: Check) -> None:
        while True:
            began_ns = self._clock.monotonic_ns()
            await self.look(check.name)
            took_s = (self._clock.monotonic_ns() - began_ns) / NS_PER_S
            await asyncio.sleep(max(0.0, check.period_s - took_s))
