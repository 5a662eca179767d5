"""How orders come in: key, content, risk, journal, venue; alone or as a group. One decision makes one order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mts1b.foundation.clock import NS_PER_MS, NS_PER_S
from mts1b.foundation.commands import SubmitGroup, SubmitOrder
from mts1b.foundation.errors import InputError, StackError
from mts1b.foundation.ids import IdempotencyKey, digest
from mts1b.foundation.limits import DEDUP_WINDOW_S
from mts1b.foundation.order import Membership, Order, Side
from mts1b.oms import groups
from mts1b.oms.contents import DUPLICATE_CONTENT, Contents, content_of
from mts1b.oms.control import Control
from mts1b.oms.dispatch import STEP_BROKER, Dispatch
from mts1b.oms.messages import Admission, Effect
from mts1b.oms.ports import DuplicateContent, DuplicateOrder, Entry, JournalPort, Recorder, RiskPort
from mts1b.oms.steps import STEP_JOURNAL, Steps
from mts1b.oms.veto import VetoGate
from mts1b.riskengine.gates import drawdown
from mts1b.riskengine.gates.idempotency import DUPLICATE_KEY
from mts1b.riskengine.verdict import ACCEPTED, Decision, Mode, Refused, refused

if TYPE_CHECKING:
    from mts1b.foundation.clock import Clock

STEP_RECEIVE = "oms_receive"
STEP_RISK = "risk_check"
STEP_SUBMIT = "oms_submit"
GATES_TIMED = 7

STEPS = (
    STEP_RECEIVE,
    STEP_RISK,
    *(f"risk_gate_{gate}" for gate in range(1, GATES_TIMED + 1)),
    STEP_BROKER,
    STEP_JOURNAL,
    STEP_SUBMIT,
)
"""Every step an OMS records: `oms_receive` is the look-up of the key plus the commit that admits the order,
`risk_check` the round trip to risk, `risk_gate_n` each gate, `broker_submit` the round trip to the venue,
`oms_journal` every commit, `oms_submit` the whole of `submit`."""

FORM_GATES_MAX = 3
"""Some legs are judged by these gates alone: the later ones would refuse what protects a position."""

Made = tuple[Order, ...]


class Admissions:
    """Orders on their way in, by key. `content_window_s` 0: orders that are alike are not barred."""

    def __init__(
        self,
        steps: Steps,
        dispatch: Dispatch,
        journal: JournalPort,
        risk: RiskPort,
        clock: Clock,
        recorder: Recorder,
        control: Control,
        content_window_s: float,
        veto: VetoGate,
    ) -> None:
        self._steps, self._dispatch, self._journal, self._risk = steps, dispatch, journal, risk
        self._clock, self._recorder, self._control, self._veto = clock, recorder, control, veto
        self._window_ns = int(content_window_s * NS_PER_S)
        self._contents = Contents(self._window_ns)
        self._arriving: dict[IdempotencyKey, asyncio.Task[Made]] = {}

    def clear(self) -> None:
        """What is under way ends with StackError by itself; whoever sent it asks again."""
        self._arriving.clear()
        self._contents = Contents(self._window_ns)

    def is_arriving(self, order: Order) -> bool:
        return order.idempotency_key in self._arriving

    async def arrived(self, order: Order) -> Order:
        """The order once it is no longer on its way in."""
        task = self._arriving.get(order.idempotency_key)
        if task is not None:
            await self._steps.held(asyncio.shield(task))
        return self._steps.latest(order)

    async def settled(self) -> None:
        """Returns when what is on its way now has come in, or failed."""
        await asyncio.gather(*self._arriving.values(), return_exceptions=True)

    async def submit(self, command: SubmitOrder) -> Order:
        began_ns = self._clock.monotonic_ns()
        key = IdempotencyKey(str(command.idempotency_key))  # whatever came: gate 1 refuses what is not text
        made = await self._once((key,), lambda: self._admit(command, began_ns))
        return made[0]

    async def submit_group(self, command: SubmitGroup) -> Made:
        began_ns = self._clock.monotonic_ns()
        wrong = groups.problem(command)
        if wrong:
            return (await self._refused_group(command, wrong),)
        keys = tuple(IdempotencyKey(str(order.idempotency_key)) for order in _orders(command))
        return await self._once(keys, lambda: self._admit_group(command, began_ns))

    async def _once(self, keys: tuple[IdempotencyKey, ...], admit: Callable[[], Awaitable[Made]]) -> Made:
        """The orders of these keys, made now or before. Goes on when the caller gives up."""
        task = self._arriving.get(keys[0])
        if task is None:
            existing = [found for key in keys if (found := await self._steps.held(self._existing(key))) is not None]
            if existing:
                self._steps.counts["duplicates"] += 1
                return tuple(existing)
            task = self._arriving.get(keys[0])
        if task is None:
            task = asyncio.create_task(_run(admit))
            self._arriving |= dict.fromkeys(keys, task)
            task.add_done_callback(lambda ended: self._ended(keys, ended))
        else:
            self._steps.counts["duplicates"] += 1
        return await asyncio.shield(task)

    def _ended(self, keys: Iterable[IdempotencyKey], ended: asyncio.Task[Made]) -> None:
        for key in keys:
            if self._arriving.get(key) is ended:
                del self._arriving[key]
        if not ended.cancelled():
            ended.exception()  # its caller may have gone: nobody is left to ask

    async def _existing(self, key: IdempotencyKey) -> Order | None:
        found = self._steps.table.by_key(key, self._clock.now_ns() - DEDUP_WINDOW_S * NS_PER_S)
        return None if found is None else self._steps.table.get(found) or await self._journal.order(found)

    async def _admit(self, command: SubmitOrder, began_ns: int) -> Made:
        looked_ns = self._clock.monotonic_ns()
        content, twin = self._taken_content(command)
        decision = Decision(twin) if twin is not None else await self._judged(command)
        decided_ns = self._clock.monotonic_ns()
        verdict = decision.verdict
        if isinstance(verdict, Refused):
            self._release_content(command, content)
            content = None
            if verdict.reason == DUPLICATE_KEY:
                existing = await self._steps.held(self._journal.order_by_key(command.idempotency_key))
                if existing is not None:  # older than the keys in memory
                    self._steps.counts["duplicates"] += 1
                    return (existing,)
        try:
            order, effects = await self._write(command, decision, content)
        except DuplicateContent:
            self._risk.release(command.idempotency_key)
            order, effects = await self._write(command, Decision(_alike(command, self._window_ns)), None)
        except DuplicateOrder:
            return (await self._other_writers_order(command, content, decision.accepted),)
        journalled_ns = self._clock.monotonic_ns()
        order = await self._dispatch.perform(order, effects)
        self._record(decision, looked_ns - began_ns + journalled_ns - decided_ns, decided_ns - looked_ns)
        self._recorder.record(STEP_SUBMIT, self._clock.monotonic_ns() - began_ns)
        return (order,)

    async def _judged(self, command: SubmitOrder, by_form: bool = False) -> Decision:
        """What risk says; refused all the same when the fund was held back while it did, so that a halt counts at once.

        Risk may hear of a halt later than this does: asking it again until it has would stop everything meanwhile.
        """
        decision = await self._steps.held(self._risk.check(command))
        await self._steps.held(self._control.decided(decision.standing))
        if decision.accepted and not by_form:
            decision = await self._past_veto(command, decision)
        stricter = self._held_back_since(decision.mode)
        if not decision.accepted or stricter is None:
            return decision
        self._risk.release(command.idempotency_key)
        return replace(decision, verdict=stricter)

    async def _past_veto(self, command: SubmitOrder, decision: Decision) -> Decision:
        """The decision after gate 7, whose answer is on record before it counts."""
        answer = await self._steps.held(self._veto.ask(command))
        if answer is None:
            return decision
        entry = Entry(command.fund_id, self._clock.now_ns(), notes=(answer.note(command),))
        await self._steps.held(self._steps.append(entry))
        self._steps.counts["vetoes_failed"] += bool(answer.problem)
        decision = replace(decision, gate_ns=(*decision.gate_ns, answer.spent_ns))
        if answer.refusal is None:
            return decision
        self._steps.counts["vetoed"] += 1
        self._risk.release(command.idempotency_key)
        return replace(decision, verdict=answer.refusal)

    def _held_back_since(self, mode: Mode) -> Refused | None:
        """The refusal of what was accepted in a mode that is not as strict as the fund's is now."""
        now = self._control.standing.mode
        return refused(drawdown.GATE, now.value, when="while it was decided") if now.severity > mode.severity else None

    async def _write(
        self, command: SubmitOrder, decision: Decision, content: tuple[str, int] | None
    ) -> tuple[Order, Sequence[Effect]]:
        """The order as it was made, on record, and what follows from it."""
        verdict = decision.verdict
        taken = self._steps.decide(None, Admission(command, verdict, limits_version=decision.limits_version))
        order = taken.order
        if taken.is_kept:
            self._steps.table.remember_key(order.idempotency_key, order.order_id, order.created_ns)
        await self._steps.commit(taken, is_new=True, content=content)
        self._steps.counts["denied" if isinstance(verdict, Refused) else "submitted"] += 1
        self._steps.counts["refused_unkept"] += not taken.is_kept
        return order, taken.effects

    async def _other_writers_order(
        self, command: SubmitOrder, content: tuple[str, int] | None, accepted: bool
    ) -> Order:
        """The journal barred our order: its key made another before."""
        self._steps.counts["duplicates"] += 1
        self._release_content(command, content)
        if accepted:
            self._risk.release(command.idempotency_key)
        order = await self._steps.held(self._journal.order_by_key(command.idempotency_key))
        if order is None:
            raise StackError("journal", command.idempotency_key, "barred a key that it does not hold", "run recover()")
        self._steps.table.remember_key(order.idempotency_key, order.order_id, order.created_ns)
        return order

    # -- contents ----------------------------------------------------------------------------------------------------

    def _taken_content(self, command: SubmitOrder) -> tuple[tuple[str, int] | None, Refused | None]:
        """Bar the command's content from now on; or the refusal, when another key's order does already."""
        if not self._window_ns:
            return None, None
        try:
            content = content_of(command)
        except (ArithmeticError, AttributeError, TypeError, ValueError):
            return None, None  # it has none: gate 2 will say what is wrong with it
        now_ns = self._clock.now_ns()
        holder = self._contents.holder(content, now_ns)
        if holder is not None and holder != command.idempotency_key:
            return None, _alike(command, self._window_ns, holder)
        return (content, self._contents.take(content, command.idempotency_key, now_ns)), None

    def _release_content(self, command: SubmitOrder, content: tuple[str, int] | None) -> None:
        if content is not None:
            self._contents.release(content[0], command.idempotency_key)

    # -- groups ------------------------------------------------------------------------------------------------------

    async def _refused_group(self, command: SubmitGroup, problem: str) -> Order:
        """A group that is none leaves a refusal on record and no order, like an order that is none."""
        first = next(iter(_orders(command)), None)
        if first is None:
            raise InputError("group", type(command.legs).__name__, problem, "give orders")
        malformed = Decision(refused(2, "malformed_group", problem=problem))
        order, _ = await self._write(first, malformed, None)
        return order

    async def _admit_group(self, command: SubmitGroup, began_ns: int) -> Made:
        orders = tuple(_orders(command))
        content, twin = self._taken_content(orders[0])
        decision = Decision(twin) if twin is not None else await self._judged_group(command)
        verdict = decision.verdict
        if isinstance(verdict, Refused):
            self._release_content(orders[0], content)
            content = None
            if verdict.reason == DUPLICATE_KEY and (existing := await self._by_keys(orders)):
                return existing
        members = groups.memberships(command, digest("group", orders[0].idempotency_key, self._clock.now_ns()))
        try:
            made, effects = await self._write_group(command, orders, members, decision, content)
        except DuplicateContent:
            self._release_all(orders)
            alike = Decision(_alike(orders[0], self._window_ns))
            made, effects = await self._write_group(command, orders, members, alike, None)
        except DuplicateOrder:
            self._release_content(orders[0], content)
            self._release_all(orders)
            return await self._by_keys(orders)
        for order, wanted in zip(made, effects, strict=True):
            await self._dispatch.perform(order, wanted)
        self._recorder.record(STEP_SUBMIT, self._clock.monotonic_ns() - began_ns)
        return tuple(self._steps.latest(order) for order in made)

    async def _judged_group(self, command: SubmitGroup) -> Decision:
        """The first refusal of any of its orders; all that were accepted before it are released then.

        What only protects, or fills in place of a leg judged before it, is judged by its form alone.
        """
        accepted: dict[Side, SubmitOrder] = {}
        mode, version = Mode.HALTED, 0
        for order in _orders(command):
            by_form = _is_held(command, order) or order.side in accepted
            decision = await self._judged(order, by_form)
            verdict, version = decision.verdict, decision.limits_version
            if not isinstance(verdict, Refused):
                if by_form:
                    self._risk.release(order.idempotency_key)  # its events will say when it counts
                else:
                    accepted[order.side] = order
                    mode = min(mode, decision.mode, key=lambda one: one.severity)
            elif not by_form or verdict.gate <= FORM_GATES_MAX:
                self._release_all(accepted.values())
                return decision
        if (halted := self._held_back_since(mode)) is not None:
            self._release_all(accepted.values())
        return Decision(halted or ACCEPTED, limits_version=version)

    async def _by_keys(self, orders: Iterable[SubmitOrder]) -> Made:
        """What these keys made before. StackError when that is nothing."""
        self._steps.counts["duplicates"] += 1
        found = [await self._steps.held(self._journal.order_by_key(order.idempotency_key)) for order in orders]
        made = tuple(order for order in found if order is not None)
        if not made:
            raise StackError("journal", "group", "barred keys that it does not hold", "run recover()")
        return made

    def _release_all(self, orders: Iterable[SubmitOrder]) -> None:
        for order in orders:
            self._risk.release(order.idempotency_key)

    async def _write_group(
        self,
        command: SubmitGroup,
        orders: Sequence[SubmitOrder],
        members: Sequence[Membership],
        decision: Decision,
        content: tuple[str, int] | None,
    ) -> tuple[Made, list[Sequence[Effect]]]:
        verdict, version = decision.verdict, decision.limits_version
        steps = [
            self._steps.decide(None, Admission(order, verdict, member, _is_held(command, order), version))
            for order, member in zip(orders, members, strict=True)
        ]
        for taken in steps:
            if taken.is_kept:
                order = taken.order
                self._steps.table.remember_key(order.idempotency_key, order.order_id, order.created_ns)
        await self._steps.commit_new(steps, content)
        self._steps.counts["denied" if isinstance(verdict, Refused) else "submitted"] += len(steps)
        self._steps.counts["refused_unkept"] += sum(not taken.is_kept for taken in steps)
        return tuple(taken.order for taken in steps), [taken.effects for taken in steps]

    def _record(self, decision: Decision, receive_ns: int, risk_ns: int) -> None:
        self._recorder.record(STEP_RECEIVE, receive_ns)
        self._recorder.record(STEP_RISK, risk_ns)
        for step, ns in zip(STEPS[2 : 2 + GATES_TIMED], decision.gate_ns, strict=False):
            self._recorder.record(step, ns)


async def _run(admit: Callable[[], Awaitable[Made]]) -> Made:
    return await admit()


def _orders(command: SubmitGroup) -> Iterator[SubmitOrder]:
    """The group's orders, the entry first; what is none is left out."""
    for order in (command.entry, *(command.legs if isinstance(command.legs, tuple) else ())):
        if isinstance(order, SubmitOrder):
            yield order


def _is_held(command: SubmitGroup, order: SubmitOrder) -> bool:
    return command.entry is not None and order is not command.entry


def _alike(command: SubmitOrder, window_ns: int, holder: IdempotencyKey | None = None) -> Refused:
    numbers = {"key": command.idempotency_key, "window_ms": window_ns // NS_PER_MS}
    return refused(1, DUPLICATE_CONTENT, **numbers, **({} if holder is None else {"like": holder}))
