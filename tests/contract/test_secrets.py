"""Secrets out of a server that speaks Vault's API: leases, rotation, logins, and what is done when it is away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from mts1b import config_sections
from mts1b.foundation import redaction
from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.errors import InputError, StackError
from mts1b.platform.secrets import Secrets
from mts1b.testing.clock import SimulatedClock
from tests.contract.vault_server import VaultServer

KEY = SecretStr("vault://mts1b/fmp#api_key")


@pytest.fixture
def vault() -> Iterator[VaultServer]:
    server = VaultServer()
    server.put("mts1b/fmp", api_key="first-key-of-fmp", plan="free")
    yield server
    server.close()


def secrets_of(vault: VaultServer, clock: SimulatedClock, **given: object) -> Secrets:
    credentials = given or {"token": "root-token-of-a-test"}
    section = config_sections.Secrets(
        lease_s=300, stale_s=600, vault={"address": vault.address, "timeout_s": 2.0, **credentials}
    )
    return Secrets(section, clock)


def test_a_secret_is_read_once_a_lease_and_rotates_without_a_restart(vault: VaultServer) -> None:
    clock = SimulatedClock()
    held = secrets_of(vault, clock)
    assert asyncio.run(held.get(KEY)) == "first-key-of-fmp"
    asked = len(vault.asked)
    vault.put("mts1b/fmp", api_key="second-key-of-fmp")
    assert asyncio.run(held.get(KEY)) == "first-key-of-fmp" and len(vault.asked) == asked
    clock.advance(300 * NS_PER_S)
    assert asyncio.run(held.get(KEY)) == "second-key-of-fmp"
    vault.put("mts1b/fmp", api_key="third-key-of-fmp")
    assert asyncio.run(held.renewed(KEY)) == "third-key-of-fmp"
    assert redaction.scrub("first-key-of-fmp second-key-of-fmp") == "*** ***"
    held.close()


def test_while_vault_is_away_the_last_value_serves_for_its_time(
    vault: VaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    clock = SimulatedClock()
    held = secrets_of(vault, clock)
    held.read(KEY)
    vault.sealed = True
    clock.advance(301 * NS_PER_S)
    assert held.read(KEY) == "first-key-of-fmp"
    assert "cannot be read again" in caplog.text and "first-key" not in caplog.text
    asked = len(vault.asked)
    assert held.read(KEY) == "first-key-of-fmp" and len(vault.asked) == asked  # not asked at every use
    clock.advance(601 * NS_PER_S)
    with pytest.raises(StackError, match="sealed"):
        held.read(KEY)
    vault.sealed = False
    assert held.read(KEY) == "first-key-of-fmp"


def test_an_approle_logs_in_renews_and_logs_in_again(vault: VaultServer) -> None:
    clock = SimulatedClock()
    held = secrets_of(vault, clock, role_id="role-of-a-test", secret_id="secret-id-of-a-test")
    held.read(KEY)
    assert (vault.logins, vault.renewals) == (1, 0)
    clock.advance(1_801 * NS_PER_S)
    held.read(KEY)
    assert (vault.logins, vault.renewals) == (1, 1)
    vault.tokens.clear()  # revoked
    clock.advance(301 * NS_PER_S)
    assert held.read(KEY) == "first-key-of-fmp" and vault.logins == 2


def test_a_token_in_a_file_is_read_again_when_it_is_replaced(vault: VaultServer, tmp_path: object) -> None:
    file = f"{tmp_path}/token"
    with open(file, "w") as out:
        out.write("root-token-of-a-test\n")
    clock = SimulatedClock()
    held = secrets_of(vault, clock, token=f"file://{file}")
    held.read(KEY)
    vault.tokens = {"another-token-of-a-test": None}
    with open(file, "w") as out:
        out.write("another-token-of-a-test\n")
    clock.advance(301 * NS_PER_S)
    assert held.read(KEY) == "first-key-of-fmp"


@pytest.mark.parametrize(
    ("reference", "given", "error", "told"),
    [
        ("vault://mts1b/nothing#x", {}, InputError, "no such secret"),
        ("vault://mts1b/fmp#key", {}, InputError, "api_key, plan"),
        ("vault://mts1b/fmp", {}, InputError, "api_key, plan"),
        ("vault://mts1b/fmp#api_key", {"token": "guessed-token"}, StackError, "may not be read"),
        ("vault://mts1b/fmp#api_key", {"role_id": "role-x", "secret_id": "guessed-id"}, StackError, "invalid role"),
        ("vault://mts1b/fmp#api_key", {"namespace": "x"}, InputError, "no credentials"),
        ("vault://mts1b/fmp#api_key", {"token": "vault://x"}, InputError, "lie in Vault"),
    ],
)
def test_what_cannot_be_read_is_named(
    vault: VaultServer, reference: str, given: dict[str, object], error: type[Exception], told: str
) -> None:
    held = secrets_of(vault, SimulatedClock(), **given)
    with pytest.raises(error, match=told) as caught:
        held.read(reference)
    assert "guessed" not in str(caught.value) and "first-key" not in str(caught.value)


def test_a_vault_that_does_not_answer_is_named(vault: VaultServer) -> None:
    held = secrets_of(vault, SimulatedClock())
    vault.close()
    with pytest.raises(StackError, match="Connection"):
        held.read(KEY)


def test_vault_must_be_named() -> None:
    with pytest.raises(InputError, match=r"secrets.vault.address"):
        Secrets().read("vault://a#b")
