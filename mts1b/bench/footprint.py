"""Memory of each primitive and each service beside the source's tables.

Each primitive is measured in a fresh process, above what it stands on: an interpreter with asyncio, ssl and json and
the foundation, for clients also the settings, which every service has read first. Services are measured where they
live: the actors in Ray's workers, after a start and after a paper session; a sweep's workers before their first chunk
and at their highest; a worker that holds nothing is the base, measured in the same run. Resident memory (RSS) counts
pages that processes share in each of them; USS is what nobody else has.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from mts1b.bench.footprint_services import Allowed, Findings, services
from mts1b.bench.footprint_task import TASKS, Held
from mts1b.bench.result import BenchResult
from mts1b.bench.session import Session
from mts1b.config import Settings, child_environment, load_settings
from mts1b.deploy import stack
from mts1b.deploy.endpoints import Endpoints

PRIMITIVES: Mapping[str, float] = {
    "foundation": 10.0,
    "logging": 5.0,
    "config": 15.0,
    "http": 10.0,
    "nats": 5.0,
    "postgres": 30.0,
    "redis": 5.0,
}
"""By task; the source's figures in MB."""

LIBRARIES = {"platform": Allowed(50.0, 80.0), "datalake": Allowed(150.0, 2_000.0)}


def memory(session: Session, settings: Settings | None = None) -> BenchResult:
    """MB of each primitive (`NAME_rss_mb`, `NAME_uss_mb`) and each service (`NAME_idle_rss_mb` and so on).

    `NAME_above_base` is RSS above Ray's bare worker. `within` of `judged` are within the source's figure, to the whole
    MB; a service is judged by what it holds above the base where the base alone exceeds the figure. The GPU's own
    memory is not measured: there is no device.
    """
    found = Findings()
    with _stack(session, settings) as (used, up), tempfile.TemporaryDirectory() as folder, _provider() as provider:
        where = {
            "postgres_dsn": up.postgres_dsn,
            "nats_url": up.nats_url,
            "valkey_url": up.valkey_url,
            "http": provider,
            "lake": folder,
        }
        for name in TASKS:
            session.tell(name)
            note_task(name, _measured(name, where), found)
        services(session, used, up, found)
    verdicts = {f"{name}_within": float(kept) for name, kept in found.within.items()}
    counts = {"within": sum(verdicts.values()), "judged": float(len(verdicts))}
    return BenchResult("memory", found.figures | counts, verdicts)


@contextmanager
def _stack(session: Session, settings: Settings | None) -> Iterator[tuple[Settings, Endpoints]]:
    """A stack of our own while the block runs, or the one of `settings`."""
    with tempfile.TemporaryDirectory(prefix="mts1b-bench-") as folder:
        used = settings or load_settings(data_dir=Path(folder) / "data")
        session.tell("starting the stack")
        try:
            yield used, stack.up(used, session.clock)
        finally:
            if settings is None:
                if "ray" in sys.modules:
                    sys.modules["ray"].shutdown()
                stack.down(used, session.clock)


class _Answers(BaseHTTPRequestHandler):
    """A provider, and as much of Vault as reading one secret takes."""

    protocol_version = "HTTP/1.1"
    secret = {"data": {"data": {"key": "value"}, "metadata": {"version": 1}}}

    def do_GET(self) -> None:
        told = {"/v1/secret/data/footprint": self.secret, "/v1/auth/token/lookup-self": {"data": {"ttl": 0}}}
        text = json.dumps(told.get(self.path, {"path": self.path})).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *_given: object) -> None:
        """Nobody reads it."""


@contextmanager
def _provider() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    serving = Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _measured(name: str, where: Mapping[str, str]) -> dict[str, Held]:
    """One task in a process of its own; twice, since the first of all may compile what it imports."""
    command = [sys.executable, "-P", "-m", "mts1b.bench.footprint_task", name]
    kept = child_environment(PYTHONDONTWRITEBYTECODE="")  # compiling takes megabytes that a service never sees again
    for _ in range(2):
        done = subprocess.run(command, input=json.dumps(where), capture_output=True, text=True, check=False, env=kept)
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
    found: dict[str, Held] = json.loads(done.stdout)
    return found


def note_task(name: str, measured: dict[str, Held], found: Findings) -> None:
    """What a primitive adds to its base, or what a library's process holds."""
    base = measured["base"]
    if name in PRIMITIVES:
        adds = {unit: max(measured["idle"][unit], measured["active"][unit]) - base[unit] for unit in base}
        found.note(name, adds, adds["rss_mb"], PRIMITIVES[name])
        return
    for state, figure_mb in asdict(LIBRARIES[name]).items():
        stands_on = base if name == "platform" else dict.fromkeys(base, 0.0)
        holds = {unit: measured[state][unit] - stands_on[unit] for unit in base}
        found.note(f"{name}_{state}", holds, holds["rss_mb"], figure_mb)
