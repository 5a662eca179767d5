"""Gate 5: NAV against the day's start and its peak.

The latch gets stricter by itself and never looser, with two exceptions: a new day ends a REDUCING that only the day's
drawdown had caused, and a person re-arms the fund. A person's own halt is apart from it: NAV never lifts that.
"""

from __future__ import annotations

from decimal import Decimal

from mts1b.foundation.commands import SubmitOrder
from mts1b.riskengine.context import GateContext
from mts1b.riskengine.limits import LIMITS_OF_GATE, RiskLimits
from mts1b.riskengine.state import RiskState
from mts1b.riskengine.verdict import ACCEPTED, Mode, Verdict, refused, stricter, unset

GATE = 5


def drawdown(nav: Decimal, reference: Decimal | None) -> Decimal:
    """How far `nav` is below `reference`, as a fraction of it; 0 when above, or when there is no reference yet."""
    if reference is None or reference <= 0 or nav >= reference:
        return Decimal(0)
    return 1 - nav / reference


def assess(state: RiskState, limits: RiskLimits) -> Mode:
    """The mode that NAV alone asks for. A limit that is unset asks for none: the gate denies by itself."""
    if state.nav is None:
        return Mode.ACTIVE
    day, peak = drawdown(state.nav, state.day_start_nav), drawdown(state.nav, state.peak_nav)
    for mode, limit, value in (
        (Mode.HALTED, limits.day_drawdown_halt, day),
        (Mode.HALTED, limits.peak_drawdown_halt, peak),
        (Mode.REDUCING, limits.day_drawdown_reduce, day),
        (Mode.REDUCING, limits.peak_drawdown_reduce, peak),
    ):
        if limit is not None and value >= limit:
            return mode
    return Mode.ACTIVE


def latch(mode: Mode, asked: Mode, new_day: bool) -> Mode:
    """The latch after NAV asked for `asked`."""
    if new_day and mode is Mode.REDUCING:
        return asked
    return stricter(mode, asked)


def gate(command: SubmitOrder, context: GateContext) -> Verdict:
    """Refuse `halted`, or `reducing` unless the order only brings the position nearer to zero."""
    if (missing := context.limits.first_unset(LIMITS_OF_GATE[GATE])) is not None:
        return unset(GATE, missing)
    state = context.state
    if state.nav is None:
        return refused(GATE, "nav_unknown")
    mode = stricter(state.mode, assess(state, context.limits))
    if mode is Mode.ACTIVE or (mode is Mode.REDUCING and reduces(command, state)):
        return ACCEPTED
    numbers = {"nav": state.nav, "day_start_nav": state.day_start_nav, "peak_nav": state.peak_nav}
    return refused(GATE, mode.value, latched=state.standing.latched, manual=state.standing.manual, **numbers)


def reduces(command: SubmitOrder, state: RiskState) -> bool:
    """True when the order cannot carry the position past zero, all working orders of its side filled before it."""
    name = state.name(command.symbol)
    if command.side.sign > 0:
        return name.highest + command.quantity <= 0
    return name.lowest - command.quantity >= 0
