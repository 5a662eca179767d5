"""What a command must look like before the OMS looks at what it says. An order's own form is risk gate 2's business,
which puts its refusal on record; what is here is refused at the door, by field, value and remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from mts1b.foundation.commands import CancelAll, CancelOrder, ReplaceOrder, SubmitGroup, SubmitOrder
from mts1b.foundation.errors import InputError
from mts1b.riskengine.gates.schema import Amount, Text

Reason = Annotated[str, StringConstraints(max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")]

SHOWN_CHARACTERS_MAX = 100


class Form(BaseModel):
    """Strictly these types: no text passes for a number."""

    model_config = ConfigDict(strict=True, frozen=True, from_attributes=True, hide_input_in_errors=True)


class CancelForm(Form):
    order_id: Text
    reason: Reason


class ReplaceForm(Form):
    order_id: Text
    reason: Reason
    quantity: Amount | None
    limit_price: Amount | None
    stop_price: Amount | None


class CancelAllForm(Form):
    reason: Reason
    strategy_id: Text | None
    symbol: Text | None


FORMS: Mapping[type, type[Form] | None] = {
    SubmitOrder: None,
    SubmitGroup: None,
    CancelOrder: CancelForm,
    CancelAll: CancelAllForm,
    ReplaceOrder: ReplaceForm,
}


def require(command: object, kind: type) -> None:
    """InputError unless it is such a command, of the right form, under a key that can be written down."""
    if not isinstance(command, kind):
        raise InputError("command", shown(command), f"is no {kind.__name__}", f"give a {kind.__name__}")
    form = FORMS[kind]
    if form is not None:
        _fits(command, form)
    for order in _orders(command):
        _has_key(order)


def shown(value: object) -> str:
    """A value as an error may show it: on one line, in ASCII, cut off where nobody reads on."""
    return ascii(value)[:SHOWN_CHARACTERS_MAX]


def _fits(command: object, form: type[Form]) -> None:
    try:
        form.model_validate(command)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = str(first["loc"][0]) if first["loc"] else "command"
        raise InputError(field, shown(getattr(command, field, None)), "is malformed", str(first["msg"])) from None


def _orders(command: object) -> tuple[SubmitOrder, ...]:
    """The orders that a key is taken from; what is no order, its group is refused for."""
    found: tuple[Any, ...] = (command,)
    if isinstance(command, SubmitGroup):
        found = (command.entry, *(command.legs if isinstance(command.legs, tuple) else ()))
    return tuple(order for order in found if isinstance(order, SubmitOrder))


def _has_key(order: SubmitOrder) -> None:
    try:
        str(order.idempotency_key).encode()
    except UnicodeEncodeError:
        key = shown(order.idempotency_key)
        raise InputError("idempotency_key", key, "cannot be written down", "give printable text") from None
