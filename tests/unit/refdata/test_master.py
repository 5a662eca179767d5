"""Master data out of files: whole or not at all, the bad row named; and what a fund's risk makes of them."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from mts1b.cli.master import followed, read_moment
from mts1b.datalake import open_lake
from mts1b.foundation.clock import NS_PER_DAY, NS_PER_S
from mts1b.foundation.errors import DataError, InputError, MtsError
from mts1b.foundation.ids import FundId, Symbol
from mts1b.foundation.instrument import ALWAYS, Instrument
from mts1b.refdata.files import opening_hours, read_master
from mts1b.refdata.lake import from_lake
from mts1b.refdata.master import StoredTable, checked_moment, document, merged, read_document, referred
from mts1b.refdata.rows import ADV, BORROW, INSTRUMENTS, AdvRow, BorrowRow, InstrumentRow
from mts1b.riskengine import Borrow, Reference
from tests.unit.riskengine.books import FUND, MASTER, limits

A, B = Symbol("A"), Symbol("B")
HEADER = "symbol,tick,lot,currency,session,sector"
GOOD = "A,0.01,1,USD,XNYS,energy"
MOMENT_NS = 1_790_000_000 * NS_PER_S  # 2026-09-21


def file(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_file_of_instruments(tmp_path: Path) -> None:
    rows = read_master(INSTRUMENTS, file(tmp_path, HEADER, GOOD, "", '"B", 0.0001 ,10,EUR,always,""'))
    assert rows == (
        InstrumentRow(
            symbol="A", tick=Decimal("0.01"), lot=Decimal(1), currency="USD", session="XNYS", sector="energy"
        ),
        InstrumentRow(symbol="B", tick=Decimal("0.0001"), lot=Decimal(10), currency="EUR", session="always"),
    )
    hours = opening_hours(rows, MOMENT_NS)
    assert list(hours) == ["XNYS"] and all(opens < closes for opens, closes in hours["XNYS"])
    assert hours["XNYS"][0][0] <= MOMENT_NS and hours["XNYS"][-1][1] > MOMENT_NS + 380 * NS_PER_DAY


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("B,0,1,USD,always,", "tick", "0"),
        ("B,NaN,1,USD,always,", "tick", "NaN"),
        ("B,0.01,-1,USD,always,", "lot", "-1"),
        ("B,0.01,,USD,always,", "lot", None),
        ("B,0.01,1,usd,always,", "currency", "usd"),
        (",0.01,1,USD,always,", "symbol", None),
        ("B C,0.01,1,USD,always,", "symbol", "B C"),
        ("A,0.01,1,USD,always,", "symbol", "A"),
        ("B,1e-400000000,1,USD,always,", "tick", "1e-400000000"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_loaded(tmp_path: Path, line: str, name: str, value: str | None) -> None:
    with pytest.raises(DataError) as raised:
        read_master(INSTRUMENTS, file(tmp_path, HEADER, GOOD, line))
    assert (raised.value.field, raised.value.value) == (f"rows.csv, row 3, {name}", value)
    assert "nothing of the file was loaded" in raised.value.remedy


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ([], "symbol"),
        ([HEADER], "holds no rows"),
        ([HEADER, GOOD + ",more"], "row 2"),
        ([HEADER, '"A'], "cannot be read"),
        (["symbol,tick,lot,currency", "A,1,1,USD"], "session"),
        ([HEADER + ",sectr", GOOD + ",x"], "sectr"),
        ([HEADER + ",sector", GOOD + ",x"], "twice"),
        ([HEADER, "B,0,1,USD,always,", "C,0,1,USD,always,"], "1 more"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, lines: list[str], named: str) -> None:
    with pytest.raises(MtsError, match=named):
        read_master(INSTRUMENTS, file(tmp_path, *lines))


def test_a_session_that_no_exchange_has_is_refused(tmp_path: Path) -> None:
    rows = read_master(INSTRUMENTS, file(tmp_path, HEADER, "A,0.01,1,USD,NYSE?,"))
    with pytest.raises(InputError, match="session of A='NYSE\\?'"):
        opening_hours(rows, MOMENT_NS)


def test_parquet_numbers_are_exact(tmp_path: Path) -> None:
    path = tmp_path / "borrow.parquet"
    frame = {"symbol": ["A", "B"], "quantity": [1000, 0], "rate": [0.1, 0.0], "located": [None, 50.0]}
    pl.DataFrame({**frame, "restricted": [False, True]}).write_parquet(path)
    assert read_master(BORROW, path) == (
        BorrowRow(symbol="A", quantity=Decimal(1000), rate=Decimal("0.1")),
        BorrowRow(symbol="B", quantity=Decimal(0), rate=Decimal(0), located=Decimal(50), restricted=True),
    )
    with pytest.raises(DataError, match="adv"):
        read_master(ADV, path) if pl.DataFrame({"symbol": ["A"]}).write_parquet(path) is None else None
    pl.DataFrame({"symbol": ["A", "B"], "adv": [5.0, float("inf")]}).write_parquet(path)
    with pytest.raises(DataError, match="borrow.parquet, row 2, adv=inf"):
        read_master(ADV, path)


def stored(kind: str, *rows: InstrumentRow | AdvRow | BorrowRow, version: int = 1, **changes: object) -> StoredTable:
    made = StoredTable(kind, version, rows, MOMENT_NS, "rows.csv", "ann", "", MOMENT_NS)
    return replace(made, **changes)  # type: ignore[arg-type]


SHORT = BorrowRow(symbol="A", quantity=Decimal(100), rate=Decimal("0.01"))


def test_what_is_stored_reads_back_as_it_was() -> None:
    hours = {"XNYS": ((1, 2), (3, 4))}
    for kind, row in {
        INSTRUMENTS: InstrumentRow(symbol="A", tick=Decimal("1E-4"), lot=Decimal(1), currency="USD", session="XNYS"),
        ADV: AdvRow(symbol="A", adv=Decimal("12.5")),
        BORROW: SHORT.model_copy(update={"located": Decimal(0), "fund": "f"}),
    }.items():
        assert read_document(kind, json.loads(json.dumps(document([row], hours)))) == ((row,), hours)


def test_rows_replace_those_of_their_names() -> None:
    first, second = AdvRow(symbol="B", adv=Decimal(1)), AdvRow(symbol="B", adv=Decimal(2))
    other = AdvRow(symbol="A", adv=Decimal(3))
    assert merged([first], [second, other]) == (other, second)
    own = SHORT.model_copy(update={"fund": "f"})
    assert merged([SHORT], [own]) == (SHORT, own)


def test_stored_tables_take_the_place_of_what_was_handed_in() -> None:
    handed = Reference(limits(), 3, MASTER)
    row = InstrumentRow(symbol="A", tick=Decimal("0.05"), lot=Decimal(10), currency="USD", session="XNYS", sector="x")
    tables = [
        stored(INSTRUMENTS, row, version=2, sessions={"XNYS": ((1, 2),)}),
        stored(BORROW, SHORT, SHORT.model_copy(update={"quantity": Decimal(7), "fund": FUND})),
    ]
    after = referred(handed, tables, FUND)
    assert after.master.instruments == {A: Instrument(A, Decimal("0.05"), Decimal(10), "USD", "XNYS", "x")}
    assert after.master.adv == MASTER.adv and after.limits_version == 3
    assert after.master.sessions["XNYS"].windows == ((1, 2),) and after.master.sessions[ALWAYS.name] is ALWAYS
    assert after.borrow == {A: Borrow(Decimal(7), Decimal("0.01"))} and after.borrow_ns == MOMENT_NS
    assert after.versions == {INSTRUMENTS: 2, BORROW: 1}
    assert referred(handed, tables, FundId("other")).borrow == {A: Borrow(Decimal(100), Decimal("0.01"))}
    volumes = stored(ADV, AdvRow(symbol="B", adv=Decimal(9)))
    assert referred(after, [volumes], FUND).master.adv == {B: Decimal(9)}


def test_moments_run_forward() -> None:
    before = stored(BORROW, SHORT)
    assert checked_moment(MOMENT_NS, MOMENT_NS, before) == MOMENT_NS
    with pytest.raises(InputError, match="not come yet"):
        checked_moment(MOMENT_NS + 1, MOMENT_NS, None)
    with pytest.raises(InputError, match="before version 1"):
        checked_moment(MOMENT_NS - 1, MOMENT_NS, before)
    assert read_moment("2026-09-21") == read_moment("2026-09-21T02:00:00+02:00")
    with pytest.raises(InputError):
        read_moment("yesterday")


def test_the_lake_gives_volumes_and_the_newest_borrow_list(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    with pytest.raises(DataError):
        from_lake(ADV, tmp_path, 2)
    bars = {
        "symbol": ["A"] * 3 + ["B"] * 2,
        "ts": ["2026-09-16", "2026-09-17", "2026-09-18"] + ["2026-09-17", "2026-09-18"],
    }
    prices = {name: [10.0] * 5 for name in ("open", "high", "low", "close")}
    path = tmp_path / "bars.csv"
    pl.DataFrame({**bars, **prices, "volume": [1000, 100, 201, 0, 50]}).write_csv(path)
    lake.equities.bars.ingest(path, "daily")
    found = from_lake(ADV, tmp_path, 2)
    assert found.rows == (AdvRow(symbol="A", adv=Decimal(150)), AdvRow(symbol="B", adv=Decimal(50)))
    assert found.as_of_ns == read_moment("2026-09-18")
    times = [read_moment(day) // 1000 for day in ("2026-09-17", "2026-09-18", "2026-09-18")]
    known = pl.Series(times).cast(pl.Datetime("us", "UTC"))
    rows = {"symbol": ["C", "A", "B"], "ts": known, "known_ts": known, "rate": [0.01] * 3}
    lake.equities.borrow.write(pl.DataFrame({**rows, "available": [5, 10, 20], "easy": [True, True, False]}))
    listed = from_lake(BORROW, tmp_path, 2)
    assert [row.model_dump(include={"symbol", "quantity", "located"}) for row in listed.rows] == [
        {"symbol": "A", "quantity": 10, "located": None},
        {"symbol": "B", "quantity": 20, "located": 0},
    ]
    with pytest.raises(InputError, match="holds no instruments"):
        from_lake(INSTRUMENTS, tmp_path, 2)


def test_a_file_is_followed_past_one_that_is_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, loads, turns = file(tmp_path, "first"), list[str](), iter(["first", "bad", "bad", None, "second"])

    def wait(_: float) -> bool:
        text = next(turns, "end")
        if text is None:
            path.unlink()
        elif text != "end":
            path.write_text(text)
            os.utime(path, ns=(0, sum(text.encode())))
        return text == "end"

    def load() -> None:
        loads.append(path.read_text())
        if loads[-1] == "bad":
            raise DataError("row", 1, "is bad")

    os.utime(path, ns=(0, sum(b"first")))
    followed(path, load, wait)
    assert loads == ["bad", "second"] and "rows.csv is not loaded: row=1" in capsys.readouterr().err
