"""Limits as a person writes them and as they are stored: nothing is lost on the way, and what is wrong is named."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from mts1b.foundation.errors import InputError, UnknownNameError
from mts1b.refdata import changed, complete, document
from mts1b.riskengine import RiskLimits
from mts1b.testing.risk import wide_limits

WIDE = wide_limits(("B", "A"))


def test_what_is_stored_reads_back_as_it_was() -> None:
    stored = json.loads(json.dumps(document(WIDE)))
    assert complete(stored) == WIDE
    assert stored["allowed_symbols"] == ["A", "B"]
    assert stored["price_collar"] == "0.5"


@pytest.mark.parametrize("name", RiskLimits.model_fields)
def test_a_limit_that_is_missing_is_named(name: str) -> None:
    for fields in ({**document(WIDE), name: None}, {k: v for k, v in document(WIDE).items() if k != name}):
        with pytest.raises(InputError) as raised:
            complete(fields)
        assert raised.value.field == name


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        ({"gros_max": "1"}, "limit"),
        ({"gross_max": "-1"}, "gross_max"),
        ({"gross_max": "NaN"}, "gross_max"),
        ({"gross_max": "much"}, "gross_max"),
        ({"price_collar": "1.5"}, "price_collar"),
        ({"open_orders_max": "2.5"}, "open_orders_max"),
        ({"self_match_allowed": "perhaps"}, "self_match_allowed"),
    ],
)
def test_a_limit_that_is_wrong_is_named(texts: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError) as raised:
        changed(WIDE, texts)
    assert raised.value.field == name


def test_an_unknown_limit_is_met_with_its_nearest() -> None:
    with pytest.raises(UnknownNameError, match="gross_max"):
        changed(WIDE, {"gros_max": "1"})


def test_a_change_leaves_the_others() -> None:
    after = changed(WIDE, {"gross_max": "7.50", "self_match_allowed": "false", "restricted_symbols": " X, Y,"})
    expected = {"gross_max": Decimal("7.50"), "self_match_allowed": False, "restricted_symbols": frozenset({"X", "Y"})}
    assert after == WIDE.model_copy(update=expected)
    assert changed(after, {"restricted_symbols": ""}).restricted_symbols == frozenset()


def test_the_first_version_has_to_be_whole() -> None:
    assert changed(None, document(WIDE)) == WIDE
    with pytest.raises(InputError, match="dedup_window_s"):
        changed(None, {"gross_max": "1"})
