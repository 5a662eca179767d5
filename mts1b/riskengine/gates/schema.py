"""Gate 2: the command is well formed. Pydantic checks types and ranges, strictly: no text passes for a number; the
instrument says what prices and quantities come in."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.order import OrderType, Side, TimeInForce
from mts1b.riskengine.context import GateContext
from mts1b.riskengine.verdict import ACCEPTED, Verdict, refused

GATE = 2

Text = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
Amount = Annotated[Decimal, Field(gt=0, lt=Decimal(10) ** 15, max_digits=24, decimal_places=9, allow_inf_nan=False)]
YEAR_2262_NS = 2**63 - 1
VALUE_CHARACTERS_MAX = 100
"""Of a value that is refused, what goes on record."""


class OrderSchema(BaseModel):
    """What a SubmitOrder must look like: printable ids up to 64 characters, amounts above 0 with at most 9 places."""

    model_config = ConfigDict(strict=True, frozen=True, from_attributes=True, hide_input_in_errors=True)

    idempotency_key: Text
    fund_id: Text
    strategy_id: Text
    symbol: Text
    side: Side
    quantity: Amount
    reference_price: Amount
    decided_ns: Annotated[int, Field(ge=0, le=YEAR_2262_NS)]
    order_type: OrderType
    time_in_force: TimeInForce
    limit_price: Amount | None
    stop_price: Amount | None
    good_till_ns: Annotated[int, Field(ge=0, le=YEAR_2262_NS)] | None


def gate(command: SubmitOrder, context: GateContext) -> Verdict:
    """Refuse `malformed`, `wrong_fund`, `limit_price`, `stop_price`, `good_till`, `instrument_unknown`, `off_tick` or
    `off_lot`."""
    try:
        OrderSchema.model_validate(command)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "command"
        value = ascii(getattr(command, name, None))[:VALUE_CHARACTERS_MAX]
        return refused(GATE, "malformed", field=name, value=value, problem=first["msg"])
    if command.fund_id != context.state.fund_id:
        return refused(GATE, "wrong_fund", fund_id=command.fund_id, expected=context.state.fund_id)
    if (command.limit_price is not None) != command.order_type.has_limit:
        return refused(GATE, "limit_price", order_type=command.order_type, limit_price=command.limit_price)
    if (command.stop_price is not None) != command.order_type.has_stop:
        return refused(GATE, "stop_price", order_type=command.order_type, stop_price=command.stop_price)
    if (command.good_till_ns is not None) != (command.time_in_force is TimeInForce.GTD):
        time_in_force, until_ns = command.time_in_force, command.good_till_ns
        return refused(GATE, "good_till", time_in_force=time_in_force, good_till_ns=until_ns)
    return _on_grid(command, context)


def _on_grid(command: SubmitOrder, context: GateContext) -> Verdict:
    instrument = context.state.book.master.instruments.get(command.symbol)
    if instrument is None:
        return refused(GATE, "instrument_unknown", symbol=command.symbol)
    if command.quantity % instrument.lot:
        return refused(GATE, "off_lot", quantity=command.quantity, lot=instrument.lot)
    for price in (command.reference_price, command.limit_price, command.stop_price):
        if price is not None and price % instrument.tick:
            return refused(GATE, "off_tick", price=price, tick=instrument.tick)
    return ACCEPTED
