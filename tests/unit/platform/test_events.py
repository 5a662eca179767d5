"""Subjects and their models: one list, and what travels is what was meant."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.audit.chain import canonical
from mts1b.foundation.errors import DataError, InputError, UnknownNameError
from mts1b.foundation.events import OrderFilled
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import FillId, FundId, OrderId, StrategyId, Symbol
from mts1b.foundation.order import Side
from mts1b.oms.encode import fill_message, row
from mts1b.oms.published import FillCreated
from mts1b.platform import events
from mts1b.platform.events import Event, Exact, decode, encode, event, registered_subject

SUBJECT = "mts.v1.oms.fills.created"

prices = st.decimals(min_value=Decimal("0.0001"), max_value=Decimal(10) ** 9, places=4)
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=12)


@pytest.fixture(autouse=True)
def _list_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone behind it."""
    monkeypatch.setattr(events, "_by_subject", dict(events._by_subject))
    monkeypatch.setattr(events, "_by_model", dict(events._by_model))


@st.composite
def fills(draw: st.DrawFn) -> Fill:
    return Fill(
        FillId(draw(texts)), OrderId(draw(texts)), FundId(draw(texts)), StrategyId(draw(texts)), Symbol(draw(texts)),
        draw(st.sampled_from(Side)), draw(prices), draw(prices), draw(prices), draw(st.integers(0, 2**62)),
    )  # fmt: skip


@given(fills())
def test_a_fill_on_the_bus_has_the_content_it_always_had(fill: Fill) -> None:
    message = fill_message(OrderFilled(fill.order_id, fill, fill.ts_ns))
    assert (message.subject, message.message_id) == (SUBJECT, fill.fill_id)
    assert json.loads(message.payload) == json.loads(canonical(row(fill)))
    assert decode(message.subject, message.payload.encode()) == FillCreated.of(fill)


def test_numbers_keep_their_digits_and_have_no_exponent() -> None:
    class Sized(Event):
        size: Exact

    assert Sized(size=Decimal("1E+3")).model_dump_json() == '{"size":"1000"}'
    assert Sized(size=Decimal("0.0000001000")).model_dump_json() == '{"size":"0.0000001000"}'


def test_a_version_more_is_a_subject_of_its_own() -> None:
    class Seen(Event):
        name: str

    event("test.birds.seen", key="name")(Seen)

    class SeenAgain(Event):
        name: str
        place: str

    event("test.birds.seen", key="name", version=2)(SeenAgain)
    assert registered_subject("mts.v1.test.birds.seen").model is Seen
    assert decode("mts.v2.test.birds.seen", b'{"name":"a","place":"b"}') == SeenAgain(name="a", place="b")
    assert [item.subject for item in events.registered() if "birds" in item.subject] == [
        "mts.v1.test.birds.seen",
        "mts.v2.test.birds.seen",
    ]


def test_fields_that_a_reader_does_not_know_are_skipped_and_wrong_ones_named() -> None:
    class Ping(Event):
        count: int

    event("test.pings.sent", key="count")(Ping)
    assert decode("mts.v1.test.pings.sent", b'{"count":3,"colour":"red"}') == Ping(count=3)
    with pytest.raises(DataError, match="Ping.count"):
        decode("mts.v1.test.pings.sent", b'{"count":"many"}')
    with pytest.raises(DataError, match="Ping.payload"):
        decode("mts.v1.test.pings.sent", b"{")


@pytest.mark.parametrize(
    "name", ["fills.created", "oms.fills", "OMS.fills.created", "oms.fills.*", "oms.fills.created.x"]
)
def test_a_subject_has_three_parts_behind_its_version(name: str) -> None:
    with pytest.raises(InputError, match="is not a subject"):
        event(name, key="x")


def test_what_is_wrong_with_a_model_is_said() -> None:
    class Bare(Event):
        name: str

    with pytest.raises(UnknownNameError, match="key='nam'.*did you mean: name"):
        event("test.bare.made", key="nam")(Bare)
    with pytest.raises(InputError, match="Bare.*has no subject"):
        encode(Bare(name="x"))
    with pytest.raises(InputError, match="belongs to mts1b.oms.published.FillCreated"):
        event("oms.fills.created", key="name")(Bare)
    with pytest.raises(UnknownNameError, match=f"did you mean: {SUBJECT}"):
        registered_subject("mts.v1.oms.fills.create")
    event("test.bare.made", key="name")(Bare)
    with pytest.raises(InputError, match="name.*identifies nothing"):
        encode(Bare(name=""))
