"""Providers' limits, kept by all processes together: `async with RateLimiter("polygon"): ...`."""

from __future__ import annotations

from mts1b.platform.ratelimit.limiter import Permit, RateLimited, RateLimiter

__all__ = ["Permit", "RateLimited", "RateLimiter"]
