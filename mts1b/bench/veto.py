"""Gate 7 under load: how long an order waits whose veto hangs, what the others notice of it, what a slow veto costs."""

from __future__ import annotations

import asyncio

import numpy as np

from mts1b.bench.oms_desk import oms_desk
from mts1b.bench.own_stack import OwnStack
from mts1b.bench.session import Session
from mts1b.deploy.endpoints import postgres_source
from mts1b.foundation.clock import NS_PER_MS
from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.limits import VETO_TIMEOUT_S
from mts1b.platform import db

ORDERS, PER_S, SLOW_S = 600, 100, 0.05
SLOW_P99_MS_MAX = 100.0
HUNG_MS_MAX = VETO_TIMEOUT_S * 1e3 + SLOW_P99_MS_MAX
"""The veto's time, and what an order may take besides."""

BESIDE_RATIO_MAX = 1.5
"""The p99 of orders beside one whose veto hangs, over that with a veto that answers at once: equal, but for chance."""


class Veto:
    """Lets everything pass after `slow_s`; never answers about the first order when it `hangs`."""

    def __init__(self, slow_s: float = 0.0, hangs: bool = False) -> None:
        self._slow_s, self._hangs = slow_s, hangs

    async def __call__(self, _command: SubmitOrder) -> str | None:
        if self._hangs:
            self._hangs = False
            await asyncio.Event().wait()
        await asyncio.sleep(self._slow_s)
        return None


async def veto_figures(session: Session, up: OwnStack) -> dict[str, float]:
    """Milliseconds of orders at 100 a second against the exchange over HTTP, from the OMS's call to its answer;
    `risk_gate_7`: of all of them, the gate alone."""
    orders = session.size(ORDERS, 20)
    try:
        pool = await db.open_pool("veto", postgres_source(up.settings, up.endpoints), pool_size=4)
        await db.migrate(pool)
        async with oms_desk(session, up, pool, "http") as desk:
            await desk.at_pace(session.size(ORDERS // 4, 5), PER_S)
            found = {}
            for name, veto in (("at_once", Veto()), ("slow", Veto(SLOW_S)), ("beside_hung", Veto(hangs=True))):
                session.tell(f"veto: {name}")
                desk.register_veto(veto)
                found[name] = await desk.at_pace(orders, PER_S)
            hung_ms = found["beside_hung"].pop(0)
            gate_ns = (await desk.worker.durations()).steps["risk_gate_7"].percentile_ns(99)
    finally:
        await db.close_pools()
    figures = {f"veto_{name}_p99_ms": float(np.percentile(times, 99)) for name, times in found.items()}
    figures["veto_beside_hung_ratio"] = figures["veto_beside_hung_p99_ms"] / figures["veto_at_once_p99_ms"]
    return {**figures, "veto_hung_ms": hung_ms, "risk_gate_7_p99_ms": gate_ns / NS_PER_MS}


TARGETS = {
    "veto_slow_p99_ms": SLOW_P99_MS_MAX,
    "veto_hung_ms": HUNG_MS_MAX,
    "veto_beside_hung_ratio": BESIDE_RATIO_MAX,
}
"""What each may be at most."""
