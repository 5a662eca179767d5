"""One provider's client: a pool of connections, its limit, its key, and the rule for sending again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import SecretStr

from mts1b.config_sections import Http, Provider
from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import InputError
from mts1b.foundation.redaction import scrub
from mts1b.platform.http.errors import Crowded, ProviderError, httpx, translated
from mts1b.platform.http.rules import TOO_MANY, asked_wait_s, may_repeat
from mts1b.platform.ratelimit import RateLimiter
from mts1b.platform.retry import RetryPolicy, retried
from mts1b.platform.secrets import Secrets
from mts1b.platform.telemetry import outgoing, span

Response: TypeAlias = httpx.Response

UNAUTHORISED = 401


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of one pool. None where a call did not say."""

    base_url: str | None = None
    max_connections: int | None = None
    max_keepalive_connections: int | None = None

    def over(self, provider: Provider, http: Http) -> Sizes:
        """What was said, else the provider's own setting, else that of all."""
        connections = self.max_connections or provider.max_connections or http.max_connections
        kept = self.max_keepalive_connections
        kept = provider.max_keepalive_connections if kept is None else kept
        kept = http.max_keepalive_connections if kept is None else kept
        return Sizes(self.base_url or provider.base_url, connections, min(kept, connections))

    def check_same(self, name: str, wanted: Sizes) -> None:
        """InputError when `wanted` says something else than the pool that is open."""
        for field in ("base_url", "max_connections", "max_keepalive_connections"):
            asked, held = getattr(wanted, field), getattr(self, field)
            if asked is not None and asked != held:
                problem = f"the pool is open with {held}"
                raise InputError(f"http_client({name!r}).{field}", asked, problem, "ask alike, or use another name")


class _Unwell(Exception):
    """An answer that may be another one a moment later. Never leaves this module."""

    def __init__(self, response: Response, wait_s: float) -> None:
        super().__init__(f"{response.request.method} {response.request.url.path} answered {response.status_code}")
        self.response, self.wait_s = response, wait_s


class HttpClient:
    """Calls one provider. Every complete answer is returned, whatever its status; `checked` makes errors of those.

    A call is sent again, `http.retry.attempts` times in all at most, when nothing was sent, and, if it may be repeated
    (by its method, or `idempotent=True`), when no whole answer came or the status may pass; `Retry-After` is obeyed.
    ProviderError: not reached; ProviderTimeout: sent, and no whole answer; RateLimited: the limit is used up.
    """

    def __init__(
        self,
        name: str,
        provider: Provider,
        http: Http,
        sizes: Sizes,
        limiter: RateLimiter,
        secrets: Secrets,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | httpx.AsyncHTTPTransport,
    ) -> None:
        self.name, self.sizes = name, sizes
        self._provider, self._http, self._secrets, self._clock = provider, http, secrets, clock
        self._limiter = limiter
        self._policy = RetryPolicy.of(http.retry)
        self._free = asyncio.Semaphore(sizes.max_connections or http.max_connections)
        self._client = httpx.AsyncClient(
            base_url=sizes.base_url or "",
            transport=transport,
            headers={"User-Agent": "mts1b"},
            trust_env=False,
            timeout=httpx.Timeout(
                connect=http.connect_timeout_s,
                read=provider.read_timeout_s or http.read_timeout_s,
                write=http.write_timeout_s,
                pool=http.pool_timeout_s,
            ),
        )
        self._origin = _origin(httpx.URL(sizes.base_url)) if sizes.base_url else None

    async def get(self, url: str, **given: Any) -> Response:
        return await self.request("GET", url, **given)

    async def head(self, url: str, **given: Any) -> Response:
        return await self.request("HEAD", url, **given)

    async def post(self, url: str, **given: Any) -> Response:
        return await self.request("POST", url, **given)

    async def put(self, url: str, **given: Any) -> Response:
        return await self.request("PUT", url, **given)

    async def patch(self, url: str, **given: Any) -> Response:
        return await self.request("PATCH", url, **given)

    async def delete(self, url: str, **given: Any) -> Response:
        return await self.request("DELETE", url, **given)

    async def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | str | None = None,
        data: Mapping[str, Any] | None = None,
        idempotent: bool | None = None,
    ) -> Response:
        """One call and its whole answer. `url`: a path below the base URL, or whole. Errors: see the class."""
        repeat = may_repeat(method, idempotent)
        given = {"params": params, "headers": dict(headers or {}), "json": json, "content": content, "data": data}
        attempts = 0
        path = scrub(url.partition("?")[0])

        async def once() -> Response:
            nonlocal attempts
            attempts += 1
            return await self._once(method, url, path, given, repeat)

        def again(error: Exception) -> bool | float:
            if isinstance(error, ProviderError):
                return not isinstance(error, Crowded) and (repeat or not error.sent)
            return error.wait_s if isinstance(error, _Unwell) and repeat else False

        with span(f"http.{self.name}", method=method.upper(), path=path) as timed:
            try:
                response = await retried(once, again, self._policy, f"http.{self.name}")
            except _Unwell as last:
                response = last.response
            finally:
                timed.attributes["attempts"] = attempts
            timed.attributes["status"] = response.status_code
        return response

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()
        await self._limiter.close()

    async def _once(self, method: str, url: str, path: str, given: dict[str, Any], repeat: bool) -> Response:
        """Send once. _Unwell when the answer may be another one a moment later."""
        what = f"{method.upper()} {path}"
        async with _Place(self._free, self._http.pool_timeout_s, self.name, what):
            with translated(self.name, what):
                request = self._client.build_request(method, url, **{**given, "headers": given["headers"] | outgoing()})
            key = await self._authorise(request)
            await self._limiter.acquire()
            with translated(self.name, what):
                async with asyncio.timeout(self._http.attempt_timeout_s):
                    response = await self._client.send(request)
        wait_s = asked_wait_s(response.status_code, response.headers.get("Retry-After"), self._clock.now_ns())
        if response.status_code == TOO_MANY and wait_s:
            await self._limiter.pause(wait_s)
        if response.status_code == UNAUTHORISED and await self._was_replaced(key) and repeat:
            wait_s = 0.0
        if wait_s is not None:
            raise _Unwell(response, wait_s)
        return response

    async def _authorise(self, request: httpx.Request) -> str:
        """Add the provider's key, to its own address only; the key, or "" when none went along."""
        provider = self._provider
        if provider.api_key is None or _origin(request.url) != self._origin:
            return ""
        key = await self._secrets.get(provider.api_key)
        if provider.api_key_header:
            request.headers[provider.api_key_header] = f"{provider.api_key_prefix}{key}"
        if provider.api_key_query:
            request.url = request.url.copy_merge_params({provider.api_key_query: key})
        return key

    async def _was_replaced(self, key: str) -> bool:
        """Whether the refused key is no longer the one at its place: it was rotated before its lease ended."""
        secret: SecretStr | None = self._provider.api_key
        return bool(key) and secret is not None and await self._secrets.renewed(secret) != key


class _Place:
    """One of the pool's places, in the order of asking. httpx's own queue grows with the square of those waiting."""

    def __init__(self, free: asyncio.Semaphore, timeout_s: float, name: str, what: str) -> None:
        self._free, self._timeout_s, self._name, self._what = free, timeout_s, name, what

    async def __aenter__(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._free.acquire()
        except TimeoutError:
            problem = f"no connection was free for {self._timeout_s:g} s"
            remedy = "ask less at a time, or raise max_connections"
            raise Crowded(f"provider.{self._name}", self._what, problem, remedy) from None

    async def __aexit__(self, *_raised: object) -> None:
        self._free.release()


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
