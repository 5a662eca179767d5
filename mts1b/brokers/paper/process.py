"""The exchange's process as its parent sees it: start it, wait until it answers, stop it by its pid."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from mts1b.brokers.paper.endpoint import Endpoint, read_endpoint
from mts1b.brokers.paper.matching import Rules
from mts1b.foundation.clock import NS_PER_S, Clock
from mts1b.foundation.errors import StackError
from mts1b.foundation.limits import START_TIMEOUT_S, STOP_TIMEOUT_S

POLL_S = 0.02


class ExchangeProcess:
    """A running exchange. It also ends by itself when its parent does, however that ends."""

    def __init__(self, child: asyncio.subprocess.Process, endpoint: Endpoint, folder: Path) -> None:
        self.child, self.endpoint, self.folder = child, endpoint, folder

    @classmethod
    async def start(cls, folder: Path, rules: Rules, clock: Clock, port: int | None = None) -> ExchangeProcess:
        """Starts it on `folder`, with the memory it left there. StackError says why it did not come up."""
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True, mode=0o700)
        command = ["-m", "mts1b.brokers.paper", "--folder", str(folder), "--end-with-parent"]
        command += ["--fee-bps", str(rules.fee_bps), "--slippage-bps", str(rules.slippage_bps)]
        if port is not None:
            command += ["--port", str(port)]
        child = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        deadline_ns = clock.monotonic_ns() + int(START_TIMEOUT_S * NS_PER_S)
        while clock.monotonic_ns() < deadline_ns:
            endpoint = await asyncio.to_thread(read_endpoint, folder)
            if endpoint is not None and endpoint.pid == child.pid:
                return cls(child, endpoint, folder)
            if child.returncode is not None:
                raise StackError("paper exchange", str(folder), await _last_words(child), "see its folder")
            await asyncio.sleep(POLL_S)
        child.kill()
        raise StackError("paper exchange", str(folder), f"not up after {START_TIMEOUT_S:.0f} s", "try again")

    async def stop(self) -> None:
        """Ends it and waits until it has. Harmless when it is gone already."""
        if self.child.returncode is None:
            self.child.terminate()
        try:
            await asyncio.wait_for(self.child.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            self.child.kill()
            await self.child.wait()

    async def kill(self) -> None:
        """Ends it at once and without warning, as a crash would."""
        if self.child.returncode is None:
            self.child.kill()
        await self.child.wait()


async def _last_words(child: asyncio.subprocess.Process) -> str:
    said = await child.stderr.read() if child.stderr else b""
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else f"ended with code {child.returncode}"
