"""A batch of journal entries as the rows of one statement, audit links included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

from mts1b.audit.chain import Head, Link, canonical, link
from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.events import OrderFilled
from mts1b.foundation.limits import DEDUP_WINDOW_S
from mts1b.oms.encode import EVENT_KINDS, fill_row, move_row, moved_row, order_id_of, order_row, position_row, row
from mts1b.oms.ports import Entry

CASH_MOVED = "cash_moved"

_LINK_FIELDS = attrgetter(*(item.name for item in fields(Link)))
_LINK_COLUMNS = len(fields(Link))


@dataclass(slots=True)
class Batch:
    """Rows by table; of rows that replace each other, the last. The chain ends at `first` before, at `head` after."""

    first: Head
    head: Head
    new_orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    moved_orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    fills: list[dict[str, Any]] = field(default_factory=list)
    positions: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    are_events: list[bool] = field(default_factory=list)
    outbox: list[dict[str, Any]] = field(default_factory=list)
    nav_marks: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    marks: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    funds: dict[str, dict[str, Any]] = field(default_factory=dict)
    cash_moves: list[dict[str, Any]] = field(default_factory=list)

    def take(self, entries: Iterable[Entry]) -> None:
        """Add the rows of these entries, linked behind those before."""
        for entry in entries:
            _project(entry, self)
            for item, is_event in _linked(entry, self.head):
                self.links.append(item)
                self.are_events.append(is_event)
                self.head = item.head
                if item.kind == CASH_MOVED and entry.move is not None:
                    self.cash_moves.append({**move_row(entry.move), "sequence": item.sequence})

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Rows by the names of `sql.WRITES`, tables without rows left out."""
        tables: dict[str, list[dict[str, Any]]] = {
            "new_orders": [_known(columns) for columns in self.new_orders.values()],
            "moved_orders": list(self.moved_orders.values()),
            "fills": self.fills,
            "positions": list(self.positions.values()),
            "outbox": self.outbox,
            "nav_marks": list(self.nav_marks.values()),
            "marks": list(self.marks.values()),
            "funds": list(self.funds.values()),
            "cash_moves": self.cash_moves,
        }
        return {name: rows for name, rows in tables.items() if rows}

    def link_columns(self) -> list[Sequence[Any]]:
        """The links column by column, and which of them are events of orders that are kept: `sql.LINK_TYPES`."""
        columns = zip(*map(_LINK_FIELDS, self.links), strict=True) if self.links else [()] * _LINK_COLUMNS
        return [*columns, self.are_events]


def batch_of(entries: Iterable[Entry], head: Head) -> Batch:
    """The rows of `entries`, linked to the chain's `head`."""
    batch = Batch(head, head)
    batch.take(entries)
    return batch


def links_of(entry: Entry, head: Head) -> list[Link]:
    """The links of one entry alone, behind the chain's `head`."""
    return [item for item, _ in _linked(entry, head)]


def _linked(entry: Entry, head: Head) -> Iterator[tuple[Link, bool]]:
    for subject, kind, content, ts_ns, is_event in _facts(entry):
        item = link(head, subject, kind, canonical(content), ts_ns)
        head = item.head
        yield item, is_event


def _facts(entry: Entry) -> Iterator[tuple[str, str, dict[str, Any], int, bool]]:
    """(subject, kind, content, time, whether it is an event of a kept order) of all that goes on record."""
    if entry.opening_cash is not None:
        yield entry.fund_id, "fund_opened", {"opening_cash": format(entry.opening_cash, "f")}, entry.ts_ns, False
    for event in entry.events:
        yield order_id_of(event), EVENT_KINDS[type(event)], row(event), event.ts_ns, entry.order is not None
    if entry.nav is not None:
        yield entry.fund_id, "nav_marked", row(entry.nav), entry.ts_ns, False
    if entry.standing is not None:
        yield entry.fund_id, "standing_set", _standing(entry), entry.ts_ns, False
    if entry.move is not None:
        yield entry.fund_id, CASH_MOVED, row(entry.move), entry.ts_ns, False
    for note in entry.notes:
        yield note.subject_id, note.kind, dict(note.content), entry.ts_ns, False


def _known(columns: dict[str, Any]) -> dict[str, Any]:
    """Without what is null: half of an order's columns, and a column that does not arrive is null."""
    return {name: value for name, value in columns.items() if value is not None}


def _standing(entry: Entry) -> dict[str, Any]:
    assert entry.standing is not None
    return {
        "mode": entry.standing.mode.value,
        "latched": entry.standing.latched.value,
        "manual": entry.standing.manual.value,
        "throttled": sorted(entry.standing.throttled),
        "rearmed_nav": None if entry.rearmed is None else format(entry.rearmed[0], "f"),
        "by": entry.by,
        "why": entry.why,
    }


def _project(entry: Entry, batch: Batch) -> None:
    if entry.order is not None:
        columns = order_row(entry.order) if entry.is_new else moved_row(entry.order)
        if entry.is_new:
            columns["dedup_until"] = entry.order.created_ns + DEDUP_WINDOW_S * NS_PER_S
            columns["content"], columns["content_until"] = entry.content or (None, None)
            batch.new_orders[entry.order.order_id] = columns
        elif entry.order.order_id in batch.new_orders:
            batch.new_orders[entry.order.order_id] |= columns
        else:
            batch.moved_orders[entry.order.order_id] = columns
    batch.fills += [fill_row(event.fill) for event in entry.events if isinstance(event, OrderFilled)]
    if entry.position is not None:
        key = (entry.position.fund_id, entry.position.symbol)
        batch.positions[key] = position_row(entry.position, entry.ts_ns)
    batch.outbox += [{**row(item), "fund_id": entry.fund_id, "created_at": entry.ts_ns} for item in entry.outbox]
    if entry.nav is not None:
        mark = row(entry.nav)
        mark["timestamp"] = mark.pop("ts_ns")
        batch.nav_marks[(entry.fund_id, entry.nav.ts_ns)] = mark
        for symbol, price in entry.marks:
            known = {"fund_id": entry.fund_id, "symbol": symbol, "price": format(price, "f")}
            batch.marks[(entry.fund_id, symbol)] = {**known, "timestamp": entry.nav.ts_ns, "received_at": entry.ts_ns}
    _project_fund(entry, batch)


def _project_fund(entry: Entry, batch: Batch) -> None:
    nav, rearmed_at = entry.rearmed or (None, None)
    changes = {
        "cash": None if entry.cash is None else format(entry.cash, "f"),
        "report_sequence": entry.report_sequence,
        "mode": None if entry.standing is None else entry.standing.latched,
        "manual_mode": None if entry.standing is None else entry.standing.manual,
        "throttled": None if entry.standing is None else sorted(entry.standing.throttled),
        "rearmed_nav": None if nav is None else format(nav, "f"),
        "rearmed_at": rearmed_at,
        "rearmed_on": None if entry.rearmed is None else entry.ts_ns,
    }
    changes = {column: value for column, value in changes.items() if value is not None}
    if entry.opening_cash is not None or not changes:
        return
    fund = batch.funds.setdefault(entry.fund_id, {"fund_id": entry.fund_id, "report_sequence": 0})
    fund |= {**changes, "updated_at": entry.ts_ns}
