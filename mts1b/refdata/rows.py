"""Rows of master data as they are delivered: each is looked at, and the first that is wrong is named. All or none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mts1b.foundation.errors import DataError, unknown_name
from mts1b.foundation.instrument import ALWAYS, BASE_CURRENCY

INSTRUMENTS, ADV, BORROW = "instruments", "adv", "borrow"

Ticker = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
Above = Annotated[Decimal, Field(gt=0, lt=Decimal(10) ** 15, max_digits=24, allow_inf_nan=False)]
Amount = Annotated[Decimal, Field(ge=0, lt=Decimal(10) ** 15, max_digits=24, allow_inf_nan=False)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Label = Annotated[str, StringConstraints(max_length=100)]


class Row(BaseModel):
    """One row; what it does not say is the default, and what has none must be said."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    @property
    def key(self) -> tuple[str, ...]:
        """What no other row of the table shares."""
        return (str(self.symbol),)  # type: ignore[attr-defined]


class InstrumentRow(Row):
    """What a name trades in. `session`: `always`, or the code of an exchange's calendar, as XNYS."""

    symbol: Ticker
    tick: Above
    lot: Above
    currency: Currency
    session: Annotated[str, StringConstraints(min_length=1, max_length=20)]
    sector: Label = ""
    tradable: bool = True
    margin_rate: Annotated[Above, Field(le=10)] = Decimal(1)


class AdvRow(Row):
    """Average daily volume of a name, in its units."""

    symbol: Ticker
    adv: Above


class BorrowRow(Row):
    """What can be borrowed of a name: `quantity` at `rate` a year, as a fraction.

    `located`: how many are located; left out, the name needs no locate. `restricted`: a short-sale restriction is on.
    `fund`: whose it is; left out, every fund's that has no row of its own.
    """

    symbol: Ticker
    quantity: Amount
    rate: Annotated[Amount, Field(le=100)]
    located: Amount | None = None
    restricted: bool = False
    fund: Label = ""

    @property
    def key(self) -> tuple[str, ...]:
        return (self.symbol, self.fund)


ROWS: dict[str, type[Row]] = {INSTRUMENTS: InstrumentRow, ADV: AdvRow, BORROW: BorrowRow}
"""The tables of master data, and what a row of each is."""

EXAMPLES = {
    "tick": "0.01",
    "lot": "1",
    "currency": BASE_CURRENCY,
    "session": ALWAYS.name,
    "tradable": "true or false",
    "restricted": "true or false",
}
NOTHING_LOADED = "nothing of the file was loaded"


def checked_rows(kind: str, found: Iterable[tuple[int, Mapping[str, Any]]], label: str) -> tuple[Row, ...]:
    """The rows of a file, each with its number there. DataError names the first that is wrong, by field and value."""
    rows: list[Row] = []
    wrong: list[DataError] = []
    seen: dict[tuple[str, ...], int] = {}
    for number, values in found:
        try:
            row = _row(kind, number, values, label)
        except DataError as error:
            wrong.append(error)
            continue
        if (first := seen.setdefault(row.key, number)) != number:
            wrong.append(_wrong(label, number, "symbol", row.key[0], f"row {first} has it already", "keep one of them"))
        rows.append(row)
    if wrong:
        more = f" (and {len(wrong) - 1} more rows are wrong)" if len(wrong) > 1 else ""
        raise DataError(wrong[0].field, wrong[0].value, wrong[0].problem + more, wrong[0].remedy)
    if not rows:
        raise DataError("file", label, "holds no rows", f"its columns are {', '.join(ROWS[kind].model_fields)}")
    return tuple(rows)


def checked_columns(kind: str, columns: Sequence[str], label: str) -> None:
    """UnknownNameError for a column that is none of the table's; DataError for one that is needed and not there."""
    fields = ROWS[kind].model_fields
    for column in columns:
        if column not in fields:
            raise unknown_name("column", column, fields)
    for name, field in fields.items():
        if field.is_required() and name not in columns:
            raise DataError("file", label, f"has no column {name!r}", f"it holds: {', '.join(columns)}")


def _row(kind: str, number: int, values: Mapping[str, Any], label: str) -> Row:
    given = {name: value for name, value in values.items() if value is not None and value != ""}
    try:
        return ROWS[kind].model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = str(first["loc"][0])
        problem = "is missing" if first["type"] == "missing" else first["msg"]
        raise _wrong(label, number, name, given.get(name), problem, _remedy(name)) from None


def _remedy(name: str) -> str:
    return f"give it as {EXAMPLES[name]}" if name in EXAMPLES else "correct this row"


def _wrong(label: str, number: int, name: str, value: object, problem: str, remedy: str) -> DataError:
    return DataError(f"{label}, row {number}, {name}", value, problem, f"{remedy}; {NOTHING_LOADED}")
