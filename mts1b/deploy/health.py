"""How the stack is: what its supervisor knows, and what each part answers when asked."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from mts1b.config import Settings
from mts1b.deploy.endpoints import FIELD_OF, PARTS, Endpoints, given, read_running, with_given
from mts1b.deploy.ray_head import head_answers
from mts1b.foundation.errors import MtsError, StackError
from mts1b.foundation.limits import CONNECT_TIMEOUT_S
from mts1b.platform import cache, db, eventbus
from mts1b.platform.rotation import Source

STATUS_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part as seen now. `state`: up, down, starting, restarting or failed; `address` has no credentials."""

    name: str
    state: str
    address: str
    embedded: bool
    pid: int = 0
    restarts: int = 0
    detail: str = ""


def status(settings: Settings) -> list[PartStatus]:
    """How each part is: what the supervisor knows, and whether the part answers now."""
    running = read_running(settings)
    states = read_states(settings) if running is not None else {}
    found = with_given(settings, running or Endpoints(data_dir=str(settings.data_dir)))
    return asyncio.run(_statuses(found, given(settings), states))


async def _statuses(
    found: Endpoints, replaced: dict[str, str], states: dict[str, dict[str, object]]
) -> list[PartStatus]:
    async def one(part: str) -> PartStatus:
        embedded = FIELD_OF[part] not in replaced
        known = states.get(part, {}) if embedded else {"state": "up"}
        state, detail = str(known.get("state", "down")), str(known.get("problem", ""))
        try:
            if state == "up":
                detail = await ask(part, found, STATUS_TIMEOUT_S)
        except MtsError as error:
            state, detail = "down", error.problem
        pid, restarts = int(str(known.get("pid", 0))), int(str(known.get("restarts", 0)))
        return PartStatus(part, state, shown(part, found), embedded, pid, restarts, detail)

    return list(await asyncio.gather(*(one(part) for part in PARTS)))


def shown(part: str, found: Endpoints) -> str:
    """Where a part answers, without credentials; Ray by its dashboard if it is ours."""
    address = found.address(part)
    hide = {"postgres": db.server_of, "nats": eventbus.server_of, "valkey": cache.server_of}
    if not address:
        return ""
    return hide[part](address) if part in hide else found.dashboard_url or address


async def ask(part: str, found: Endpoints, timeout_s: float = CONNECT_TIMEOUT_S, kept: Source | None = None) -> str:
    """Ask one part whether it works; returns its version where it tells. StackError when it does not answer.

    `kept`: where the address of a server is, for those who ask again and again.
    """
    ping = {"postgres": db.ping, "nats": eventbus.ping, "valkey": cache.ping}.get(part)
    if ping is not None:
        return await ping(kept or found.address(part), timeout_s)
    if found.dashboard_url:
        token = await asyncio.to_thread(Path(found.ray_token_path).read_text)
        if await head_answers(found.dashboard_url, found.ray_agent_url, token, timeout_s):
            return found.ray_address
        raise StackError("ray", found.dashboard_url, "does not answer", "see its log")
    host, _, port = found.ray_address.removeprefix("ray://").rpartition(":")
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
    except (OSError, TimeoutError, ValueError) as error:
        raise StackError("ray.address", found.ray_address, str(error) or "no answer", "correct the setting") from None
    return found.ray_address


def read_states(settings: Settings) -> dict[str, dict[str, object]]:
    """The supervisor's notes by part, as `PartState` fields; none before it wrote any."""
    try:
        found: dict[str, dict[str, object]] = json.loads((settings.run_dir / "state.json").read_text())
    except FileNotFoundError:
        return {}
    return found
