"""A changed value is what `dataclasses.replace` makes, and the one it was made from stays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from mts1b.foundation.changing import changed
from mts1b.riskengine.exposure import Name
from mts1b.testing.orders import make_order


@dataclass(frozen=True, slots=True)
class Pair:
    one: int
    other: int = 2


@dataclass(frozen=True)
class WithoutSlots:
    one: int


@dataclass(frozen=True, slots=True)
class Checked:
    one: int

    def __post_init__(self) -> None:
        assert self.one > 0


def test_a_changed_value_is_the_replaced_one() -> None:
    before = Pair(1)
    assert changed(before, other=3) == replace(before, other=3)
    assert before == Pair(1)
    name = Name(held=Decimal(3))
    assert changed(name, buys=Decimal(1), price=Decimal(5)) == replace(name, buys=Decimal(1), price=Decimal(5))


def test_nothing_changed_is_an_equal_value_of_its_own() -> None:
    order = make_order()
    assert changed(order) == order
    assert changed(order) is not order


def test_a_field_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match="no field third"):
        changed(Pair(1), third=3)


@pytest.mark.parametrize("value", [WithoutSlots(1), Checked(1), (1, 2)])
def test_what_needs_its_constructor_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="use dataclasses.replace"):
        changed(value, one=2)
