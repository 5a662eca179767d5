"""The password of the database is rotated while a pool is open: the next connection goes by the new one."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from mts1b import config_sections
from mts1b.foundation.errors import StackError
from mts1b.platform import db
from mts1b.platform.secrets import SecretValue
from tests.conftest import RunningStack
from tests.contract.vault_server import VaultServer

PLACE = SecretStr("vault://mts1b/db#dsn")
SECOND = "second-password-of-a-test"


@pytest.fixture
def vault(stack: RunningStack) -> Iterator[VaultServer]:
    """Knows the stack's DSN; the role has its first password again at the end."""
    server, first = VaultServer(), stack.endpoints.postgres_dsn
    server.put("mts1b/db", dsn=first)
    yield server
    server.close()

    async def restore() -> None:
        for dsn in (first, rotated(first)):
            try:
                pool = await db.open_pool("restore", dsn, 1)
                await pool.execute(f"ALTER ROLE CURRENT_USER PASSWORD '{urlsplit(first).password}'")
                return
            except StackError:
                continue
            finally:
                await db.close_pools()

    asyncio.run(restore())


def rotated(dsn: str) -> str:
    url = urlsplit(dsn)
    return url._replace(netloc=f"{url.username}:{SECOND}@{url.hostname}:{url.port}").geturl()


def source(vault: VaultServer, handed: str = "") -> SecretValue:
    """As it arrives in an actor: the place travelled, and the value as it was."""
    section = config_sections.Secrets(vault={"address": vault.address, "token": "root-token-of-a-test"})
    travelled = pickle.loads(pickle.dumps(SecretValue(PLACE, section, handed)))  # noqa: S301
    assert isinstance(travelled, SecretValue) and "***" in repr(travelled)
    return travelled


def test_a_rotated_password_is_used_by_the_next_connection(stack: RunningStack, vault: VaultServer) -> None:
    first = stack.endpoints.postgres_dsn

    async def work() -> None:
        pool = await db.open_pool("rotating", source(vault), pool_size=2, max_overflow=2)
        async with pool.acquire() as held:
            asked = len(vault.asked)
            await held.execute(f"ALTER ROLE CURRENT_USER PASSWORD '{SECOND}'")
            with pytest.raises(StackError, match="password authentication failed"):  # Vault has not heard of it yet
                await asyncio.gather(*(pool.fetchval("SELECT pg_sleep(0.05)") for _ in range(3)))
            vault.put("mts1b/db", dsn=rotated(first))
            async with asyncio.TaskGroup() as group:
                done = [group.create_task(pool.fetchval("SELECT 1 FROM pg_sleep(0.05)")) for _ in range(12)]
            assert [task.result() for task in done] == [1] * 12
            assert await held.fetchval("SELECT 2") == 2  # whoever is connected stays so
            assert len(vault.asked) > asked
            assert await db.ping(source(vault))
        assert pool.gauge.active == pool.gauge.waiting == 0
        with pytest.raises(StackError, match="password authentication failed"):
            await db.ping(first)

    async def whole() -> None:
        try:
            await work()
        finally:
            await db.close_pools()

    asyncio.run(whole())


def test_where_the_place_cannot_be_read_the_value_handed_along_serves(
    stack: RunningStack, vault: VaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    vault.sealed = True
    first = stack.endpoints.postgres_dsn
    with caplog.at_level(logging.WARNING, "mts1b.secrets"):
        assert asyncio.run(db.ping(source(vault, first)))
    (line,) = caplog.messages
    assert "handed along is used" in line and first not in line
    with pytest.raises(StackError, match="vault"):
        asyncio.run(db.ping(source(vault)))
    fixed = SecretValue("env://MTS_NOT_SET_HERE", handed=first)  # the variable is another process's
    assert asyncio.run(fixed.get()) == asyncio.run(fixed.renewed()) == first
