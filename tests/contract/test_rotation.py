"""Passwords of NATS and Valkey are rotated, at the server and in their place: who is connected comes back by itself."""

from __future__ import annotations

import asyncio
import pickle
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from mts1b.deploy.servers import NATS_CONFIGURATION, nats_program
from mts1b.foundation.errors import StackError
from mts1b.platform import cache, eventbus
from mts1b.platform.eventbus.line import Kept, connect_line
from mts1b.platform.secrets import SecretValue
from tests.contract.valkey_server import ValkeyServer

FIRST, SECOND = "first-of-a-test", "second/p@ss:of a test"
KEPT = Kept("rotation", "rotation.>", 60.0, 1 << 20)


class Place:
    """A file that holds an address."""

    def __init__(self, path: Path, pattern: str) -> None:
        self.path, self.pattern = path, pattern

    def url(self, password: str) -> str:
        return self.pattern.format(quote(password, safe=""))

    def write(self, password: str) -> None:
        self.path.write_text(self.url(password))

    def source(self) -> SecretValue:
        """As it arrives in an actor."""
        travelled = pickle.loads(pickle.dumps(SecretValue(f"file://{self.path}")))  # noqa: S301
        assert isinstance(travelled, SecretValue)
        return travelled


class NatsServer:
    """One server on a free port, which may be told another password."""

    def __init__(self, home: Path) -> None:
        self._home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._configure(FIRST)
        self._process = subprocess.Popen([nats_program(), "-c", str(home / "conf")], stderr=subprocess.DEVNULL)

    def _configure(self, password: str) -> None:
        terms = {"host": "127.0.0.1", "port": self.port, "store": self._home / "data", "user": "mts"}
        (self._home / "conf").write_text(NATS_CONFIGURATION.format(**terms, password=password))

    def knows(self, password: str) -> None:
        self._configure(password)
        self._process.send_signal(signal.SIGHUP)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[tuple[NatsServer, Place]]:
    server = NatsServer(tmp_path)
    place = Place(tmp_path / "secret", f"nats://mts:{{}}@127.0.0.1:{server.port}")
    place.write(FIRST)
    asyncio.run(until(lambda: eventbus.ping(place.source())))
    yield server, place
    server.end()


async def until(done: Callable[[], Awaitable[object]], within_s: float = 20.0) -> None:
    """Ask until there is an answer."""
    async with asyncio.timeout(within_s):
        while True:
            with suppress(StackError):
                await done()
                return
            await asyncio.sleep(0.05)


def test_a_bus_and_a_line_come_back_with_a_rotated_password(nats: tuple[NatsServer, Place]) -> None:
    server, place = nats

    async def work() -> None:
        source = place.source()
        bus, left = await eventbus.open_bus("rotating", source), await eventbus.connect(place.url(FIRST))
        line = await connect_line(source, KEPT, "rotating")
        await bus.ensure_stream("ROTATED", ["rotated.>"])

        async def sent(over: eventbus.EventBus, name: str) -> None:
            await over.publish("rotated.v1.one", b"", name, timeout_s=0.3)

        await sent(bus, "before")
        server.knows(SECOND)  # and throws everybody out
        await refused(lambda: sent(bus, "between"))
        place.write(SECOND)
        await until(lambda: sent(bus, "after"))
        await until(lambda: line.keep("rotation.one", b"after"))
        assert await line.kept_since(0) == [b"after"]
        await refused(lambda: sent(left, "old"))  # it has the old password, and no place to look for another
        assert await eventbus.open_bus("rotating", source) is bus
        with pytest.raises(StackError, match="Authorization Violation"):
            await eventbus.ping(place.url(FIRST))
        for one in (bus, line, left):
            await one.close()

    async def refused(call: Callable[[], Awaitable[None]]) -> None:
        async with asyncio.timeout(20):
            while True:  # what the server had before it was told still arrives
                try:
                    await call()
                except StackError:
                    return

    asyncio.run(work())


@asynccontextmanager
async def scripts(url: str, source: SecretValue) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """What the rate limiter speaks by."""
    found = cache.Scripts(url, 2.0, source)
    yield lambda: found.run("return 1", [], [])
    await found.close()


def test_a_cache_connects_again_with_a_rotated_password(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path, keeps=False).start()
    place = Place(tmp_path / "secret", f"redis://:{{}}@127.0.0.1:{server.port}/0")
    place.write("rate-secret")
    source, before = place.source(), place.url("rate-secret")

    async def work() -> None:
        held, left = await cache.connect(source), await cache.connect(before)
        async with scripts(before, source) as asked:
            await held.set("x", 1)
            assert await asked() == 1
            await held.config_set("requirepass", SECOND)
            await held.set("x", 2)  # whoever is connected stays so
            await held.client_kill_filter(_type="normal", skipme=True)
            await held.connection_pool.disconnect()
            with pytest.raises(StackError, match="WRONGPASS|invalid"):  # the place has not heard of it yet
                await held.get("x")
            place.write(SECOND)
            assert await held.get("x") == b"2"
            assert await asked() == 1
            with pytest.raises(StackError, match="WRONGPASS|invalid"):
                await left.get("x")
        await held.aclose()
        await left.aclose()

    try:
        asyncio.run(work())
    finally:
        server.kill()
