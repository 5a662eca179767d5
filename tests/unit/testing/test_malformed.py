"""Malformed commands are refused by name; and what takes or crashes on one is found out."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from mts1b.foundation.commands import CancelAll, CancelOrder, ReplaceOrder, SubmitOrder
from mts1b.foundation.errors import InputError, InvariantBroken
from mts1b.foundation.ids import OrderId
from mts1b.oms import form
from mts1b.testing.malformed import NO_AMOUNTS, SPOILED, good_command, refusal, refuse_some, spoiled


def test_each_is_refused_by_name_and_the_next_good_one_passes() -> None:
    found = refuse_some(1, 2_500)
    assert found.total == sum(found.names.values()) == 2_500
    assert {kind.split()[0] for kind in found.kinds} == {"cancel", "replace", "no", "group", "submit"}
    assert {"gate 2: malformed", "gate 2: off_lot", "gate 2: off_tick", "gate 2: wrong_fund"} <= set(found.names)
    assert refuse_some(1, 300).names == refuse_some(1, 300).names != refuse_some(2, 300).names


def test_every_field_of_an_order_is_spoiled() -> None:
    random = Random(1)
    good, fields = good_command("key"), set(SubmitOrder.__dataclass_fields__)
    assert set(SPOILED) == fields
    changed = {name for _ in range(500) for name in fields if differs(spoiled(random, "key"), good, name)}
    assert changed == fields


def differs(one: SubmitOrder, other: SubmitOrder, name: str) -> bool:
    return repr(getattr(one, name)) != repr(getattr(other, name))


@pytest.mark.parametrize("outcome", [ValueError("crash"), None, "taken", InputError("field", 1, "wrong")], ids=repr)
def test_what_is_no_refusal_by_name_is_found(outcome: Any) -> None:
    async def ask(_command: object) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with pytest.raises(InvariantBroken, match="refused"):
        asyncio.run(refusal(ask, good_command("key")))


@pytest.mark.parametrize("amount", NO_AMOUNTS, ids=ascii)
def test_an_amount_that_is_none_is_refused_with_field_value_and_remedy(amount: Any) -> None:
    with pytest.raises(InputError) as caught:
        form.require(ReplaceOrder(OrderId("o"), "why", quantity=amount), ReplaceOrder)
    assert caught.value.field == "quantity" and caught.value.remedy
    assert caught.value.value == ascii(amount)[: form.SHOWN_CHARACTERS_MAX]


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (CancelOrder(OrderId(""), "why"), "order_id"),
        (CancelOrder(OrderId("o"), "a\nb"), "reason"),
        (CancelOrder(OrderId("o"), "x" * 301), "reason"),
        (CancelAll("why", symbol=5), "symbol"),  # type: ignore[arg-type]
        (ReplaceOrder(OrderId("o"), "why", limit_price=Decimal("NaN")), "limit_price"),
        (good_command("\ud800"), "idempotency_key"),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_what_does_not_fit_is_named(command: Any, field: str) -> None:
    with pytest.raises(InputError) as caught:
        form.require(command, type(command))
    assert caught.value.field == field and caught.value.remedy


def test_what_fits_passes_and_another_kind_does_not() -> None:
    for command in (good_command("k"), CancelOrder(OrderId("o"), "why"), CancelAll("")):
        form.require(command, type(command))
    with pytest.raises(InputError, match="is no CancelOrder"):
        form.require(CancelAll(""), CancelOrder)
