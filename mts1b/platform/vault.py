"""HashiCorp Vault, KV version 2. The only module that imports hvac, which blocks: `platform.secrets` calls it aside."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, simplefilter

from mts1b.config_sections import Vault
from mts1b.foundation import redaction
from mts1b.foundation.clock import NS_PER_S, Clock
from mts1b.foundation.errors import InputError, StackError
from mts1b.platform.lean import left_out, without

NOT_USED = (
    *(
        f"hvac.api.auth_methods.{name}"
        for name in (
            *("aws", "azure", "cert", "gcp", "github", "jwt", "kubernetes", "ldap", "legacy_mfa", "oidc", "okta"),
            *("radius", "userpass"),
        )
    ),
    *(
        f"hvac.api.system_backend.{name}"
        for name in (
            *("audit", "auth", "capabilities", "health", "init", "key", "leader", "lease", "mount", "namespace"),
            *("policies", "policy", "quota", "raft", "seal", "wrapping"),
        )
    ),
    *(
        f"hvac.api.secrets_engines.{name}"
        for name in (
            *("active_directory", "aws", "azure", "consul", "database", "gcp", "identity", "ldap", "pki", "rabbitmq"),
            *("ssh", "transform", "transit"),
        )
    ),
)
"""Logins, engines and administration of hvac's that nobody here asks for."""

if TYPE_CHECKING:
    import hvac
    from hvac.exceptions import Forbidden, InvalidPath, Unauthorized, VaultError
else:
    with catch_warnings(), without("charset_normalizer", "chardet"), left_out("idna", *NOT_USED):
        simplefilter("ignore")  # requests misses what it guesses encodings with; Vault answers in JSON
        import hvac
        from hvac.exceptions import Forbidden, InvalidPath, Unauthorized, VaultError

Reveal = Callable[[Any], str]
"""Reads a setting that may be a reference to the environment or a file."""


class VaultReader:
    """One Vault, logged in when first asked. Its token is renewed half-way and fetched anew when it no longer serves.

    Not for several threads at once.
    """

    def __init__(self, section: Vault, reveal: Reveal, clock: Clock) -> None:
        if section.address is None:
            raise InputError("secrets.vault.address", None, "a secret lies in Vault and none is named", "name it")
        self._section, self._reveal, self._clock = section, reveal, clock
        self._client: Any = None
        self._renew_ns = 0

    def read(self, path: str) -> dict[str, Any]:
        """The fields of a secret's newest version. InputError: no such secret; StackError: Vault does not give it."""
        try:
            return self._read(path)
        except (Forbidden, Unauthorized):
            self._client = None  # the token has ended or was revoked: once more with a fresh one
            try:
                return self._read(path)
            except (Forbidden, Unauthorized):
                remedy = "give the token or role a policy that may read it"
                raise StackError("vault", path, "may not be read with these credentials", remedy) from None

    def close(self) -> None:
        if self._client is not None:
            self._client.adapter.close()
            self._client = None

    def _read(self, path: str) -> dict[str, Any]:
        mount = self._section.mount
        try:
            client = self._logged_in()
            answer = client.secrets.kv.v2.read_secret_version(path, mount_point=mount, raise_on_deleted_version=True)
            return dict(answer["data"]["data"])
        except InvalidPath:
            problem = f"no such secret (or deleted) in {mount}/"
            raise InputError("vault", path, problem, "write it with `vault kv put`, or correct the path") from None
        except (Forbidden, Unauthorized):
            raise
        except (VaultError, OSError, ValueError, KeyError, TypeError) as error:  # requests' errors are OSErrors
            problem = f"{type(error).__name__}: {redaction.scrub(str(error))[:200]}"
            raise StackError("vault", self._section.address, problem, "see whether it is up and unsealed") from None

    def _logged_in(self) -> Any:
        now_ns = self._clock.monotonic_ns()
        if self._client is not None and now_ns >= self._renew_ns:
            self._renew(now_ns)
        if self._client is None:
            self._log_in(now_ns)
        return self._client

    def _log_in(self, now_ns: int) -> None:
        section = self._section
        client = hvac.Client(
            section.address,
            token="",  # hvac would look for one in the environment
            verify=str(section.ca_file) if section.ca_file else True,
            timeout=section.timeout_s,
            namespace=section.namespace,
        )
        client.session.trust_env = False
        if section.role_id is not None and section.secret_id is not None:
            told = client.auth.approle.login(self._reveal(section.role_id), self._reveal(section.secret_id))["auth"]
            redaction.remember(str(told["client_token"]))
        elif section.token is not None:
            client.token = self._reveal(section.token)
            found = client.auth.token.lookup_self()["data"]
            told = {"lease_duration": found.get("ttl", 0), "renewable": found.get("renewable", False)}
        else:
            raise InputError("secrets.vault", section.address, "no credentials", "give token, or role_id and secret_id")
        self._client = client
        self._note_lease(told, now_ns)

    def _renew(self, now_ns: int) -> None:
        """Renew the token, or let it go when that cannot be."""
        try:
            self._note_lease(self._client.auth.token.renew_self()["auth"], now_ns)
        except (Forbidden, Unauthorized, VaultError):
            self._client = None

    def _note_lease(self, told: dict[str, Any], now_ns: int) -> None:
        """A token that never ends has a lease of 0; one that cannot be renewed is replaced by a new login at half."""
        lease_ns = int(told.get("lease_duration") or 0) * NS_PER_S
        self._renew_ns = now_ns + lease_ns // 2 if lease_ns else now_ns + 10**18
