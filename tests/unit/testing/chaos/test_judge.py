"""The judge of chaos: it is silent when journal and venue agree, and names each way in which they may not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mts1b.brokers.paper.log import encode
from mts1b.testing.chaos.judge import Booked, VenueStory, violations
from mts1b.testing.chaos.stand import VenueLog

Rows = list[dict[str, Any]]


def report(sequence: int, kind: str, order: str, **more: str) -> dict[str, Any]:
    given = {"sequence": sequence, "kind": kind, "client_order_id": order, "fill_id": None, "terms": None}
    return {**given, "quantity": "0", "price": "0", "fee": "0", **more}


def place(order: str, sequence: int, side: str = "buy", quantity: str = "10") -> dict[str, Any]:
    told = {"client_order_id": order, "symbol": "AA", "side": side, "quantity": quantity}
    return {"command": {"do": "place", "order": told}, "reports": [report(sequence, "ack", order)]}


ENTRIES = [
    place("a", 1),
    place("b", 2, "sell", "4"),
    place("c", 3),
    {
        "command": {"do": "open"},
        "reports": [
            report(4, "fill", "a", fill_id="Fa", quantity="10", price="5", fee="0.1"),
            report(5, "fill", "b", fill_id="Fb", quantity="4", price="6", fee="0.2"),
            report(6, "expire", "c"),
        ],
    },
    place("d", 7),
]


def order(name: str, status: str, filled: str = "0", side: str = "buy", quantity: str = "10") -> dict[str, Any]:
    amounts = {"quantity": Decimal(quantity), "filled_quantity": Decimal(filled)}
    return {
        "client_order_id": name,
        "idempotency_key": f"k{name}",
        "symbol": "AA",
        "side": side,
        "status": status,
        **amounts,
    }


def fill(name: str, side: str, *amounts: str) -> dict[str, Any]:
    quantity, price, fee = map(Decimal, amounts)
    return {"fill_id": name, "symbol": "AA", "side": side, "quantity": quantity, "price": price, "fee": fee}


def story() -> VenueStory:
    venue = VenueStory()
    venue.take(ENTRIES)
    return venue


BOOKED = Booked(
    orders=[
        order("a", "filled", "10"),
        order("b", "filled", "4", "sell", "4"),
        order("c", "expired"),
        order("d", "working"),
        order("e", "denied"),
    ],
    fills=[fill("Fa", "buy", "10", "5", "0.1"), fill("Fb", "sell", "4", "6", "0.2")],
    positions={"AA": Decimal(6), "BB": Decimal(0)},
    opening_cash=Decimal(100),
    cash=Decimal("73.7"),
    report_sequence=6,
    unpublished=0,
    doubtful=0,
)


def changed(name: str, **columns: Any) -> Rows:
    return [{**row, **columns} if row["client_order_id"] == name else dict(row) for row in BOOKED.orders]


def test_books_that_agree_are_not_complained_of() -> None:
    assert violations(story(), BOOKED) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: replace(BOOKED, orders=BOOKED.orders[1:]), "journal does not know"),
        (lambda: replace(BOOKED, orders=[*BOOKED.orders, order("lost", "working")]), "has never had it"),
        (lambda: replace(BOOKED, orders=changed("d", idempotency_key="ka")), "2 orders of the key"),
        (lambda: replace(BOOKED, orders=changed("a", quantity=Decimal(11))), "another one at the venue"),
        (lambda: replace(BOOKED, orders=changed("c", status="cancelled")), "at the venue expired"),
        (lambda: replace(BOOKED, fills=BOOKED.fills[1:]), "was not booked"),
        (lambda: replace(BOOKED, fills=[*BOOKED.fills, fill("Fx", "buy", "1", "1", "0")]), "never executed"),
        (lambda: replace(BOOKED, fills=[fill("Fa", "buy", "10", "5", "0"), BOOKED.fills[1]]), "differs from the venue"),
        (lambda: replace(BOOKED, positions={"AA": Decimal(16)}), "positions differ"),
        (lambda: replace(BOOKED, cash=Decimal("73.8")), "cash is 73.8"),
        (lambda: replace(BOOKED, report_sequence=5), "followed to 5"),
        (lambda: replace(BOOKED, unpublished=1), "1 messages unpublished"),
        (lambda: replace(BOOKED, doubtful=1), "1 orders in doubt"),
    ],
)
def test_each_way_to_disagree_is_named(wrong: Callable[[], Booked], said: str) -> None:
    assert any(said in told for told in violations(story(), wrong()))


def test_what_the_log_has_twice_is_named() -> None:
    venue = story()
    venue.take([place("a", 8), {"command": {"do": "open"}, "reports": [ENTRIES[3]["reports"][0]]}])
    assert {told for told in violations(venue, BOOKED) if "twice" in told} == {
        "the venue's log has a twice",
        "the venue's log has Fa twice",
    }


def test_a_log_is_followed_and_a_torn_line_left_for_later(tmp_path: Path) -> None:
    path, lines = tmp_path / "exchange.log", [encode(entry) for entry in ENTRIES]
    path.write_bytes(lines[0] + lines[1][:20])
    log = VenueLog(tmp_path)
    assert set(asyncio.run(log.follow()).orders) == {"a"}
    path.write_bytes(b"".join(lines))
    assert asyncio.run(log.follow()) == story()
