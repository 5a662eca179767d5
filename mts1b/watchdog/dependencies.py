"""Dependencies: every server and venue answers, and soon. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mts1b.foundation.alerts import Ease, Finding, Severity
from mts1b.watchdog.grade import Levels

ALERT = "dependency"
LATENCY_ALERT = "dependency_latency"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking one dependency. `problem` "": it answered, after `took_ms`."""

    name: str
    took_ms: float
    problem: str = ""


def dependency_findings(answers: Iterable[Answer], latency_ms: Levels) -> list[Finding]:
    """Two findings for each that answered (up, and how soon), one for each that did not: it is critical.

    A dependency that is down is not slow as well: its latency alert, if any, keeps until it answers.
    """
    return [finding for answer in answers for finding in _findings(answer, latency_ms)]


def _findings(answer: Answer, latency_ms: Levels) -> list[Finding]:
    took = (("took_ms", answer.took_ms),)
    if answer.problem:
        return [
            Finding(ALERT, answer.name, Severity.CRITICAL, answer.problem, took),
            Finding(LATENCY_ALERT, answer.name, Ease.HOLDS),
        ]
    return [
        Finding(ALERT, answer.name, Ease.WELL, f"answers in {answer.took_ms:.1f} ms", took),
        Finding(
            LATENCY_ALERT,
            answer.name,
            latency_ms.grade(answer.took_ms),
            f"answered after {answer.took_ms:.0f} ms",
            took,
        ),
    ]
