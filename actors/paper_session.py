"""A paper session: a stored market replayed session by session through the whole order path.

A session: the opening auction fills what was decided on the last close; its fills are booked; the closing prices value
the fund; the strategy decides on the closed bar; its orders go to the exchange for the next opening.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from actors.desk import Desk, DeskPlan
from actors.latency import LatencyRow, latency_rows
from mts1b.brokers.paper.matching import Rules
from mts1b.brokers.paper.process import ExchangeProcess
from mts1b.config import Settings
from mts1b.deploy.endpoints import endpoints, postgres_source
from mts1b.deploy.observation import observation
from mts1b.deploy.ray_client import connect_ray
from mts1b.foundation.clock import NS_PER_S, Clock
from mts1b.foundation.errors import InputError, InvariantBroken
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import FundId, Symbol
from mts1b.foundation.limits import DEDUP_WINDOW_S
from mts1b.foundation.order import OrderStatus
from mts1b.oms.fills import fund_fills
from mts1b.oms.fund_status import fund_status
from mts1b.platform import db
from mts1b.platform.telemetry import Recorder
from mts1b.riskengine.limits import RiskLimits

GATES = (1, 2, 3, 4, 5, 6)
OPENING_CASH = Decimal("1000000")
"""What a paper fund opens with: over 100 names, some 55 orders a session."""

Progress = Callable[[int, int], None]
"""Called with the sessions done and the sessions asked for at least."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How long to trade: from row `first` of the panel, for at least so many sessions and orders, or to its end."""

    first: int
    sessions_min: int = 60
    orders_min: int = 1_000

    def rows(self, held: int) -> range:
        """The rows that may be replayed, of a panel of `held`. InputError when they are too few."""
        if self.sessions_min < 2:
            raise InputError("sessions", self.sessions_min, "a session decides and the next one trades", "ask for 2")
        if not 0 <= self.first <= held - self.sessions_min:
            problem = f"{self.sessions_min} sessions from row {self.first} on, the panel has {held} rows"
            raise InputError("sessions", self.sessions_min, problem, "ask for fewer or start earlier")
        return range(self.first, held)


@dataclass(frozen=True, slots=True)
class PaperResult:
    """What a session came to. Money in the fund's currency; times in UTC nanoseconds of the market.

    `targets` [N, S]: what was decided at the close of each session that decided, with `decided_ns` [N]. `nav`: one
    value a session. `orders` counts every order by where it ended; `refusals` by gate 1 to 6. All but `latency` and
    `elapsed_s` is the same for the same data, strategy and rules.
    """

    fund_id: str
    strategy: str
    values: dict[str, float]
    symbols: tuple[str, ...]
    sessions: int
    orders: dict[str, int]
    refusals: dict[int, int]
    refusal_reasons: dict[str, int]
    fills: tuple[Fill, ...]
    nav: tuple[tuple[int, Decimal], ...]
    decided_ns: tuple[int, ...]
    targets: NDArray[np.float64] = field(repr=False)
    latency: tuple[LatencyRow, ...] = field(repr=False)
    elapsed_s: float = 0.0

    @property
    def orders_total(self) -> int:
        return sum(self.orders.values())

    def to_json(self) -> dict[str, object]:
        """All figures but the targets and the single fills, as plain values."""
        return {
            "fund_id": self.fund_id,
            "strategy": self.strategy,
            "values": self.values,
            "names": len(self.symbols),
            "sessions": self.sessions,
            "orders": {"total": self.orders_total, **self.orders},
            "fills": len(self.fills),
            "fees": str(sum((fill.fee for fill in self.fills), Decimal(0))),
            "refusals_by_gate": {str(gate): count for gate, count in self.refusals.items()},
            "refusal_reasons": self.refusal_reasons,
            "nav": [[ts_ns, str(value)] for ts_ns, value in self.nav],
            "latency": [
                {
                    "step": row.step,
                    "count": row.count,
                    "p50_ms": row.p50_ms if row.count else None,
                    "p99_ms": row.p99_ms if row.count else None,
                    "target_ms": row.target_ms,
                    "within": row.within,
                }
                for row in self.latency
            ],
            "elapsed_s": round(self.elapsed_s, 3),
        }


def paper_limits(symbols: Sequence[Symbol], opening_cash: Decimal) -> RiskLimits:
    """Limits of a long-only paper fund over `symbols`, each written down: what is unset denies.

    A week's age of a quote is that of daily bars over a holiday; sells and buys of one rebalance are open together, so
    that cash at worst is a little below none.
    """
    return RiskLimits(
        dedup_window_s=DEDUP_WINDOW_S,
        allowed_symbols=frozenset(symbols),
        restricted_symbols=frozenset(),
        quantity_max=Decimal(1_000_000),
        notional_max=opening_cash / 20,
        market_margin=Decimal("0.02"),
        price_collar=Decimal("0.05"),
        quote_age_s_max=7 * 86_400,
        open_orders_max=2 * len(symbols),
        orders_per_s_max=5_000,
        messages_per_s_max=5_000,
        order_to_trade_max=Decimal(100),
        order_to_trade_from=10_000,
        repeats_max=10_000,
        repeats_window_s=60,
        self_match_allowed=False,
        gross_max=10 * opening_cash,
        net_max=10 * opening_cash,
        leverage_max=Decimal("1.10"),
        net_to_nav_max=Decimal("1.10"),
        name_to_nav_max=Decimal("0.10"),
        sector_to_nav_max=Decimal("1.10"),
        cash_to_nav_min=Decimal("-0.15"),
        margin_to_nav_max=Decimal("1.10"),
        adv_share_max=Decimal("0.05"),
        var_to_nav_max=Decimal("0.05"),
        day_drawdown_reduce=Decimal("0.05"),
        day_drawdown_halt=Decimal("0.10"),
        peak_drawdown_reduce=Decimal("0.20"),
        peak_drawdown_halt=Decimal("0.30"),
        borrow_rate_max=Decimal("0.05"),
        borrow_age_s_max=3_600,
    )


@dataclass(slots=True)
class _Log:
    """What the driver writes down as the sessions go by."""

    nav: list[tuple[int, Decimal]] = field(default_factory=list)
    decided_ns: list[int] = field(default_factory=list)
    targets: list[NDArray[np.float64]] = field(default_factory=list)


async def trade(
    desk: Desk,
    plan: DeskPlan,
    extent: Extent,
    fills: Callable[[], Awaitable[Sequence[Fill]]],
    clock: Clock,
    progress: Progress | None = None,
) -> PaperResult:
    """Drive the desk through the sessions. It must be fresh; `fills` reads what was booked, at the end."""
    began_ns = clock.monotonic_ns()
    rows = extent.rows(len(plan.panel.ts_ns))
    await asyncio.gather(desk.oms.start(), desk.strategy.start(extent.first))
    log = _Log()
    for index in rows:
        done = index - extent.first + 1
        counts = await desk.oms.order_counts()
        placed = sum(counts.values()) - counts.get(OrderStatus.DENIED, 0)
        last = index == rows[-1] or (done >= extent.sessions_min and placed >= extent.orders_min)
        await _session(desk, index, last, log)
        if progress is not None:
            progress(done, extent.sessions_min)
        if last:
            break
    await desk.oms.drain()
    risk = await desk.risk.statistics()
    oms = await desk.oms.statistics()
    if oms["open_orders"]:
        raise InvariantBroken("open_orders", oms["open_orders"], "are left after the last session")
    booked = sorted(await fills(), key=lambda fill: (fill.ts_ns, fill.symbol, fill.side))
    recorded = Recorder()
    for worker in (desk.strategy, desk.oms):
        recorded.merge(await worker.durations())
    return PaperResult(
        fund_id=plan.fund_id,
        strategy=plan.strategy.name,
        values=plan.strategy.resolve(plan.values),
        symbols=tuple(plan.panel.symbols),
        sessions=len(log.nav),
        orders=_by_end(await desk.oms.order_counts()),
        refusals={gate: int(risk.get(f"refused_gate_{gate}", 0)) for gate in GATES},
        refusal_reasons=dict(risk["refusals"]),
        fills=tuple(booked),
        nav=tuple(log.nav),
        decided_ns=tuple(log.decided_ns),
        targets=np.array(log.targets).reshape(len(log.targets), len(plan.panel.symbols)),
        latency=latency_rows(recorded),
        elapsed_s=(clock.monotonic_ns() - began_ns) / NS_PER_S,
    )


async def _session(desk: Desk, index: int, last: bool, log: _Log) -> None:
    """One session. On the last one nothing is decided: there is no next opening to trade at."""
    opened = await desk.feed.open_session(index)
    await desk.oms.caught_up(opened.sequence)
    bar = await desk.feed.close_session(index)
    await desk.oms.caught_up(bar.sequence)
    marked = await desk.oms.mark(bar.closes, bar.ts_ns)
    log.nav.append((bar.ts_ns, marked.nav))
    if last:
        return
    decided = await desk.strategy.on_bar(bar)
    log.decided_ns.append(bar.ts_ns)
    log.targets.append(decided.targets)


def _by_end(counts: Mapping[str, int]) -> dict[str, int]:
    """Orders by where they ended, as the journal has them: the same whatever was restarted. Usual ends come first."""
    usual = (OrderStatus.FILLED, OrderStatus.DENIED, OrderStatus.REJECTED, OrderStatus.EXPIRED)
    return {**{status.value: counts.get(status, 0) for status in usual}, **dict(sorted(counts.items()))}


def run_paper(
    settings: Settings,
    plan: DeskPlan,
    extent: Extent,
    rules: Rules,
    clock: Clock,
    progress: Progress | None = None,
) -> PaperResult:
    """The session with real actors, Postgres, NATS and an exchange of its own. StackError when the stack is not up.

    The exchange's log stays under the data directory, `paper/<fund>`.
    """
    extent.rows(len(plan.panel.ts_ns))  # a wrong wish is refused before anything is asked of the stack
    stack = endpoints(settings)
    connect_ray(settings)
    from actors.wiring import ray_desk  # after the connection, which sets the environment Ray reads on import

    async def run() -> PaperResult:
        pool = await db.open_pool("paper", postgres_source(settings, stack), pool_size=1)
        await require_fresh(pool, plan.fund_id)
        venue = await ExchangeProcess.start(settings.data_dir / "paper" / plan.fund_id, rules, clock)
        try:
            watched = observation(settings, stack)
            async with ray_desk(plan, stack, venue.endpoint, settings, observation=watched) as desk:
                return await trade(desk, plan, extent, lambda: fund_fills(pool, plan.fund_id), clock, progress)
        finally:
            await venue.stop()

    async def closed() -> PaperResult:
        try:
            return await run()
        finally:
            await db.close_pools()

    return asyncio.run(closed())


async def require_fresh(pool: db.Pool, fund_id: FundId) -> None:
    """InputError for a fund that was opened before: a session is one of its own, with an exchange of its own."""
    await db.migrate(pool)
    if await fund_status(pool, fund_id):
        raise InputError("fund", fund_id, "has traded already", "name one that has not; `mts live up` goes on with one")


def fresh_fund(clock: Clock) -> FundId:
    """A fund that nobody has traded: each session opens its own, so that no two share a book or a key."""
    return FundId(f"paper-{clock.now_ns():x}")
