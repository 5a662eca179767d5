"""How a durable consumer works: its terms, and the consumer at the server that keeps them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from mts1b.foundation.errors import InputError

MAX_ACK_PENDING = 100
"""Messages of one durable in flight over all its instances, as in the source's example."""

PREFETCH_MAX = 64
"""Messages one instance asks for ahead of its work; a quarter of those in flight if that is less: four can be busy."""

ACK_WAIT_S = 30.0
"""How long a consumer may be silent about a message before another gets it."""

ATTEMPTS_MAX = 5
"""How often a message is worked on before it goes to the dead letters."""

BACKOFF_S = (0.5, 2.0, 8.0, 30.0, 120.0)
"""Before the second attempt, the third, ...; the last one holds for all that follow."""

DURABLE = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Terms:
    """How a durable consumer works. All its instances should say the same; the last to subscribe is obeyed.

    `since`: where a new durable begins, at the "first" stored message or with what comes from "now" on.
    """

    durable: str
    max_ack_pending: int = MAX_ACK_PENDING
    ack_wait_s: float = ACK_WAIT_S
    attempts_max: int = ATTEMPTS_MAX
    backoff_s: Sequence[float] = BACKOFF_S
    prefetch: int | None = None
    since: str = "first"

    def __post_init__(self) -> None:
        if DURABLE.fullmatch(self.durable) is None:
            raise InputError("durable", self.durable, "is no name of a consumer", "use letters, digits, - and _")
        for name in ("max_ack_pending", "attempts_max"):
            if getattr(self, name) < 1:
                raise InputError(name, getattr(self, name), "must be at least 1", "leave it out")
        if self.ack_wait_s < 0.5:
            raise InputError("ack_wait_s", self.ack_wait_s, "is too short to work in", "give at least 0.5")
        if self.since not in ("first", "now"):
            raise InputError("since", self.since, "is neither first nor now", "give one of them")
        if not self.backoff_s:
            raise InputError("backoff_s", self.backoff_s, "is empty", "give at least one delay")

    @property
    def ahead(self) -> int:
        """Messages an instance asks for ahead of its work."""
        if self.prefetch is not None:
            return min(self.prefetch, self.max_ack_pending)
        return max(1, min(PREFETCH_MAX, self.max_ack_pending // 4))

    def delay_s(self, attempts: int) -> float:
        """How long to wait after so many attempts."""
        return self.backoff_s[min(attempts, len(self.backoff_s)) - 1]


@dataclass(frozen=True, slots=True)
class ConsumerStatistics:
    """What one instance did so far. `dropped`: thrown away unseen: another instance had them, or they were done.

    `trouble`: the last failure of the bus that `consume` went on after.
    """

    handed: int = 0
    acknowledged: int = 0
    retried: int = 0
    dead: int = 0
    dropped: int = 0
    trouble: str = ""


async def ensure_consumer(stream: Any, name: str, subject: str, terms: Terms) -> None:
    """Create or update the durable on the server. InputError: it reads another subject."""
    try:
        held = (await stream.consumer_info(name, terms.durable)).config
    except NotFoundError:
        held = None
    if held is not None and held.filter_subject != subject:
        remedy = "give this consumer a name of its own"
        raise InputError("durable", terms.durable, f"reads {held.filter_subject}, not {subject}", remedy)
    first = DeliverPolicy.ALL if terms.since == "first" else DeliverPolicy.NEW
    config = ConsumerConfig(
        name=terms.durable,
        durable_name=terms.durable,
        filter_subject=subject,
        deliver_policy=first if held is None else held.deliver_policy,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=terms.ack_wait_s,
        max_ack_pending=terms.max_ack_pending,
        max_deliver=-1,  # who gives up is decided by attempts, not by deliveries
    )
    await stream.add_consumer(name, config)
