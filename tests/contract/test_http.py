"""Calls to a provider that misbehaves: sent again by rule, pooled, limited, traced, with the right key."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from mts1b.config import Settings, load_settings
from mts1b.foundation.errors import InputError, VenueTimeout
from mts1b.platform.http import ProviderError, ProviderTimeout, checked, close_clients, configure, http_client
from mts1b.platform.http.errors import NotReached
from mts1b.platform.ratelimit import RateLimited
from mts1b.platform.secrets import Secrets
from mts1b.platform.telemetry import COLLECTOR, Operation, span
from tests import tidy_rules
from tests.contract.provider_server import ProviderServer, certificate, provider, proxy
from tests.contract.valkey_server import ValkeyServer
from tests.contract.vault_server import VaultServer

ATTEMPTS = 3
QUICK: dict[str, Any] = {
    "retry": {"attempts": ATTEMPTS, "wait_initial_s": 0.002, "wait_s_max": 0.005, "retry_after_s_max": 5},
}


@pytest.fixture(autouse=True)
def own_settings() -> Iterator[None]:
    yield
    configure(None)


def run(work: Coroutine[Any, Any, None]) -> None:
    async def whole() -> None:
        try:
            await work
        finally:
            await close_clients()

    asyncio.run(whole())


def use(server: ProviderServer, **settings: Any) -> Settings:
    """Settings in which provider `local` is that server."""
    providers = {"local": {"base_url": server.url, **settings.pop("provider", {})}}
    made = load_settings(**({"http": QUICK, "providers": providers} | settings))
    configure(made)
    return made


IMPATIENT = QUICK | {"read_timeout_s": 0.5, "attempt_timeout_s": 0.8}

RULES = [
    ("GET", "/ok", None, 1, 200),
    ("GET", "/500", None, ATTEMPTS, 500),
    ("GET", "/503", None, ATTEMPTS, 503),
    ("GET", "/404", None, 1, 404),
    ("GET", "/flaky-2", None, 3, 200),
    ("PUT", "/flaky-2", None, 3, 200),
    ("DELETE", "/500", None, ATTEMPTS, 500),
    ("HEAD", "/500", None, ATTEMPTS, 500),
    ("POST", "/500", None, 1, 500),
    ("POST", "/flaky-2", None, 1, 500),
    ("POST", "/flaky-2", True, 3, 200),
    ("PATCH", "/503", None, 1, 503),
    ("GET", "/flaky-2", False, 1, 500),
    ("GET", "/429-0", None, ATTEMPTS, 429),
    ("POST", "/429-0", None, 1, 429),
    ("GET", "/reset", None, ATTEMPTS, ProviderTimeout),
    ("GET", "/half", None, ATTEMPTS, ProviderTimeout),
    ("POST", "/reset", None, 1, ProviderTimeout),
    ("POST", "/half", None, 1, ProviderTimeout),
    ("POST", "/half", True, ATTEMPTS, ProviderTimeout),
]
RULES_OF_SILENCE = [
    ("GET", "/hang", None, ATTEMPTS, ProviderTimeout),
    ("GET", "/drip", None, ATTEMPTS, ProviderTimeout),
    ("POST", "/hang", None, 1, ProviderTimeout),
    ("POST", "/drip", None, 1, ProviderTimeout),
]


@pytest.mark.parametrize(("rules", "http"), [(RULES, QUICK), (RULES_OF_SILENCE, IMPATIENT)])
def test_calls_are_sent_again_by_rule(
    rules: list[tuple[str, str, bool | None, int, object]], http: dict[str, Any]
) -> None:
    """Never more than the stated attempts, and what may have been carried out is never sent twice."""

    async def one(server: ProviderServer, row: int, rule: tuple[str, str, bool | None, int, object]) -> None:
        method, path, idempotent, heard, ended = rule
        path = f"{path}/{row}"
        async with http_client("local") as c:
            try:
                found: object = (await c.request(method, path, json={"n": 1}, idempotent=idempotent)).status_code
            except ProviderError as error:
                found = type(error)
                assert path in str(error)
        assert (found, server.heard[f"{method} {path}"]) == (ended, heard), rule

    async def work() -> None:
        async with provider() as server:
            use(server, http=http)
            await asyncio.gather(*(one(server, row, rule) for row, rule in enumerate(rules)))

    run(work())


def test_retry_after_is_obeyed() -> None:
    async def work() -> None:
        async with provider() as server:
            use(server)
            began = asyncio.get_running_loop().time()
            async with http_client("local") as c:
                response = await c.get("/later-1-1")
            assert response.status_code == 200 and server.heard["GET /later-1-1"] == 2
            assert 1.0 <= asyncio.get_running_loop().time() - began < 3

    run(work())


def test_a_wait_that_is_too_long_is_not_waited_for() -> None:
    """The answer stands, and whoever calls before the provider's time is told so."""

    async def work() -> None:
        async with provider() as server:
            use(server)
            async with http_client("local") as c:
                assert (await c.get("/429-120")).status_code == 429
                with pytest.raises(RateLimited, match="paused, as the provider asked"):
                    await c.get("/ok")
            assert server.heard.total() == 1

    run(work())


def test_what_was_never_sent_may_be_sent_again_whatever_it_is() -> None:
    """A server that comes up between two attempts of a POST hears it once."""

    async def work() -> None:
        async with provider() as down:
            pass
        slow = QUICK | {"retry": QUICK["retry"] | {"wait_initial_s": 0.3, "wait_s_max": 0.3}}
        use(down, http=slow)
        async with http_client("local") as c:
            calling = asyncio.create_task(c.post("/ok"))
            await asyncio.sleep(0.05)
            listening = await asyncio.start_server(down.accept, "127.0.0.1", down.port)
            assert (await calling).status_code == 200 and down.heard["POST /ok"] == 1
            listening.close()

    run(work())


def test_a_server_that_is_down_is_named() -> None:
    async def work() -> None:
        async with provider() as down:
            pass
        use(down)
        async with http_client("local") as c:
            with pytest.raises(NotReached, match=r"provider.local='GET /x'.*Connect"):
                await c.get("/x")

    run(work())


def test_an_order_that_got_no_answer_is_in_doubt() -> None:
    """Brokers' adapters catch VenueTimeout: ask by client order id before anything else."""

    async def work() -> None:
        async with provider() as server:
            use(server)
            async with http_client("local") as c:
                with pytest.raises(VenueTimeout):
                    await c.post("/reset", json={"side": "buy"})

    run(work())


def test_a_thousand_calls_share_twenty_connections() -> None:
    async def work() -> None:
        async with provider(delay_s=0.002) as server:
            use(server, http={"read_timeout_s": 30})
            async with http_client("local", max_connections=20, max_keepalive_connections=10) as c:
                results = await asyncio.gather(*(c.get(f"/ok/{number}") for number in range(1_000)))
            assert [result.status_code for result in results] == [200] * 1_000
            assert server.most_open <= 20 and server.connections <= 20 and server.heard.total() == 1_000
            await asyncio.sleep(0.05)
            assert server.open == 10  # those that are kept alive
            opened = server.connections
            async with http_client("local") as again:  # the pool outlives the `async with`
                await again.get("/ok/again")
            assert again is c and server.connections == opened

    run(work())


def test_a_pool_is_what_it_was_opened_as() -> None:
    async def work() -> None:
        async with provider() as server:
            use(server)
            async with http_client("local", max_connections=3) as c:
                assert (c.sizes.max_connections, c.sizes.max_keepalive_connections) == (3, 3)
            with pytest.raises(InputError, match=r"max_connections=4.*open with 3"):
                async with http_client("local", max_connections=4):
                    pass
            with pytest.raises(InputError, match="base_url"):
                async with http_client("other") as nowhere:
                    await nowhere.get("/x")

    run(work())


def test_too_much_at_a_time_is_an_error_of_its_own() -> None:
    async def work() -> None:
        async with provider(delay_s=0.3) as server:
            use(server, http=QUICK | {"pool_timeout_s": 0.05, "read_timeout_s": 5})
            async with http_client("local", max_connections=1) as c:
                first = asyncio.create_task(c.get("/ok"))
                await asyncio.sleep(0.01)
                with pytest.raises(ProviderError, match="raise max_connections"):
                    await c.get("/ok/2")
                assert (await first).status_code == 200 and server.heard["GET /ok/2"] == 0

    run(work())


def test_bad_statuses_become_errors_where_asked() -> None:
    async def work() -> None:
        async with provider() as server:
            use(server)
            async with http_client("local") as c:
                assert checked(await c.get("/ok")).json() == {"status": "200"}
                with pytest.raises(ProviderError, match="answered 404"):
                    checked(await c.get("/404"))

    run(work())


def test_calls_are_traced_and_join_the_trace() -> None:
    async def work() -> None:
        heard: list[Operation] = []
        COLLECTOR.listen(heard.append)
        try:
            async with provider() as server:
                use(server, provider={"api_key": "key-in-no-span", "api_key_query": "apikey"})
                with span("outer") as outer:
                    async with http_client("local") as c:
                        await c.get("/flaky-1/x", params={"q": "1"})
        finally:
            COLLECTOR.unlisten(heard.append)
        (call,) = [operation for operation in heard if operation.name == "http.local"]
        assert call.trace_id == outer.trace_id and call.parent_id == outer.span_id
        assert dict(call.attributes) == {"method": "GET", "path": "/flaky-1/x", "attempts": 2, "status": 200}
        assert {headers["traceparent"] for headers in server.headers} == {
            f"00-{call.trace_id:032x}-{call.span_id:016x}-01"
        }
        assert server.targets[0] == "/flaky-1/x?q=1&apikey=key-in-no-span"

    run(work())


def test_the_key_goes_to_its_own_address_only() -> None:
    async def work() -> None:
        async with provider() as server, provider() as stranger:
            key = {"api_key": "a-key-of-local", "api_key_header": "Authorization", "api_key_prefix": "Bearer "}
            use(server, provider=key)
            async with http_client("local") as c:
                await c.get("/ok")
                await c.get(f"{stranger.url}/ok")
            assert server.headers[0]["authorization"] == "Bearer a-key-of-local"
            assert "authorization" not in stranger.headers[0]

    run(work())


def test_a_key_rotated_in_vault_is_used_without_a_restart() -> None:
    """The old key was revoked before its lease ended: the refused call is sent again with the new one."""
    vault = VaultServer()
    vault.put("mts1b/local", api_key="old-key-of-local")

    async def work() -> None:
        async with provider() as server:
            key = {"api_key": "vault://mts1b/local#api_key", "api_key_header": "Authorization"}
            secrets = {"vault": {"address": vault.address, "token": "root-token-of-a-test"}}
            settings = use(server, provider=key | {"api_key_prefix": "Bearer "}, secrets=secrets)
            configure(settings, Secrets(settings.secrets))
            server.key = "old-key-of-local"
            async with http_client("local") as c:
                assert (await c.get("/key")).status_code == 200
                vault.put("mts1b/local", api_key="new-key-of-local")
                server.key = "new-key-of-local"
                assert (await c.get("/key")).status_code == 200 and server.heard["GET /key"] == 3
                server.key = "some-other-key"
                assert (await c.get("/key")).status_code == 401 and server.heard["GET /key"] == 4

    try:
        run(work())
    finally:
        vault.close()


def test_calls_keep_to_the_providers_limit(tmp_path: Path) -> None:
    """A limit that is hit is waited for, and a 429 holds every process's calls back."""
    valkey = ValkeyServer(tmp_path).start()

    async def work() -> None:
        async with provider() as server:
            use(server, provider={"tiers": {"free": {"per_second": 5}}}, cache={"url": valkey.url})
            loop = asyncio.get_running_loop()
            async with http_client("local") as c:
                began = loop.time()
                await asyncio.gather(*(c.get("/ok") for _ in range(6)))
                assert 1.0 <= loop.time() - began < 3
                await asyncio.sleep(1.05)
                began = loop.time()
                first = asyncio.create_task(c.post("/429-1"))
                await asyncio.sleep(0.1)
                await c.get("/ok/after")
                assert (await first).status_code == 429 and 1.0 <= loop.time() - began < 3

    try:
        run(work())
    finally:
        valkey.kill()


WRONG = """
import requests
response = requests.get("https://api.example.com")  # blocks the event loop
"""
RIGHT = """
from mts1b.platform.http import http_client
async with http_client("example") as c:
    response = await c.get("https://api.example.com")
"""
POOLING = """
async with http_client("polygon", base_url="https://api.polygon.io",
                       max_connections=20, max_keepalive_connections=10) as c:
    # All requests share the pool
    results = await asyncio.gather(*[c.get(f"/v2/last/trade/{s}") for s in symbols])
"""


async def as_written(block: str, names: dict[str, object]) -> dict[str, Any]:
    """Run a block of the performance notes inside a coroutine; its names afterwards."""
    source = f"async def block():\n{textwrap.indent(block, '    ')}\n    return locals()"
    names |= {"asyncio": asyncio, "http_client": http_client}
    exec(compile(source, "block", "exec"), names)  # noqa: S102
    return await names["block"]()  # type: ignore[operator]


def test_the_notes_examples_run_as_written(tmp_path: Path) -> None:
    """Only the names' addresses are ours: a proxy leads to this machine, where a server has their certificate."""
    context, authority = certificate(tmp_path, "api.example.com", "api.polygon.io")

    async def work() -> None:
        async with provider(trusted=context) as server, proxy(server.port) as way:
            http = {"proxy": way, "ca_file": str(authority)}
            key = {"polygon": {"tier": "paid", "api_key": "a-key-of-polygon"}}
            configure(load_settings(http=http, providers=key))
            assert (await as_written(RIGHT, {}))["response"].status_code == 200
            assert server.headers[0]["host"] == "api.example.com" and "authorization" not in server.headers[0]
            symbols = [f"S{number}" for number in range(100)]
            results = (await as_written(POOLING, {"symbols": symbols}))["results"]
            assert [result.status_code for result in results] == [200] * 100
            assert server.most_open <= 20 + 1 and server.headers[-1]["host"] == "api.polygon.io"
            assert server.headers[-1]["authorization"] == "Bearer a-key-of-polygon"

    run(work())
    import ast

    assert list(tidy_rules.client_homes("mts1b.marketdata.x", ast.parse(WRONG)))
