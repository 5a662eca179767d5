"""What many stories come to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from mts1b.testing.sim.story import Outcome

KEPT_MAX = 100
"""Stories with a violation that are kept whole; the others are counted."""


@dataclass(slots=True)
class Tally:
    """Counts over stories. `broken` are the first of those that broke a rule."""

    seeds: int = 0
    violations: int = 0
    orders: int = 0
    orders_min: int = 0
    faults_min: int = 0
    fills: int = 0
    commits: int = 0
    messages: int = 0
    simulated_s: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    broken: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one story. One that ends early, at a violation, counts neither for the fewest orders nor faults."""
        if outcome.violation:
            self.violations += 1
            if len(self.broken) < KEPT_MAX:
                self.broken.append(outcome)
        else:
            is_first = self.seeds == self.violations
            self.orders_min = outcome.orders if is_first else min(self.orders_min, outcome.orders)
            self.faults_min = outcome.faults_fired if is_first else min(self.faults_min, outcome.faults_fired)
        self.seeds += 1
        self.orders += outcome.orders
        self.fills += outcome.fills
        self.commits += outcome.commits
        self.messages += outcome.messages
        self.simulated_s += outcome.simulated_s
        self.faults += outcome.faults

    def facts(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {
            "seeds": self.seeds,
            "violations": self.violations,
            "orders": self.orders,
            "orders_min": self.orders_min,
            "fills": self.fills,
            "commits": self.commits,
            "messages": self.messages,
            "simulated_s": round(self.simulated_s, 3),
            "faults_min": self.faults_min,
            "faults": dict(sorted(self.faults.items())),
            "broken": [{"seed": story.seed, "violation": story.violation} for story in self.broken],
        }
