"""Whom chaos strikes, and how: processes by their pids, as supervisor and desk have them written down."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import psutil

from actors.live import ROLES, progress_of
from mts1b.config import Settings
from mts1b.deploy.health import read_states
from mts1b.deploy.live import fund_folder, parts_of
from mts1b.deploy.processes import GONE
from mts1b.foundation.errors import StackError
from mts1b.foundation.ids import FundId

SERVERS = ("postgres", "nats", "valkey", "ray")
VICTIMS = (*ROLES, "exchange", "desk", *SERVERS)
"""Everybody: five actors, the fund's two parts, the stack's servers (of Ray the head's GCS)."""

STOPPED_S = (0.5, 4.0)
"""How long a process is stopped; the OMS now and then beyond its lease."""

OMS_BEYOND_LEASE_S = 7.0
GCS = "gcs_server"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to whom. `stop_s` 0: it is killed."""

    victim: str
    stop_s: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.victim} stopped {self.stop_s:.1f} s" if self.stop_s else f"{self.victim} killed"


def drawn(random: Random, victims: tuple[str, ...] = VICTIMS) -> Fault:
    """A random fault."""
    victim = random.choice(victims)
    if random.random() < 0.5:
        return Fault(victim)
    if victim == "oms" and random.random() < 0.3:
        return Fault(victim, OMS_BEYOND_LEASE_S)
    return Fault(victim, round(random.uniform(*STOPPED_S), 2))


class Field:
    """The running processes of one fund and its stack."""

    def __init__(self, settings: Settings, fund_id: FundId) -> None:
        self.settings, self.fund_id = settings, fund_id
        self.folder = fund_folder(settings.data_dir, fund_id)

    def progress(self) -> dict[str, Any]:
        """Where the desk is."""
        return progress_of(self.folder)

    def pid(self, victim: str) -> int:
        """Its process now, 0 while it has none that is known."""
        if victim in ROLES:
            return int(self.progress().get("pids", {}).get(victim, 0))
        state = read_states(self.settings).get(self._part(victim), {})
        return int(str(state.get("pid", 0))) if state.get("state") == "up" else 0

    def _part(self, victim: str) -> str:
        exchange, desk = parts_of(self.fund_id)
        return {"exchange": exchange, "desk": desk}.get(victim, victim)

    def targets(self, victim: str) -> list[psutil.Process]:
        """The processes that are struck: of Ray's head the GCS, of a server that is stopped all of it."""
        main = self.pid(victim)
        try:
            process = psutil.Process(main)
            family = [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            raise StackError(victim, main, "has no process that could be struck", "see `mts status`") from None
        if victim == "ray":
            return [one for one in family if _name(one) == GCS]
        return family if victim in SERVERS else [process]

    async def strike(self, fault: Fault) -> int:
        """Do it; a stopped one goes on before this returns. Returns the pid that the victim had."""
        before, targets = self.pid(fault.victim), self.targets(fault.victim)
        if not fault.stop_s:
            _send(targets[:1], signal.SIGKILL)
            return before
        _send(targets, signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.stop_s)
        finally:
            _send(targets, signal.SIGCONT)
        return before

    def is_back(self, fault: Fault, before: int) -> bool:
        """Whether the victim works again: as another process, where it was killed."""
        now = self.pid(fault.victim)
        return bool(now) and _alive(now) and (bool(fault.stop_s) or now != before)

    def hold(self, held: bool) -> None:
        """Have the desk begin no more sessions, or go on."""
        path: Path = self.folder / "hold"
        path.touch() if held else path.unlink(missing_ok=True)


def _send(processes: list[psutil.Process], what: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(*GONE):
            process.send_signal(what)


def _name(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return process.name()
    return ""


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
