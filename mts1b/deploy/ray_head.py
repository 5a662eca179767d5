"""The local Ray head with its dashboard."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sys
from pathlib import Path

from mts1b.config import child_environment, environment_value
from mts1b.deploy.endpoints import write_private
from mts1b.deploy.part import Part
from mts1b.deploy.plan import LOOPBACK, Plan, choose_ports

TEMP_DIR_CHARS_MAX = 39
"""Ray makes sockets below its temporary directory, with up to 68 characters of its own
(`/session_2026-11-23_23-19-48_002858_4194304/sockets/dash_MetricsHead`), and a socket's path ends at 107."""

SESSIONS_KEPT = 3
"""Directories of logs of earlier heads."""

HEAD_STOPS_S = 15.0
"""A healthy head is gone in 5 s; one whose GCS is gone never is, and it holds nothing that must be written."""

SETTINGS_OF_A_CLIENT = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_TOKEN", "RAY_JOB_CONFIG_JSON_ENV_VAR")
"""What a program that talks to another Ray may have in its environment, and a head must not inherit."""


def short_link(plan: Plan) -> Path:
    """A directory for Ray with a short enough path: `ray/head/` in the data directory, through a link where it is long.

    The link's name is written down in the run directory, so that `down` can remove it and a later start reuse it.
    """
    home = plan.root / "ray" / "head"  # Ray opens it to everybody; the directory around it stays closed
    home.parent.mkdir(mode=0o700, exist_ok=True)
    home.mkdir(mode=0o700, exist_ok=True)
    if len(str(home)) <= TEMP_DIR_CHARS_MAX:
        return home
    note = plan.run_dir / "ray_link"
    if note.exists():
        link = Path(note.read_text())
        if link.is_symlink() and link.lstat().st_uid == os.geteuid() and Path(os.readlink(link)) == home:
            return link
    link = Path("/tmp") / f"mts-{secrets.token_hex(4)}"
    link.symlink_to(home)  # fails if anybody was there first
    write_private(note, str(link))
    return link


def remove_link(run_dir: Path) -> None:
    """Remove the link that `short_link` made, if it is still ours."""
    note = run_dir / "ray_link"
    if note.exists():
        link = Path(note.read_text())
        if link.is_symlink() and link.lstat().st_uid == os.geteuid():
            link.unlink()
        note.unlink()


def prune_sessions(home: Path) -> None:
    """Remove the logs of all but the last few heads."""
    sessions = sorted(path for path in home.glob("session_2*") if path.is_dir() and not path.is_symlink())
    for path in sessions[:-SESSIONS_KEPT]:
        shutil.rmtree(path, ignore_errors=True)


def ray_program() -> str:
    return str(Path(sys.prefix) / "bin" / "ray")


def head_environment(plan: Plan, ports: dict[str, int], token_path: Path) -> dict[str, str]:
    """The head's environment, which every job and worker inherits: its `python` and its settings are ours."""
    environment = child_environment(
        PATH=os.pathsep.join([str(Path(sys.prefix) / "bin"), environment_value("PATH") or os.defpath]),
        MTS_DATA_DIR=plan.data_dir,
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN_PATH=str(token_path),
        RAY_USAGE_STATS_ENABLED="0",
        RAY_worker_niceness="0",  # Ray's own 15 starves the order path as soon as anything else runs here
        RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S="0",  # `down` means now, and nobody else takes this node's work
        AUTOSCALER_METRIC_PORT=str(ports["ray.autoscaler_metrics"]),
        DASHBOARD_METRIC_PORT=str(ports["ray.dashboard_metrics"]),
    )
    return {name: value for name, value in environment.items() if name not in SETTINGS_OF_A_CLIENT}


def ray_part(plan: Plan, credentials: dict[str, str], fresh_ports: bool = False) -> Part:
    """`ray start --head --block`: GCS, raylet, dashboard and their agents, guarded by a token."""
    ports = choose_ports(plan, "ray", fresh_ports)
    token_path = plan.run_dir / "ray_token"
    temp_dir = short_link(plan)
    dashboard, agent = (f"http://{LOOPBACK}:{ports[name]}" for name in ("ray.dashboard_port", "ray.agent_listen"))
    options = {
        "--port": ports["ray.gcs_port"],
        "--dashboard-host": LOOPBACK,
        "--dashboard-port": ports["ray.dashboard_port"],
        "--dashboard-agent-listen-port": ports["ray.agent_listen"],
        "--dashboard-agent-grpc-port": ports["ray.agent_grpc"],
        "--runtime-env-agent-port": ports["ray.runtime_env_agent"],
        "--metrics-export-port": ports["ray.metrics"],
        "--ray-client-server-port": ports["ray.client"],
        "--min-worker-port": 0,
        "--max-worker-port": 0,
        "--temp-dir": temp_dir,
        "--object-store-memory": plan.ray_object_store_bytes,
    }
    if plan.ray_num_cpus is not None:
        options["--num-cpus"] = plan.ray_num_cpus

    def prepare() -> None:
        write_private(token_path, credentials["ray"])
        prune_sessions(plan.root / "ray" / "head")

    return Part(
        name="ray",
        command=(ray_program(), "start", "--head", "--block", "--disable-usage-stats", "--include-dashboard=true")
        + tuple(f"{name}={value}" for name, value in options.items()),
        environment=head_environment(plan, ports, token_path),
        work_dir=plan.root / "ray",
        log_path=plan.log_dir / "ray.log",
        fields={
            "ray_address": f"{LOOPBACK}:{ports['ray.gcs_port']}",
            "dashboard_url": dashboard,
            "ray_agent_url": agent,
            "ray_token_path": str(token_path),
            "ray_metrics_port": ports["ray.metrics"],
        },
        prepare=prepare,
        answers=lambda: head_answers(dashboard, agent, credentials["ray"]),
        stop_timeout_s=HEAD_STOPS_S,
        whole=True,
    )


async def http_status(url: str, token: str = "", timeout_s: float = 5.0) -> int:
    """The status code of a GET on a plain HTTP server of this machine; OSError or TimeoutError when it is silent."""
    host, _, rest = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    request = f"GET /{rest} HTTP/1.1\r\nHost: {host}\r\n{authorization}Connection: close\r\n\r\n"
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(name, int(port or 80))
        try:
            writer.write(request.encode())
            await writer.drain()
            first = await reader.readline()
        finally:
            writer.close()
    words = first.split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


async def head_answers(dashboard_url: str, agent_url: str, token: str, timeout_s: float = 5.0) -> bool:
    """Whether GCS, the dashboard's job API and the raylet with its agent all answer: a job can be submitted at once."""
    asked = (f"{dashboard_url}/api/gcs_healthz", f"{dashboard_url}/api/jobs/", f"{agent_url}/api/local_raylet_healthz")
    try:
        return all([await http_status(url, token, timeout_s) == 200 for url in asked])
    except (OSError, TimeoutError):
        return False
