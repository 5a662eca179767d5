"""Gate 1: one decision makes one order. A key seen within the window is refused."""

from __future__ import annotations

from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.commands import SubmitOrder
from mts1b.riskengine.context import GateContext
from mts1b.riskengine.verdict import ACCEPTED, Verdict, refused, unset

GATE = 1

DUPLICATE_KEY = "duplicate_key"


def gate(command: SubmitOrder, context: GateContext) -> Verdict:
    """Refuse `duplicate_key`. The OMS answers repeats itself; this gate holds if it should ever not."""
    window_s = context.limits.dedup_window_s
    if window_s is None:
        return unset(GATE, "dedup_window_s")
    if not isinstance(command.idempotency_key, str) or not command.idempotency_key:
        return refused(GATE, "key_missing", key=repr(command.idempotency_key))
    seen_ns = context.state.keys.get(command.idempotency_key)
    if seen_ns is not None and context.now_ns - seen_ns < window_s * NS_PER_S:
        return refused(GATE, DUPLICATE_KEY, key=command.idempotency_key, seen_ns=seen_ns, window_s=window_s)
    return ACCEPTED
