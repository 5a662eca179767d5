"""Defects to plant into the order path, each of a kind that has cost money somewhere: the simulation must find them.

A planted defect changes the product's own functions for as long as it is planted, in this process. `mts sim --defect`
and the tests plant them; nothing else does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from actors.risk import RiskWorker
from mts1b.foundation.errors import unknown_name
from mts1b.foundation.ids import ClientOrderId
from mts1b.foundation.order import OrderStatus
from mts1b.oms import groups, machine, messages
from mts1b.oms.control import Control
from mts1b.oms.dispatch import Dispatch
from mts1b.oms.outbox import Outbox
from mts1b.oms.service import Oms
from mts1b.oms.steps import Steps
from mts1b.oms.transitions import Step
from mts1b.riskengine.gates import position
from mts1b.riskengine.verdict import Standing
from mts1b.testing.journal import MemoryJournal

Wrong = Callable[[Any], Any]
"""Makes the wrong function out of the right one."""

CROSSED = (OrderStatus.PENDING_CANCEL, OrderStatus.CANCELLED)
FOR_EVER_NS = 10**12


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Plant the defect of this name; "" plants none. UnknownNameError for a name that is none."""
    if name and name not in DEFECTS:
        raise unknown_name("defect", name, DEFECTS)
    with ExitStack() as stack:
        for owner, key, wrong in DEFECTS.get(name, ()):
            stack.enter_context(_swapped(owner, key, wrong))
        yield


@contextmanager
def _swapped(owner: Any, key: Any, wrong: Wrong) -> Iterator[None]:
    is_table = isinstance(owner, dict)
    right = owner[key] if is_table else owner.__dict__[key]
    put = owner.__setitem__ if is_table else lambda name, value: setattr(owner, name, value)
    put(key, wrong(right))
    try:
        yield
    finally:
        put(key, right)


# -- what is written down ----------------------------------------------------------------------------------------------


def _sent_before_persisted(right: Any) -> Any:
    def commit(self: Steps, *given: Any, **named: Any) -> Awaitable[None]:
        asyncio.ensure_future(right(self, *given, **named))
        return _nothing()

    return commit


def _load_without(**forgotten: Any) -> Wrong:
    def wrong(right: Any) -> Any:
        async def load(self: MemoryJournal, keys_after_ns: int) -> Any:
            return replace(await right(self, keys_after_ns), **forgotten)

        return load

    return wrong


def _open_without_keys(right: Any) -> Any:
    async def opened(self: MemoryJournal) -> None:
        await right(self)
        self.store.keys.clear()

    return opened


def _no_outbox_row(right: Any) -> Any:
    def entry(self: Steps, *given: Any) -> Any:
        made = right(self, *given)
        is_last = bool(made.outbox) and made.order is not None and made.order.status is OrderStatus.FILLED
        return replace(made, outbox=()) if is_last else made

    return entry


def _marked_before_published(right: Any) -> Any:
    async def drain(self: Outbox) -> int:
        batch = await self._journal.unpublished(1)
        await self._journal.mark_published([row for row, _ in batch], 0)
        for _, message in batch:
            await self._bus.publish(message.subject, message.payload.encode(), message.message_id)
        return len(batch) + int(await right(self))

    return drain


def _memory_not_read_again(right: Any) -> Any:
    def load(self: Steps, state: Any, opening_cash: Any) -> None:
        if self._generation and len(self.table):
            self._generation += 1
            self._failed.clear()
        else:
            right(self, state, opening_cash)

    return load


async def _nothing() -> None:
    return


# -- what happens to an order ------------------------------------------------------------------------------------------


def _fill_counted_again(right: Any) -> Any:
    return lambda order, message, now_ns: right(replace(order, fill_ids=()), message, now_ns)


def _acknowledgement_is_a_fill(right: Any) -> Any:
    def acknowledged(order: Any, message: Any, now_ns: int) -> Step:
        taken: Step = right(order, message, now_ns)
        if not taken.events or taken.order.status is not OrderStatus.WORKING:
            return taken
        filled = replace(taken.order, status=OrderStatus.FILLED, filled_quantity=order.quantity)
        return replace(taken, order=filled)

    return acknowledged


def _fill_lost_in_cancel(right: Any) -> Any:
    def executed(order: Any, message: Any, now_ns: int) -> Step:
        return Step(order) if order.status in CROSSED else right(order, message, now_ns)

    return executed


def _let_go_at_once(right: Any) -> Any:
    return lambda order, message, now_ns: right(order, messages.UnknownAtVenue(now_ns + FOR_EVER_NS), now_ns)


def _sent_again_under_another_id(right: Any) -> Any:
    async def send(self: Dispatch, order: Any, resends: int) -> Any:
        if resends:
            order = replace(order, client_order_id=ClientOrderId(f"{order.client_order_id}-{resends}"))
        return await right(self, order, resends)

    return send


def _doubt_is_a_reject(right: Any) -> Any:
    def no_answer(order: Any, message: Any, now_ns: int) -> Step:
        if order.status is OrderStatus.SUBMITTING:
            step: Step = machine.step(order, messages.Rejected(message.reason), now_ns)
            return step
        return right(order, message, now_ns)

    return no_answer


def _other_leg_not_shrunk(right: Any) -> Any:
    def to_do(members: Any) -> Any:
        return [(leg, message) for leg, message in right(members) if isinstance(message, messages.Release)]

    return to_do


# -- who may write and send --------------------------------------------------------------------------------------------


def _always_holds(right: Any) -> Any:
    return lambda self: bool(self.epoch)


def _any_time_is_good(right: Any) -> Any:
    return lambda self, order: replace(order, send_by_ns=0)


def _lease_not_asked(right: Any) -> Any:
    return lambda self: FOR_EVER_NS


def _taken_over_at_once(right: Any) -> Any:
    return lambda self, held: True


# -- what risk knows ---------------------------------------------------------------------------------------------------


def _without_working(right: Any) -> Any:
    def with_working(name: Any, parts: Any) -> Any:
        return right(replace(name, buys=name.buys * 0, sells=name.sells * 0), parts)

    return with_working


def _nothing_required(right: Any) -> Any:
    return lambda self: None


def _halt_only_told(right: Any) -> Any:
    async def journal(self: Control, by: str, why: str, rearmed: Any = None) -> None:
        if rearmed is not None or self.standing == Standing():
            await right(self, by, why, rearmed)

    return journal


def _never_asked_again(right: Any) -> Any:
    async def settle(self: Oms) -> int:
        return 0

    return settle


DEFECTS: dict[str, tuple[tuple[Any, Any, Wrong], ...]] = {
    "sent_before_persisted": ((Steps, "commit", _sent_before_persisted),),
    "deduplication_forgotten_on_restart": (
        (MemoryJournal, "load", _load_without(keys=())),
        (MemoryJournal, "open", _open_without_keys),
    ),
    "fill_applied_twice": ((machine._HANDLERS, messages.Executed, _fill_counted_again),),
    "outbox_row_lost": ((Steps, "_entry", _no_outbox_row),),
    "outbox_row_marked_before_it_is_published": ((Outbox, "drain", _marked_before_published),),
    "acknowledgement_taken_for_a_fill": ((machine._HANDLERS, messages.Acknowledged, _acknowledgement_is_a_fill),),
    "stale_epoch_allowed": ((MemoryJournal, "holds_lease", _always_holds),),
    "lease_taken_before_it_ran_out": ((MemoryJournal, "_has_run_out", _taken_over_at_once),),
    "late_send_after_a_pause": (
        (Dispatch, "_bounded", _any_time_is_good),
        (Dispatch, "_require_lease", _lease_not_asked),
    ),
    "cancel_crossing_a_fill": ((machine._HANDLERS, messages.Executed, _fill_lost_in_cancel),),
    "doubt_taken_for_a_reject": ((machine._HANDLERS, messages.NoAnswer, _doubt_is_a_reject),),
    "unknown_believed_too_early": ((machine._HANDLERS, messages.UnknownAtVenue, _let_go_at_once),),
    "sent_again_under_another_id": ((Dispatch, "_send", _sent_again_under_another_id),),
    "never_asked_again": ((Oms, "settle", _never_asked_again),),
    "memory_kept_after_a_failed_commit": ((Steps, "load", _memory_not_read_again),),
    "position_limit_ignores_working_orders": ((position, "with_working", _without_working),),
    "risk_trusted_though_it_started_anew": ((RiskWorker, "_require_restored", _nothing_required),),
    "other_leg_not_shrunk": ((groups, "to_do", _other_leg_not_shrunk),),
    "latch_lost_on_restart": ((MemoryJournal, "load", _load_without(standing=Standing())),),
    "halt_not_journalled": ((Control, "_journal", _halt_only_told),),
}
"""By name, the functions that each changes: a class, a module or a table, the name there, and what is made of it."""
