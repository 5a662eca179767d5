"""Secrets out of the settings, the environment, files or Vault: cached with a lease, read again without a restart.

A setting that is a secret holds it, or says where it lies:

    env://FMP_KEY    file:///run/secrets/fmp    vault://mts1b/fmp#api_key

Ask for it whenever it is used: within its lease that costs a look into a dictionary, after it the place is read again.
Where that fails the last value is used for `secrets.stale_s` more, with a warning each time. Every value read is told
to `mts1b.foundation.redaction`, so that it appears nowhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from mts1b.config import environment_value
from mts1b.config_layers import REFERENCES
from mts1b.config_sections import Secrets as Section
from mts1b.foundation import redaction
from mts1b.foundation.clock import NS_PER_S, Clock, SystemClock
from mts1b.foundation.errors import InputError, MtsError, StackError
from mts1b.platform.rotation import Source

if TYPE_CHECKING:
    from mts1b.platform.vault import VaultReader

RETRY_NS = 5 * NS_PER_S
"""How long a stale value is used before its place is tried again."""

_LOG = logging.getLogger("mts1b.secrets")


@dataclass(slots=True)
class Leased:
    """A value as it was read. Monotonic times: after `due_ns` it is read again, after `ends_ns` it is not used."""

    value: str
    due_ns: int
    ends_ns: int


class Secrets:
    """The secrets of one process, for any number of threads."""

    def __init__(self, section: Section = Section(), clock: Clock | None = None) -> None:
        self._section, self._clock = section, clock or SystemClock()
        self._held: dict[str, Leased] = {}
        self._lock = Lock()
        self._vault: VaultReader | None = None

    async def get(self, secret: SecretStr | str) -> str:
        """The value now. Nothing blocks: what must be read is read in a thread. Errors as in `read`."""
        reference = _text(secret)
        held = self._held.get(reference)
        if not reference.startswith(REFERENCES) or (held is not None and self._clock.monotonic_ns() < held.due_ns):
            return self.read(secret)
        return await asyncio.to_thread(self.read, secret)

    def read(self, secret: SecretStr | str) -> str:
        """The value now; blocks when its lease has run out.

        InputError when there is nothing at the place; StackError when the place cannot be read and no value is left.
        """
        reference = _text(secret)
        if not reference.startswith(REFERENCES):
            redaction.remember(reference)
            return reference
        with self._lock:
            held, now_ns = self._held.get(reference), self._clock.monotonic_ns()
            if held is not None and now_ns < held.due_ns:
                return held.value
            try:
                return self._fetch(reference, now_ns)
            except MtsError as error:
                if held is None or now_ns >= held.ends_ns:
                    raise
                _LOG.warning("secret %s cannot be read again: %s; the value of before is used", reference, error)
                held.due_ns = min(now_ns + RETRY_NS, held.ends_ns)
                return held.value

    async def renewed(self, secret: SecretStr | str) -> str:
        """The value as it is at its place now, whatever its lease: the one held has been refused."""
        reference = _text(secret)
        if reference in self._held:
            self._held[reference].due_ns = 0
        return await self.get(secret)

    def source(self, secret: SecretStr | str) -> Source:
        """This one secret, for what connects by it and must be told when it is rotated."""
        return _Held(self, secret)

    def close(self) -> None:
        """Let Vault's connection go."""
        if self._vault is not None:
            self._vault.close()
            self._vault = None

    def _fetch(self, reference: str, now_ns: int) -> str:
        value = self._at(reference)
        redaction.remember(value)
        lease_ns, stale_ns = (round(s * NS_PER_S) for s in (self._section.lease_s, self._section.stale_s))
        self._held[reference] = Leased(value, now_ns + lease_ns, now_ns + lease_ns + stale_ns)
        return value

    def _at(self, reference: str) -> str:
        scheme, _, place = reference.partition("://")
        if scheme == "vault":
            return self._in_vault(reference)
        if scheme == "file":
            return _in_file(reference)
        found = environment_value(place)
        if not found:
            raise InputError("secret", reference, "the variable is not set", f"set {place}")
        return found

    def _in_vault(self, reference: str) -> str:
        if self._vault is None:
            from mts1b.platform.vault import VaultReader

            self._vault = VaultReader(self._section.vault, self._plain, self._clock)
        path, _, field = reference.removeprefix("vault://").partition("#")
        fields = self._vault.read(path)
        if not field and len(fields) == 1:
            return str(next(iter(fields.values())))
        if field not in fields:
            known = ", ".join(sorted(fields))
            raise InputError("secret", reference, "no such field", f"write vault://{path}#FIELD; there are: {known}")
        return str(fields[field])

    def _plain(self, secret: SecretStr) -> str:
        """Vault's own credentials: they cannot lie in Vault."""
        reference = _text(secret)
        if reference.startswith("vault://"):
            raise InputError("secrets.vault", reference, "Vault's credentials lie in Vault", "give env:// or file://")
        value = self._at(reference) if reference.startswith(REFERENCES) else reference
        redaction.remember(value)
        return value


@dataclass(frozen=True, slots=True)
class _Held:
    secrets: Secrets
    secret: SecretStr | str

    async def get(self) -> str:
        return await self.secrets.get(self.secret)

    async def renewed(self) -> str:
        return await self.secrets.renewed(self.secret)


class SecretValue:
    """One secret as it is now, in any process: what travels is where it lies, and `handed`, its value when it left.

    `handed` serves where this process cannot read the place (no variable, file or Vault of that name), with a warning.
    """

    def __init__(self, secret: SecretStr | str, section: Section = Section(), handed: str = "") -> None:
        self._secret, self._section, self._handed = secret, section, handed
        self._secrets: Secrets | None = None

    def __reduce__(self) -> tuple[type[SecretValue], tuple[SecretStr | str, Section, str]]:
        return SecretValue, (self._secret, self._section, self._handed)

    def __repr__(self) -> str:
        return "SecretValue(***)"

    async def get(self) -> str:
        """The value, within its lease. Errors as in `Secrets.read`."""
        return await self._found(Secrets.get)

    async def renewed(self) -> str:
        """The value as it is at its place now: the one held has been refused."""
        return await self._found(Secrets.renewed)

    async def _found(self, ask: Callable[[Secrets, SecretStr | str], Awaitable[str]]) -> str:
        if self._handed and _text(self._secret).startswith("env://"):  # fixed while a process lives, and another's here
            return self._handed
        self._secrets = self._secrets or Secrets(self._section)
        try:
            return await ask(self._secrets, self._secret)
        except MtsError as error:
            if not self._handed:
                raise
            _LOG.warning(
                "secret %s cannot be read here: %s; the value handed along is used", _text(self._secret), error
            )
            return self._handed


def _in_file(reference: str) -> str:
    path = Path(unquote(urlsplit(reference).path))
    try:
        value = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", None) or "is not text in UTF-8"
        raise StackError("secret", reference, problem, "make it readable by this user") from None
    if not value:
        raise InputError("secret", reference, "the file is empty", "write the secret into it")
    return value


def _text(secret: SecretStr | str) -> str:
    return secret.get_secret_value() if isinstance(secret, SecretStr) else secret
