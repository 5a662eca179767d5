"""The order machine: a table of cases, and invariants over random stories."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mts1b.foundation import ids
from mts1b.foundation.commands import CancelOrder, ReplaceOrder, SubmitOrder
from mts1b.foundation.errors import InvariantBroken
from mts1b.foundation.events import OrderFilled
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import FillId, FundId, IdempotencyKey, StrategyId, Symbol, VenueOrderId
from mts1b.foundation.order import TERMINAL, Membership, Order, OrderStatus, OrderType, Role, Side, Terms
from mts1b.oms.machine import step
from mts1b.oms.messages import (
    Acknowledged,
    Admission,
    Cancelled,
    CancelRefused,
    Effect,
    Executed,
    Expired,
    Message,
    NoAnswer,
    QueryVenue,
    Rejected,
    Release,
    Replaced,
    ReplaceDenied,
    ReplaceRefused,
    SendCancel,
    SendOrder,
    SendReplace,
    UnknownAtVenue,
)
from mts1b.oms.replacing import problem
from mts1b.oms.transitions import LEGAL, SEND_WITHIN_NS, SENT, Step
from mts1b.riskengine.verdict import ACCEPTED, Refused

S = OrderStatus
REFUSED = Refused(4, "gross")

COMMAND = SubmitOrder(
    idempotency_key=IdempotencyKey("key"),
    fund_id=FundId("fund"),
    strategy_id=StrategyId("strategy"),
    symbol=Symbol("AAPL"),
    side=Side.BUY,
    quantity=Decimal(100),
    reference_price=Decimal("10"),
    decided_ns=5,
)


def admitted() -> Order:
    return step(None, Admission(COMMAND, ACCEPTED), 7).order


def fill(name: str = "F1", quantity: int = 100, price: str = "10", **changes: Any) -> Fill:
    order = admitted()
    made = Fill(
        FillId(name), order.order_id, order.fund_id, order.strategy_id, order.symbol, order.side,
        Decimal(quantity), Decimal(price), Decimal("0.5"), 9,
    )  # fmt: skip
    return replace(made, **changes)


ACK = Acknowledged(VenueOrderId("V1"))
FULL, PART = Executed(fill()), Executed(fill("P1", 40))
UNKNOWN = UnknownAtVenue(10**12)
EARLY = UnknownAtVenue(9)
LESS = ReplaceOrder(admitted().order_id, "less", quantity=Decimal(60))
MORE = ReplaceOrder(admitted().order_id, "more", quantity=Decimal(150))
SAME = ReplaceOrder(admitted().order_id, "same", quantity=Decimal(100))
PRICED = ReplaceOrder(admitted().order_id, "price", limit_price=Decimal(9))
CANCEL = CancelOrder(admitted().order_id, "no longer wanted")


def after(*messages: Message) -> Order:
    order = admitted()
    for message in messages:
        order = step(order, message, 8).order
    return order


START: dict[str, tuple[Message, ...]] = {
    "submitting": (),
    "working": (ACK,),
    "part": (ACK, PART),
    "doubt": (NoAnswer("late"),),
    "cancelling": (ACK, CANCEL),
    "cancelling_unsent": (CANCEL,),
    "filled": (ACK, FULL),
    "cancelled": (ACK, Cancelled("done")),
    "cancelled_unacked": (CANCEL, UNKNOWN),
    "cancelled_early": (CANCEL, Cancelled("done")),
    "rejected": (Rejected("no"),),
    "expired": (ACK, Expired("auction over")),
    "vanished": (ACK, UNKNOWN),
    "replacing": (ACK, LESS),
    "replacing_part": (ACK, PART, LESS),
    "replacing_more": (ACK, MORE),
    "replaced": (ACK, MORE, Replaced(Terms(1, Decimal(150)))),
    "cancelled_replacing": (ACK, MORE, CANCEL, Cancelled("done")),
    "cancelling_replacing": (ACK, MORE, CANCEL),
}

CASES: list[tuple[str, Message, OrderStatus | type[Exception], list[str], list[type[Effect]]]] = [
    ("submitting", ACK, S.WORKING, ["OrderWorking"], []),
    ("submitting", FULL, S.FILLED, ["OrderFilled"], []),
    ("submitting", PART, S.PARTIALLY_FILLED, ["OrderFilled"], []),
    ("submitting", Rejected("no"), S.REJECTED, ["OrderRejected"], []),
    ("submitting", Expired(""), S.EXPIRED, ["OrderExpired"], []),
    ("submitting", NoAnswer("late"), S.IN_DOUBT, ["OrderInDoubt"], [QueryVenue]),
    ("submitting", UNKNOWN, S.SUBMITTING, ["OrderSubmitting"], [SendOrder]),
    ("submitting", CANCEL, S.PENDING_CANCEL, ["CancelRequested"], [SendCancel]),
    ("working", ACK, S.WORKING, [], []),
    ("working", FULL, S.FILLED, ["OrderFilled"], []),
    ("working", NoAnswer("late"), S.WORKING, [], [QueryVenue]),
    ("working", UNKNOWN, S.IN_DOUBT, ["OrderInDoubt"], []),
    ("working", CANCEL, S.PENDING_CANCEL, ["CancelRequested"], [SendCancel]),
    ("working", CancelRefused("late"), S.WORKING, [], []),
    ("part", PART, S.PARTIALLY_FILLED, [], []),
    ("part", Executed(fill("P2", 60)), S.FILLED, ["OrderFilled"], []),
    ("part", Executed(fill("P2", 61)), InvariantBroken, [], []),
    ("part", Rejected("no"), InvariantBroken, [], []),
    ("part", Cancelled("done"), S.CANCELLED, ["OrderCancelled"], []),
    ("part", Expired(""), S.EXPIRED, ["OrderExpired"], []),
    ("doubt", ACK, S.WORKING, ["OrderWorking"], []),
    ("doubt", FULL, S.FILLED, ["OrderFilled"], []),
    ("doubt", UNKNOWN, S.SUBMITTING, ["OrderSubmitting"], [SendOrder]),
    ("doubt", Rejected("no"), S.REJECTED, ["OrderRejected"], []),
    ("doubt", NoAnswer("again"), S.IN_DOUBT, [], [QueryVenue]),
    ("doubt", CANCEL, S.PENDING_CANCEL, ["CancelRequested"], [SendCancel]),
    ("cancelling", CANCEL, S.PENDING_CANCEL, [], []),
    ("cancelling", Cancelled("done"), S.CANCELLED, ["OrderCancelled"], []),
    ("cancelling", CancelRefused("too late"), S.PENDING_CANCEL, [], [QueryVenue]),
    ("cancelling", NoAnswer("late"), S.PENDING_CANCEL, [], [QueryVenue]),
    ("cancelling", FULL, S.FILLED, ["OrderFilled"], []),
    ("cancelling", PART, S.PENDING_CANCEL, ["OrderFilled"], []),
    ("cancelling", UNKNOWN, S.PENDING_CANCEL, [], []),
    ("cancelling_unsent", ACK, S.PENDING_CANCEL, ["OrderWorking"], []),
    ("cancelling_unsent", UNKNOWN, S.CANCELLED, ["OrderCancelled"], []),
    ("filled", ACK, S.FILLED, [], []),
    ("filled", FULL, S.FILLED, [], []),
    ("filled", Executed(fill("P2", 1)), InvariantBroken, [], []),
    ("filled", Cancelled("late"), S.FILLED, [], []),
    ("filled", CANCEL, S.FILLED, [], []),
    ("filled", Expired(""), S.FILLED, [], []),
    ("filled", NoAnswer("late"), S.FILLED, [], []),
    ("filled", UNKNOWN, S.FILLED, [], []),
    ("cancelled", PART, S.CANCELLED, ["OrderFilled"], []),
    ("cancelled", FULL, S.FILLED, ["OrderFilled"], []),
    ("cancelled", ACK, S.CANCELLED, [], []),
    ("cancelled_unacked", ACK, S.PENDING_CANCEL, ["OrderRevived"], [SendCancel]),
    ("cancelled_early", ACK, S.CANCELLED, [], []),
    ("expired", PART, S.EXPIRED, ["OrderFilled"], []),
    ("expired", Rejected("late"), S.EXPIRED, [], []),
    ("rejected", FULL, InvariantBroken, [], []),
    ("rejected", ACK, S.REJECTED, [], []),
    ("vanished", UNKNOWN, S.IN_DOUBT, [], []),
    ("vanished", ACK, S.WORKING, ["OrderWorking"], []),
    ("vanished", FULL, S.FILLED, ["OrderFilled"], []),
    ("cancelling_unsent", EARLY, S.PENDING_CANCEL, [], []),
    ("submitting", EARLY, S.SUBMITTING, ["OrderSubmitting"], [SendOrder]),
    ("working", LESS, S.PENDING_REPLACE, ["ReplaceRequested"], [SendReplace]),
    ("part", LESS, S.PENDING_REPLACE, ["ReplaceRequested"], [SendReplace]),
    ("working", SAME, S.WORKING, [], []),
    ("working", PRICED, S.WORKING, [], []),
    ("submitting", LESS, S.SUBMITTING, [], []),
    ("doubt", LESS, S.IN_DOUBT, [], []),
    ("cancelling", LESS, S.PENDING_CANCEL, [], []),
    ("filled", LESS, S.FILLED, [], []),
    ("replacing", LESS, S.PENDING_REPLACE, [], []),
    ("replacing", Replaced(Terms(1, Decimal(60))), S.WORKING, ["OrderReplaced"], []),
    ("replacing_part", Replaced(Terms(1, Decimal(60))), S.PARTIALLY_FILLED, ["OrderReplaced"], []),
    ("replacing_part", Replaced(Terms(1, Decimal(40))), S.FILLED, ["OrderReplaced"], []),
    ("replacing_part", Replaced(Terms(1, Decimal(39))), InvariantBroken, [], []),
    ("replacing", Replaced(Terms(0, Decimal(60))), S.PENDING_REPLACE, [], []),
    ("replacing", Replaced(Terms(2, Decimal(60))), S.WORKING, ["OrderReplaced"], []),
    ("replacing", ReplaceRefused("no"), S.WORKING, ["OrderNotReplaced"], [QueryVenue]),
    ("replacing_part", ReplaceRefused("no"), S.PARTIALLY_FILLED, ["OrderNotReplaced"], [QueryVenue]),
    ("working", ReplaceRefused("no"), S.WORKING, [], []),
    ("working", ReplaceDenied(REFUSED), S.WORKING, ["OrderNotReplaced"], []),
    ("filled", ReplaceDenied(REFUSED), S.FILLED, [], []),
    ("replacing", NoAnswer("late"), S.PENDING_REPLACE, [], [QueryVenue]),
    ("replacing", ACK, S.PENDING_REPLACE, [], []),
    ("replacing", CANCEL, S.PENDING_CANCEL, ["CancelRequested"], [SendCancel]),
    ("replacing", PART, S.PENDING_REPLACE, ["OrderFilled"], []),
    ("replacing", FULL, S.FILLED, ["OrderFilled"], []),
    ("replacing", Cancelled("done"), S.CANCELLED, ["OrderCancelled"], []),
    ("replacing", Expired("over"), S.EXPIRED, ["OrderExpired"], []),
    ("replacing", Rejected("no"), S.REJECTED, ["OrderRejected"], []),
    ("replacing", UNKNOWN, S.IN_DOUBT, ["OrderInDoubt"], []),
    ("replacing", CancelRefused("late"), S.PENDING_REPLACE, [], []),
    ("replacing_more", FULL, S.FILLED, ["OrderFilled"], []),
    ("replacing_more", Executed(fill("M", 120)), S.PARTIALLY_FILLED, ["OrderReplaced", "OrderFilled"], []),
    ("replacing_more", Executed(fill("M", 150)), S.FILLED, ["OrderReplaced", "OrderFilled"], []),
    ("replacing_more", Executed(fill("M", 151)), InvariantBroken, [], []),
    ("replaced", Replaced(Terms(1, Decimal(150))), S.WORKING, [], []),
    ("replaced", Replaced(Terms(2, Decimal(160))), S.WORKING, ["OrderReplaced"], []),
    ("replaced", Executed(fill("M", 150)), S.FILLED, ["OrderFilled"], []),
    ("cancelled_replacing", Executed(fill("M", 120)), S.CANCELLED, ["OrderReplaced", "OrderFilled"], []),
    ("cancelled_replacing", Replaced(Terms(1, Decimal(150))), S.CANCELLED, [], []),
    ("cancelling_replacing", Replaced(Terms(1, Decimal(150))), S.PENDING_CANCEL, ["OrderReplaced"], []),
    ("cancelling_replacing", UNKNOWN, S.PENDING_CANCEL, [], []),
    ("submitting", Release(Decimal(10)), S.SUBMITTING, [], []),
    ("submitting", Executed(fill(symbol=Symbol("MSFT"))), InvariantBroken, [], []),
    ("submitting", Executed(fill(side=Side.SELL)), InvariantBroken, [], []),
    ("submitting", Executed(fill(quantity=0)), InvariantBroken, [], []),
    ("submitting", Admission(COMMAND, ACCEPTED), InvariantBroken, [], []),
]


@pytest.mark.parametrize(
    ("start", "message", "want", "events", "effects"),
    CASES,
    ids=[f"{c[0]}-{type(c[1]).__name__}-{n}" for n, c in enumerate(CASES)],
)
def test_table(start: str, message: Message, want: Any, events: list[str], effects: list[type[Effect]]) -> None:
    order = after(*START[start])
    if isinstance(want, type):
        with pytest.raises(want):
            step(order, message, 20)
        return
    taken = step(order, message, 20)
    assert taken.order.status is want
    assert [type(event).__name__ for event in taken.events] == events
    assert [type(effect) for effect in taken.effects] == effects
    if not events:
        assert taken.order == order
    else:
        assert taken.order.updated_ns == 20


def test_admission_is_one_step_to_submitting() -> None:
    taken = step(None, Admission(COMMAND, ACCEPTED), 7)
    assert taken.order.status is S.SUBMITTING and taken.effects == (SendOrder(),)
    assert [type(event).__name__ for event in taken.events] == ["OrderReceived", "OrderAccepted", "OrderSubmitting"]
    assert taken.order.order_id == ids.order_id(COMMAND.idempotency_key, 7)
    assert taken.order.client_order_id == ids.client_order_id(taken.order.order_id)
    assert step(None, Admission(COMMAND, ACCEPTED), 7) == taken


def held(**changes: Any) -> Order:
    group = Membership("g", Role.LEG, Decimal(100))
    taken = step(None, Admission(replace(COMMAND, **changes), ACCEPTED, group, hold=True), 7)
    assert [type(event).__name__ for event in taken.events] == ["OrderHeld"] and taken.effects == ()
    assert taken.order.status is S.ACCEPTED and taken.order.group is group
    return taken.order


def test_what_is_held_is_sent_when_it_is_released() -> None:
    order = held()
    taken = step(order, Release(Decimal(40)), 9)
    assert [type(event).__name__ for event in taken.events] == ["OrderReleased", "OrderSubmitting"]
    assert taken.order.status is S.SUBMITTING and taken.order.quantity == 40 and taken.effects == (SendOrder(),)
    assert taken.order.send_by_ns == 9 + SEND_WITHIN_NS
    assert order.open_quantity == order.exposed_quantity == 0 < taken.order.open_quantity
    with pytest.raises(InvariantBroken, match="no quantity"):
        step(order, Release(Decimal(0)), 9)
    gone = step(order, CANCEL, 9)
    assert gone.order.status is S.CANCELLED and gone.effects == ()


def test_what_is_held_takes_other_terms_at_once() -> None:
    order = held(order_type=OrderType.STOP_LIMIT, stop_price=Decimal(8), limit_price=Decimal(7))
    taken = step(order, ReplaceOrder(order.order_id, "x", stop_price=Decimal(9)), 9)
    assert [type(event).__name__ for event in taken.events] == ["OrderReplaced"] and taken.effects == ()
    assert (taken.order.status, taken.order.stop_price, taken.order.limit_price) == (S.ACCEPTED, 9, 7)
    assert taken.order.revision == 1 and taken.order.wanted is None


def test_a_refused_revision_is_spent() -> None:
    order = step(after(ACK, LESS), ReplaceRefused("no"), 9).order
    assert (order.revision, order.wanted, order.quantity) == (1, None, 100)
    again = step(order, LESS, 10)
    assert again.order.wanted == Terms(2, Decimal(60))


def test_other_terms_hold_at_worst_until_they_are_answered() -> None:
    assert after(ACK, MORE).exposed_quantity == 150 and after(ACK, LESS).exposed_quantity == 100
    assert after(ACK, MORE).open_quantity == 100
    taken = step(after(ACK, MORE), Executed(fill("M", 120)), 9)
    assert (taken.order.quantity, taken.order.revision, taken.order.wanted) == (150, 1, None)
    older = replace(after(ACK, MORE), wanted=Terms(3, Decimal(170)))
    assert step(older, Replaced(Terms(2, Decimal(160))), 9).order.wanted == Terms(3, Decimal(170))


PROBLEMS: list[tuple[str, dict[str, Any], str]] = [
    ("working", {"quantity": Decimal(60)}, ""),
    ("submitting", {"quantity": Decimal(60)}, "is submitting and cannot be replaced"),
    ("working", {"limit_price": Decimal(9)}, "has no limit price"),
    ("working", {"stop_price": Decimal(9)}, "has no stop price"),
    ("part", {"quantity": Decimal(40)}, "has filled 40 and cannot be made 40"),
    ("part", {"quantity": Decimal(41)}, ""),
]


@pytest.mark.parametrize(("start", "changes", "said"), PROBLEMS)
def test_terms_that_make_no_sense_are_named(start: str, changes: dict[str, Any], said: str) -> None:
    found = problem(after(*START[start]), ReplaceOrder(admitted().order_id, "x", **changes))
    assert (said in found) if said else found == ""


@pytest.mark.parametrize(("gate", "kept"), [(1, False), (2, False), (3, True), (5, True), (7, True)])
def test_a_refusal_is_on_record_and_sends_nothing(gate: int, kept: bool) -> None:
    taken = step(None, Admission(COMMAND, Refused(gate, "why", (("limit", "3"),))), 7)
    assert taken.order.status is S.DENIED and taken.order.reason == f"gate {gate}: why"
    assert taken.effects == () and taken.is_kept is kept
    assert [type(event).__name__ for event in taken.events] == (["OrderReceived"] if kept else []) + ["OrderDenied"]


def test_no_order_takes_an_admission_only() -> None:
    with pytest.raises(InvariantBroken):
        step(None, ACK, 7)


def test_average_price_and_fees_add_up() -> None:
    order = after(ACK, Executed(fill("A", 30, "10")), Executed(fill("B", 70, "11")))
    assert order.average_price == Decimal("10.7") and order.fees == 1
    assert order.fill_ids == ("A", "B") and order.venue_order_id == "V1"


def test_ends_go_nowhere_but_to_late_fills() -> None:
    for status in TERMINAL:
        late = {S.PENDING_CANCEL} if status is S.CANCELLED else set()  # it never reached the venue, and then it did
        assert LEGAL[status] <= {status, S.FILLED} | late
    assert {status for status in OrderStatus if not status.is_terminal} - SENT == {S.NEW, S.ACCEPTED}
    assert set(LEGAL) == set(OrderStatus)


MESSAGES = st.one_of(
    st.just(ACK),
    st.sampled_from([Cancelled("c"), Expired("e"), CancelRefused("r"), NoAnswer("n"), UNKNOWN, CANCEL]),
    st.just(Rejected("no")),
    st.sampled_from([LESS, MORE, ReplaceRefused("r"), ReplaceDenied(REFUSED)]),
    st.builds(lambda n, quantity: Replaced(Terms(n, Decimal(quantity))), st.integers(0, 3), st.integers(1, 200)),
    st.builds(
        lambda name, quantity, cents: Executed(fill(f"F{name}", quantity, str(Decimal(cents) / 100))),
        st.integers(0, 5), st.integers(1, 60), st.integers(1, 5000),
    ),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(MESSAGES, max_size=15))
def test_any_story_keeps_the_books(messages: list[Message]) -> None:
    order, seen, now_ns = admitted(), [], 10
    for message in messages:
        now_ns += 1
        try:
            taken: Step = step(order, message, now_ns)
        except InvariantBroken:
            continue
        assert taken.order.status in LEGAL[order.status] | {order.status}
        assert bool(taken.events) == (taken.order != order)
        assert taken.order.open_quantity <= taken.order.exposed_quantity
        seen += [event.fill for event in taken.events if isinstance(event, OrderFilled)]
        order = taken.order
        assert step(order, message, now_ns + 1).events == () or isinstance(message, UnknownAtVenue | ReplaceDenied)
    assert order.filled_quantity == sum(f.quantity for f in seen) <= order.quantity
    assert len({f.fill_id for f in seen}) == len(seen) and order.fill_ids == tuple(f.fill_id for f in seen)
    assert order.fees == sum((f.fee for f in seen), Decimal(0))
    worth = sum((f.price * f.quantity for f in seen), Decimal(0))
    assert abs(order.average_price * order.filled_quantity - worth) < Decimal("1e-15")
    assert (order.status is S.FILLED) == (order.filled_quantity == order.quantity)
