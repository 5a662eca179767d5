"""Secrets out of settings, environment and files."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from mts1b import config_sections
from mts1b.foundation import redaction
from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.errors import InputError, StackError
from mts1b.platform.secrets import Secrets
from mts1b.testing.clock import SimulatedClock


def test_a_value_in_the_settings_is_itself() -> None:
    assert asyncio.run(Secrets().get(SecretStr("postgres://u:plain-pw-1@h/d"))) == "postgres://u:plain-pw-1@h/d"
    assert redaction.scrub("it was plain-pw-1") == "it was ***"


def test_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY_OF_A_TEST", "key-in-a-variable")
    assert Secrets().read("env://A_KEY_OF_A_TEST") == "key-in-a-variable"
    assert redaction.scrub("key-in-a-variable") == "***"
    monkeypatch.delenv("A_KEY_OF_A_TEST")
    with pytest.raises(InputError, match="set A_KEY_OF_A_TEST"):
        Secrets().read("env://A_KEY_OF_A_TEST")


def test_a_file_is_read_again_after_its_lease(tmp_path: Path) -> None:
    file, clock = tmp_path / "a key", SimulatedClock()
    held = Secrets(config_sections.Secrets(lease_s=10, stale_s=5), clock)
    reference = f"file://{str(file).replace(' ', '%20')}"
    with pytest.raises(StackError, match="No such file"):
        held.read(reference)
    file.write_text("one-of-a-file\n")
    assert held.read(reference) == "one-of-a-file"
    file.write_text("two-of-a-file\n")
    clock.advance(9 * NS_PER_S)
    assert held.read(reference) == "one-of-a-file"
    clock.advance(1 * NS_PER_S)
    assert held.read(reference) == "two-of-a-file"
    file.write_text("")
    with pytest.raises(InputError, match="empty"):
        Secrets().read(reference)
