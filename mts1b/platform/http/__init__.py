"""HTTP to providers: pooled, limited, retried where safe, traced.

    async with http_client("polygon") as c:
        results = await asyncio.gather(*[c.get(f"/v2/last/trade/{s}") for s in symbols])

What a provider is called, where it answers, its key, tier and sizes are settings (`providers`, `http`).
"""

from __future__ import annotations

from mts1b.platform.http.client import HttpClient, Response
from mts1b.platform.http.errors import ProviderError, ProviderTimeout, checked
from mts1b.platform.http.pools import close_clients, configure, http_client

__all__ = [
    "HttpClient",
    "ProviderError",
    "ProviderTimeout",
    "Response",
    "checked",
    "close_clients",
    "configure",
    "http_client",
]
