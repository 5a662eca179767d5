"""The client, imported first and without what it takes along for WebSockets: 13 MB that nobody here speaks with."""

from __future__ import annotations

from mts1b.platform.lean import without

with without("aiohttp"):
    import nats

__all__ = ["nats"]
