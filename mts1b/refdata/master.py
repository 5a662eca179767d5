"""Master data as they are stored, version by version, and as risk goes by them: what a table lacks, gates refuse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Protocol

from mts1b.foundation.clock import iso
from mts1b.foundation.errors import InputError
from mts1b.foundation.ids import FundId, Symbol
from mts1b.foundation.instrument import Instrument, Session
from mts1b.refdata.rows import ADV, BORROW, INSTRUMENTS, ROWS, AdvRow, BorrowRow, InstrumentRow, Row
from mts1b.riskengine.master import Borrow, MasterData, Reference

Windows = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class StoredTable:
    """One version of a whole table, as of a moment: loaded from `source`, `by` whom, `why` and when.

    `sessions`: opening hours, as (open, close) in UTC nanoseconds, of the sessions that instruments name.
    """

    kind: str
    version: int
    rows: tuple[Row, ...]
    as_of_ns: int
    source: str
    by: str
    why: str
    set_ns: int
    sessions: Mapping[str, Windows] = field(default_factory=dict)


class MasterPort(Protocol):
    """Where master data are kept."""

    async def newer(self, versions: Mapping[str, int]) -> list[StoredTable]:
        """The newest version of each table that is above the one in `versions`, which lacks tables never read."""
        ...


def merged(before: Sequence[Row], rows: Sequence[Row]) -> tuple[Row, ...]:
    """`before` with the rows of these keys given anew, in the order of keys."""
    found = {row.key: row for row in (*before, *rows)}
    return tuple(found[key] for key in sorted(found))


def checked_moment(as_of_ns: int, now_ns: int, before: StoredTable | None) -> int:
    """`as_of_ns`. InputError when it has not come yet, or when what is stored is newer."""
    if as_of_ns > now_ns:
        raise InputError("as_of", iso(as_of_ns), "has not come yet", "give the moment at which it was known")
    if before is not None and as_of_ns < before.as_of_ns:
        problem = f"is before version {before.version}, which is as of {iso(before.as_of_ns)}"
        raise InputError("as_of", iso(as_of_ns), problem, "load the newer file, or say --as-of")
    return as_of_ns


def document(rows: Iterable[Row], sessions: Mapping[str, Windows]) -> dict[str, Any]:
    """A table as plain values: exact numbers as texts, what is a default left out."""
    plain = [row.model_dump(mode="json", exclude_defaults=True) for row in rows]
    return {"rows": plain, "sessions": {name: [list(pair) for pair in windows] for name, windows in sessions.items()}}


def read_document(kind: str, content: Mapping[str, Any]) -> tuple[tuple[Row, ...], dict[str, Windows]]:
    """Rows and sessions of what `document` made."""
    rows = tuple(ROWS[kind].model_validate(row) for row in content["rows"])
    sessions = content["sessions"].items()
    return rows, {name: tuple((opens, closes) for opens, closes in windows) for name, windows in sessions}


def referred(reference: Reference, tables: Iterable[StoredTable], fund_id: FundId) -> Reference:
    """`reference` with these tables in the place of what it had of their kinds, as `fund_id` may use them."""
    for table in tables:
        reference = _with_table(reference, table, fund_id)
    return reference


def _with_table(reference: Reference, table: StoredTable, fund_id: FundId) -> Reference:
    master, versions = reference.master, {**reference.versions, table.kind: table.version}
    if table.kind == BORROW:
        return replace(reference, borrow=borrow_of(table.rows, fund_id), borrow_ns=table.as_of_ns, versions=versions)
    if table.kind == ADV:
        return replace(reference, master=replace(master, adv=adv_of(table.rows)), versions=versions)
    assert table.kind == INSTRUMENTS
    hours = {name: Session(name, windows) for name, windows in table.sessions.items()}
    master = MasterData(instruments_of(table.rows), master.adv, {**master.sessions, **hours})
    return replace(reference, master=master, versions=versions)


def instruments_of(rows: Iterable[Row]) -> dict[Symbol, Instrument]:
    """Instruments by their names."""
    told = (row.model_dump() for row in rows if isinstance(row, InstrumentRow))
    return {Symbol(one["symbol"]): Instrument(**one) for one in told}


def adv_of(rows: Iterable[Row]) -> dict[Symbol, Decimal]:
    """Average daily volume by name."""
    return {Symbol(row.symbol): row.adv for row in rows if isinstance(row, AdvRow)}


def borrow_of(rows: Iterable[Row], fund_id: FundId) -> dict[Symbol, Borrow]:
    """What the fund can borrow: its own rows before those of every fund, and none of another's."""
    listed = [row for row in rows if isinstance(row, BorrowRow) and row.fund in ("", fund_id)]
    return {
        Symbol(row.symbol): Borrow(row.quantity, row.rate, row.located, row.restricted)
        for row in sorted(listed, key=lambda row: bool(row.fund))
    }
