"""What a supervisor is asked to run, the files it keeps, its ports and its generated credentials."""

from __future__ import annotations

import errno
import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mts1b.deploy.endpoints import write_private
from mts1b.foundation.errors import StackError

LOOPBACK = "127.0.0.1"

PORTS = {
    "postgres": ("postgres",),
    "nats": ("nats",),
    "valkey": ("valkey",),
    "ray": (
        "ray.gcs_port",
        "ray.dashboard_port",
        "ray.client",
        "ray.agent_listen",
        "ray.agent_grpc",
        "ray.runtime_env_agent",
        "ray.metrics",
        "ray.autoscaler_metrics",
        "ray.dashboard_metrics",
    ),
}
"""The ports each part listens on, by name. Those named after a setting can be given."""


def ports_of(part: str) -> tuple[str, ...]:
    """The names of a part's ports; one that is not in PORTS has one port, called like itself."""
    return PORTS.get(part, (part,))


ALL_INTERFACES = frozenset(name for name in PORTS["ray"] if name != "ray.dashboard_port")
"""Ports that the server binds on every interface whatever it is told; the token guards them."""

PORT_RANGE = range(20_000, 32_000)
"""Where free ports are looked for: below the range from which systems take the ports of outgoing connections."""

CREDENTIALS = ("postgres_admin", "postgres", "nats", "valkey", "ray")


@dataclass(frozen=True, slots=True)
class Plan:
    """One embedded stack. `ports`: those given by settings, by the names in PORTS. Sizes in bytes.

    `watched`: whenever Ray is new, the watchdog's actor is begun on it.
    """

    data_dir: str
    parts: tuple[str, ...]
    ports: dict[str, int] = field(default_factory=dict)
    ray_num_cpus: int | None = None
    ray_object_store_bytes: int = 512 << 20
    watched: bool = False

    @property
    def root(self) -> Path:
        return Path(self.data_dir)

    @property
    def run_dir(self) -> Path:
        return self.root / "run"

    @property
    def log_dir(self) -> Path:
        return self.root / "logs"

    def save(self) -> None:
        write_private(self.run_dir / "plan.json", json.dumps(asdict(self)))

    @classmethod
    def load(cls, data_dir: Path) -> Plan:
        found = json.loads((data_dir / "run" / "plan.json").read_text())
        return cls(**{**found, "parts": tuple(found["parts"])})


def prepare_directories(data_dir: Path) -> None:
    """Make the data directory and what belongs in it, readable by its owner only. StackError when it cannot be."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("run", "logs"):
            (data_dir / name).mkdir(mode=0o700, exist_ok=True)
        write_private(data_dir / "run" / "writable", "")
    except OSError as error:
        problem = f"cannot be written ({os.strerror(error.errno or errno.EIO)})"
        raise StackError("data_dir", str(data_dir), problem, "give a directory of your own with --data-dir") from None


def load_credentials(run_dir: Path) -> dict[str, str]:
    """The stack's passwords by name, generated the first time and kept as long as the data they guard."""
    path = run_dir / "credentials.json"
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in CREDENTIALS if name not in known]
    if missing:
        known |= {name: secrets.token_hex(24) for name in missing}
        write_private(path, json.dumps(known))
    return known


def can_bind(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on the port now (0: any)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)  # with SO_REUSEADDR two may bind; only one may listen
        except OSError:
            return False
    return True


def _host(name: str) -> str:
    return "0.0.0.0" if name in ALL_INTERFACES else LOOPBACK


def all_free(ports: dict[str, int]) -> bool:
    """Whether a server could listen on every one of the ports."""
    return all(can_bind(port, _host(name)) for name, port in ports.items())


def require_free(ports: dict[str, int]) -> None:
    """StackError naming the first given port that another program holds."""
    for name, port in ports.items():
        if port and not can_bind(port, _host(name)):
            raise StackError(name, port, "the port is taken", "give another port, or 0 for a free one")


def choose_ports(plan: Plan, part: str, fresh: bool = False) -> dict[str, int]:
    """Ports for one part: those given, else those it had before (unless `fresh`), else free ones; written down."""
    path = plan.run_dir / "ports.json"
    known: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
    chosen: dict[str, int] = {}
    for name in ports_of(part):
        before = 0 if fresh else known.get(name, 0)
        if plan.ports.get(name):
            chosen[name] = plan.ports[name]
        elif before and can_bind(before, _host(name)):
            chosen[name] = before
        else:
            taken = {port for other, port in known.items() if other not in ports_of(part)} | set(chosen.values())
            chosen[name] = _free_port(_host(name), taken)
    write_private(path, json.dumps(known | chosen))
    return chosen


def _free_port(host: str, taken: set[int]) -> int:
    for _ in range(1_000):
        port = secrets.choice(PORT_RANGE)
        if port not in taken and can_bind(port, host):
            return port
    raise StackError("port", f"{PORT_RANGE.start}-{PORT_RANGE.stop}", "no port is free", "stop other servers")
