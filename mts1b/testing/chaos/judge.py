"""Whether a journal says what the venue's log says: nothing lost, nothing doubled, every share and cent equal. Pure.

The venue's side is folded here from the lines of its log alone, by other code than the exchange's or the OMS's.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

ZERO = Decimal(0)
SHOWN_MAX = 5

ENDS = {"cancel": "cancelled", "reject": "rejected", "expire": "expired"}
"""Reports that end an order, as the journal calls it then."""

NEVER_SENT = ("denied", "rejected", "cancelled")
"""How an order may end of which the venue has never heard."""


@dataclass(slots=True)
class AtVenue:
    """One order as the log tells it."""

    symbol: str
    side: str
    quantity: Decimal
    status: str = "working"
    filled: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class VenueFill:
    """One execution."""

    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    fee: Decimal


@dataclass(slots=True)
class VenueStory:
    """What an exchange's log comes to, line after line."""

    orders: dict[str, AtVenue] = field(default_factory=dict)
    fills: dict[str, VenueFill] = field(default_factory=dict)
    news: int = 0
    """The last report that is more than an acknowledgement; the answer to the order has said those already."""
    twice: list[str] = field(default_factory=list)

    def take(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Follow more lines of the log."""
        for entry in entries:
            command = entry["command"]
            if command["do"] == "place":
                self._placed(command["order"])
            for report in entry["reports"]:
                self.news = self.news if report["kind"] == "ack" else report["sequence"]
                self._reported(report)

    def _placed(self, order: Mapping[str, Any]) -> None:
        name = order["client_order_id"]
        if name in self.orders:
            self.twice.append(name)
        self.orders[name] = AtVenue(order["symbol"], order["side"], Decimal(order["quantity"]))

    def _reported(self, report: Mapping[str, Any]) -> None:
        order, kind = self.orders[report["client_order_id"]], report["kind"]
        if kind == "fill":
            if report["fill_id"] in self.fills:
                self.twice.append(report["fill_id"])
            amounts = (Decimal(report[name]) for name in ("quantity", "price", "fee"))
            fill = VenueFill(order.symbol, order.side, *amounts)
            self.fills[report["fill_id"]] = fill
            order.filled += fill.quantity
            order.status = "filled" if order.filled == order.quantity else "partially_filled"
        elif kind == "replace":
            order.quantity = Decimal(report["terms"]["quantity"])
        order.status = ENDS.get(kind, order.status)

    def positions(self) -> dict[str, Decimal]:
        """Shares by name, those of none left out."""
        held: defaultdict[str, Decimal] = defaultdict(Decimal)
        for fill in self.fills.values():
            held[fill.symbol] += fill.quantity if fill.side == "buy" else -fill.quantity
        return {symbol: quantity for symbol, quantity in held.items() if quantity}

    def cash(self, opening: Decimal) -> Decimal:
        """What is left of the opening cash."""
        for fill in self.fills.values():
            paid = fill.quantity * fill.price
            opening -= fill.fee + (paid if fill.side == "buy" else -paid)
        return opening


@dataclass(frozen=True, slots=True)
class Booked:
    """The same fund as its journal has it. Rows by the names of their columns."""

    orders: Sequence[Mapping[str, Any]]
    fills: Sequence[Mapping[str, Any]]
    positions: Mapping[str, Decimal]
    opening_cash: Decimal
    cash: Decimal
    report_sequence: int
    unpublished: int
    doubtful: int

    def is_settled(self, venue: VenueStory) -> bool:
        """Whether nothing is under way between the two."""
        return not self.doubtful and not self.unpublished and self.report_sequence >= venue.news


def violations(venue: VenueStory, booked: Booked) -> list[str]:
    """Every way in which the two do not agree; empty when all is accounted for."""
    found = [f"the venue's log has {name} twice" for name in venue.twice]
    if not booked.is_settled(venue):
        found.append(
            f"{booked.doubtful} orders in doubt, {booked.unpublished} messages unpublished, reports followed to "
            f"{booked.report_sequence}, the venue is at {venue.news}"
        )
    found += _order_violations(venue, booked)
    found += _fill_violations(venue, booked)
    held = {symbol: quantity for symbol, quantity in booked.positions.items() if quantity}
    if held != venue.positions():
        wrong = sorted(set(held.items()) ^ set(venue.positions().items()))
        found.append(f"positions differ from the venue's: {wrong[:SHOWN_MAX]}")
    if booked.cash != venue.cash(booked.opening_cash):
        found.append(f"cash is {booked.cash}, by the venue's log {venue.cash(booked.opening_cash)}")
    return found


def _order_violations(venue: VenueStory, booked: Booked) -> list[str]:
    found, known = [], {row["client_order_id"]: row for row in booked.orders}
    for name in venue.orders.keys() - known.keys():
        found.append(f"the venue has order {name}, which the journal does not know")
    keys = Counter(row["idempotency_key"] for row in booked.orders if row["client_order_id"] in venue.orders)
    found += [f"the venue has {count} orders of the key {key}" for key, count in keys.items() if count > 1]
    for name, row in known.items():
        there = venue.orders.get(name)
        if there is None:
            if row["status"] not in NEVER_SENT:
                found.append(f"order {name} is {row['status']}, and the venue has never had it")
        elif (row["symbol"], row["side"], row["quantity"]) != (there.symbol, there.side, there.quantity):
            found.append(f"order {name} is another one at the venue")
        elif (row["status"], row["filled_quantity"]) != (there.status, there.filled):
            found.append(
                f"order {name} is {row['status']} with {row['filled_quantity']} filled, at the venue {there.status} "
                f"with {there.filled}"
            )
    return found


def _fill_violations(venue: VenueStory, booked: Booked) -> list[str]:
    ours = {
        row["fill_id"]: VenueFill(row["symbol"], row["side"], row["quantity"], row["price"], row["fee"])
        for row in booked.fills
    }
    lost = [f"fill {name} was not booked" for name in venue.fills.keys() - ours.keys()]
    made_up = [f"fill {name} was never executed" for name in ours.keys() - venue.fills.keys()]
    other = [name for name in ours.keys() & venue.fills.keys() if ours[name] != venue.fills[name]]
    return lost + made_up + [f"fill {name} differs from the venue's" for name in other]
