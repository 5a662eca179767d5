"""What may be sent again: rules of HTTP, as functions of values."""

from __future__ import annotations

from mts1b.platform.retry import retry_after_s

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that may be repeated without further effect (RFC 9110, 9.2.2)."""

PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses that may be gone a moment later."""

TOO_MANY = 429


def may_repeat(method: str, told: bool | None) -> bool:
    """Whether a call that may have been carried out may be sent again: by its method, unless the caller knows."""
    return method.upper() in IDEMPOTENT if told is None else told


def asked_wait_s(status: int, retry_after: str | None, now_ns: int) -> float | None:
    """Seconds to wait at least before the call is repeated; None: the answer stands."""
    return retry_after_s(retry_after, now_ns) if status in PASSING else None
