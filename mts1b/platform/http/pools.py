"""The open clients of this process, one for each provider and event loop. They outlive the `async with`."""

from __future__ import annotations

import asyncio
import functools
import ssl
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from mts1b.config import Settings, load_settings
from mts1b.config_sections import Provider, Tier
from mts1b.foundation.clock import SystemClock
from mts1b.platform.http.client import HttpClient, Sizes
from mts1b.platform.http.errors import httpx
from mts1b.platform.ratelimit import RateLimiter
from mts1b.platform.secrets import Secrets


class _Given:
    """What this process's services handed down; read from the settings when nobody did."""

    settings: Settings | None = None
    secrets: Secrets | None = None


_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, HttpClient]] = WeakKeyDictionary()


def configure(settings: Settings | None, secrets: Secrets | None = None) -> None:
    """Use these settings for clients opened from now on; None: read them when the next one is opened."""
    _Given.settings, _Given.secrets = settings, secrets


class http_client:  # noqa: N801 - read as a statement: `async with http_client("polygon") as c:`
    """The client of provider `name`, opened when there is none. Leaving the `async with` keeps its connections.

    What is not said here are the provider's settings, then those of `http`. InputError when a pool of that name is open
    and something else is said.
    """

    def __init__(
        self,
        name: str,
        base_url: str | None = None,
        max_connections: int | None = None,
        max_keepalive_connections: int | None = None,
    ) -> None:
        self._name = name
        self._said = Sizes(base_url, max_connections, max_keepalive_connections)

    async def __aenter__(self) -> HttpClient:
        clients = _clients.setdefault(asyncio.get_running_loop(), {})
        if self._name in clients:
            clients[self._name].sizes.check_same(self._name, self._said)
        else:
            clients[self._name] = _open(self._name, self._said)
        return clients[self._name]

    async def __aexit__(self, *_raised: object) -> None:
        return None


async def close_clients() -> None:
    """Close every client of this event loop, at the end of a service."""
    for client in _clients.pop(asyncio.get_running_loop(), {}).values():
        await client.close()


def _open(name: str, said: Sizes) -> HttpClient:
    _Given.settings = settings = _Given.settings or load_settings()
    _Given.secrets = secrets = _Given.secrets or Secrets(settings.secrets)
    provider = settings.providers.get(name, Provider())
    sizes, clock = said.over(provider, settings.http), SystemClock()
    limiter = RateLimiter(name, provider.tiers.get(provider.tier, Tier()), settings, clock, secrets)
    proxy = settings.http.proxy
    transport = httpx.AsyncHTTPTransport(
        verify=_trusted(settings.http.ca_file),
        proxy=None if proxy is None else secrets.read(proxy),
        trust_env=False,
        limits=httpx.Limits(
            max_connections=sizes.max_connections,
            max_keepalive_connections=sizes.max_keepalive_connections,
            keepalive_expiry=settings.http.keepalive_s,
        ),
    )
    _keep_idle_ones(transport)
    return HttpClient(name, provider, settings.http, sizes, limiter, secrets, clock, transport)


def _keep_idle_ones(transport: httpx.AsyncHTTPTransport) -> None:
    """Let `max_keepalive_connections` count idle connections, as it says.

    httpcore 1.0.9 compares it with all of them, so a pool at work with more closes each one after every call: a
    thousand calls then open a thousand connections (and shake hands as often).
    """
    pool: Any = transport._pool
    assign, kept = pool._assign_requests_to_connections, pool._max_keepalive_connections

    def assign_keeping() -> Any:
        pool._max_keepalive_connections = kept + sum(not connection.is_idle() for connection in pool._connections)
        return assign()

    pool._assign_requests_to_connections = assign_keeping


@functools.cache
def _trusted(ca_file: Path | None) -> ssl.SSLContext:
    """Who is believed: the usual authorities and those of `http.ca_file`. Made once, for it takes megabytes."""
    trusted = httpx.create_ssl_context(trust_env=False)
    if ca_file is not None:
        trusted.load_verify_locations(ca_file)
    return trusted
