"""Where the parts of a running stack answer, kept in one file that its owner alone may read."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import psutil
from pydantic import SecretStr

from mts1b.config import Settings
from mts1b.foundation.errors import StackError
from mts1b.platform.secrets import Secrets, SecretValue

PARTS = ("postgres", "nats", "valkey", "ray")
"""Every part of the stack, in the order they are shown. They start side by side and stop in reverse."""


CLOCK_STEP_S = 2.0
"""Start times are told by the machine's clock, which may be set; no pid comes round again this soon."""


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """One process for good: a pid may be used again, a pid with its start time may not."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> ProcessMark | None:
        """The mark of a live process, None when there is none."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return None

    def process(self) -> psutil.Process | None:
        """The process while it lives (a zombie does not), else None."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < CLOCK_STEP_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of the stack's parts; empty where the part neither runs nor is replaced by a setting.

    DSN and URLs carry credentials: never print them. `ray_address` is the GCS as host:port. `pids` holds the main
    process of each embedded part at the time of reading.
    """

    data_dir: str
    postgres_dsn: str = field(default="", repr=False)
    nats_url: str = field(default="", repr=False)
    valkey_url: str = field(default="", repr=False)
    ray_address: str = ""
    dashboard_url: str = ""
    ray_agent_url: str = ""
    ray_token_path: str = ""
    ray_metrics_port: int = 0
    supervisor_pid: int = 0
    supervisor_created: float = 0.0
    pids: dict[str, int] = field(default_factory=dict)

    def address(self, part: str) -> str:
        """The address of one of PARTS, with credentials."""
        return {
            "postgres": self.postgres_dsn,
            "nats": self.nats_url,
            "valkey": self.valkey_url,
            "ray": self.ray_address,
        }[part]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Endpoints:
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in json.loads(text).items() if name in known})


def write_private(path: Path, text: str) -> None:
    """Replace `path` at once by a file that its owner alone may read."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def endpoints_path(settings: Settings) -> Path:
    return settings.run_dir / "stack.json"


def given(settings: Settings) -> dict[str, str]:
    """The parts that a setting replaces: Endpoints field -> address. Errors of `mts1b.platform.secrets`."""
    held = Secrets(settings.secrets)
    found = {name: held.read(secret) for name, secret in _given_secrets(settings).items()}
    if settings.ray.address:
        found["ray_address"] = settings.ray.address
    return found


def _given_secrets(settings: Settings) -> dict[str, SecretStr]:
    known = {
        "postgres_dsn": settings.db.primary.dsn,
        "nats_url": settings.eventbus.url,
        "valkey_url": settings.cache.url,
    }
    return {name: secret for name, secret in known.items() if secret is not None}


FIELD_OF = {"postgres": "postgres_dsn", "nats": "nats_url", "valkey": "valkey_url", "ray": "ray_address"}


def embedded_parts(settings: Settings, parts: tuple[str, ...] = PARTS) -> tuple[str, ...]:
    """Those of `parts` that no setting replaces."""
    replaced = {*_given_secrets(settings), *(("ray_address",) if settings.ray.address else ())}
    return tuple(part for part in PARTS if part in parts and FIELD_OF[part] not in replaced)


def read_running(settings: Settings) -> Endpoints | None:
    """What the supervisor wrote down, None when it is not alive."""
    try:
        found = Endpoints.from_json(endpoints_path(settings).read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return None
    except PermissionError:
        raise StackError("data_dir", str(settings.data_dir), "belongs to another user", "give --data-dir") from None
    alive = ProcessMark(found.supervisor_pid, found.supervisor_created).process()
    return found if alive is not None else None


def endpoints(settings: Settings) -> Endpoints:
    """Where each part answers, embedded or given by a setting. StackError when an embedded stack is not up."""
    running = read_running(settings)
    if running is None and embedded_parts(settings):
        raise StackError("stack", str(settings.data_dir), "is not up", "run `mts up`")
    return with_given(settings, running or Endpoints(data_dir=str(settings.data_dir)))


def source_of(part: str, settings: Settings, stack: Endpoints) -> SecretValue:
    """The address of a server for what lasts: where a setting says where it is kept, read there again when rotated."""
    address = stack.address(part)
    return SecretValue(_given_secrets(settings).get(FIELD_OF[part]) or address, settings.secrets, address)


def postgres_source(settings: Settings, stack: Endpoints) -> SecretValue:
    """The DSN of a stack; see `source_of`."""
    return source_of("postgres", settings, stack)


def nats_source(settings: Settings, stack: Endpoints) -> SecretValue | str:
    """The URL of a stack's bus in the same way; "" where there is none."""
    return source_of("nats", settings, stack) if stack.nats_url else ""


def with_given(settings: Settings, running: Endpoints) -> Endpoints:
    """The same, with the parts that a setting replaces in place of embedded ones."""
    replaced = given(settings)
    if "ray_address" in replaced:
        running = replace(running, dashboard_url="", ray_agent_url="", ray_token_path="")
    return replace(running, **replaced)  # type: ignore[arg-type]
