"""The exchange's JSON, the same on its wire and in its log. Decimals and nothing else travel as text.

`read_*` raise InputError naming the field that is missing or wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from mts1b.brokers.paper.matching import (
    Amend,
    Cancel,
    CloseSession,
    Command,
    OpenSession,
    PaperOrder,
    Place,
    Quote,
    Rules,
    SetRules,
)
from mts1b.brokers.port import ReportKind, VenueAck, VenueOrderState, VenueReject, VenueReport, VenueStatus
from mts1b.foundation.errors import InputError
from mts1b.foundation.ids import ClientOrderId, FillId, Symbol, VenueOrderId
from mts1b.foundation.order import OrderType, Side, Terms, TimeInForce

Json = dict[str, Any]
T = TypeVar("T")

DIGITS_MAX, PLACES_MAX = 15, 12
"""Bounds of a decimal on the wire: more than any price or quantity needs, little enough for exact products."""


def read(data: object, name: str, kind: Callable[[Any], T]) -> T:
    """The field `name` of a JSON object, through `kind`."""
    if not isinstance(data, Mapping):
        raise InputError("body", type(data).__name__, "not a JSON object", "send an object")
    if name not in data:
        raise InputError(name, None, "missing", f"give {name}")
    try:
        return kind(data[name])
    except (ValueError, TypeError, InvalidOperation, KeyError):
        raise InputError(name, data[name], "not readable", f"give a valid {name}") from None


def read_later(data: object, name: str, kind: Callable[[Any], T]) -> T | None:
    """The field `name`, which entries written by an older exchange do not have."""
    return read(data, name, kind) if isinstance(data, Mapping) and data.get(name) is not None else None


def decimal(value: object) -> Decimal:
    """A Decimal below 1e15 with at most 12 places, from its text; a JSON number has been a float somewhere."""
    if not isinstance(value, str):
        raise ValueError("decimals travel as text")
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError("not finite")
    if number.adjusted() >= DIGITS_MAX or int(number.as_tuple().exponent) < -PLACES_MAX:
        raise ValueError("too large or too fine")
    return number


def optional_decimal(value: object) -> Decimal | None:
    return None if value is None else decimal(value)


def whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("not an integer")
    return value


def text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("not a text")
    return value


def prices(value: object) -> dict[Symbol, Decimal]:
    if not isinstance(value, Mapping):
        raise ValueError("not an object")
    return {Symbol(text(name)): decimal(price) for name, price in value.items()}


def order_json(order: PaperOrder) -> Json:
    return {
        "client_order_id": order.client_order_id,
        "symbol": order.symbol,
        "side": order.side.value,
        "order_type": order.order_type.value,
        "time_in_force": order.time_in_force.value,
        "quantity": str(order.quantity),
        "limit_price": None if order.limit_price is None else str(order.limit_price),
        "stop_price": None if order.stop_price is None else str(order.stop_price),
        "good_till_ns": order.good_till_ns,
    }


def terms_json(terms: Terms) -> Json:
    return {
        "revision": terms.revision,
        "quantity": str(terms.quantity),
        "limit_price": None if terms.limit_price is None else str(terms.limit_price),
        "stop_price": None if terms.stop_price is None else str(terms.stop_price),
    }


def read_terms(data: object) -> Terms:
    return Terms(
        revision=read(data, "revision", whole),
        quantity=read(data, "quantity", decimal),
        limit_price=read(data, "limit_price", optional_decimal),
        stop_price=read(data, "stop_price", optional_decimal),
    )


def read_order(data: object) -> PaperOrder:
    return PaperOrder(
        client_order_id=ClientOrderId(read(data, "client_order_id", text)),
        symbol=Symbol(read(data, "symbol", text)),
        side=read(data, "side", Side),
        order_type=read(data, "order_type", OrderType),
        time_in_force=read(data, "time_in_force", TimeInForce),
        quantity=read(data, "quantity", decimal),
        limit_price=read(data, "limit_price", optional_decimal),
        stop_price=read_later(data, "stop_price", decimal),
        good_till_ns=read_later(data, "good_till_ns", whole),
    )


def report_json(report: VenueReport) -> Json:
    return {
        "sequence": report.sequence,
        "kind": report.kind.value,
        "client_order_id": report.client_order_id,
        "venue_order_id": report.venue_order_id,
        "ts_ns": report.ts_ns,
        "fill_id": report.fill_id,
        "quantity": str(report.quantity),
        "price": str(report.price),
        "fee": str(report.fee),
        "reason": report.reason,
        "terms": None if report.terms is None else terms_json(report.terms),
    }


def read_report(data: object) -> VenueReport:
    return VenueReport(
        sequence=read(data, "sequence", whole),
        kind=read(data, "kind", ReportKind),
        client_order_id=ClientOrderId(read(data, "client_order_id", text)),
        venue_order_id=VenueOrderId(read(data, "venue_order_id", text)),
        ts_ns=read(data, "ts_ns", whole),
        fill_id=read(data, "fill_id", lambda value: None if value is None else FillId(text(value))),
        quantity=read(data, "quantity", decimal),
        price=read(data, "price", decimal),
        fee=read(data, "fee", decimal),
        reason=read(data, "reason", str),
        terms=read_later(data, "terms", read_terms),
    )


def state_json(state: VenueOrderState) -> Json:
    return {
        "client_order_id": state.client_order_id,
        "venue_order_id": state.venue_order_id,
        "status": state.status.value,
        "quantity": str(state.quantity),
        "filled_quantity": str(state.filled_quantity),
        "reason": state.reason,
        "reports": [report_json(report) for report in state.reports],
        "symbol": state.symbol,
        "side": state.side,
    }


def read_state(data: object) -> VenueOrderState:
    return VenueOrderState(
        client_order_id=ClientOrderId(read(data, "client_order_id", text)),
        venue_order_id=VenueOrderId(read(data, "venue_order_id", text)),
        status=read(data, "status", VenueStatus),
        quantity=read(data, "quantity", decimal),
        filled_quantity=read(data, "filled_quantity", decimal),
        reason=read(data, "reason", str),
        reports=tuple(read_report(report) for report in read(data, "reports", list)),
        symbol=read_later(data, "symbol", lambda value: Symbol(text(value))),
        side=read_later(data, "side", Side),
    )


def answer_json(answer: VenueAck | VenueReject) -> Json:
    if isinstance(answer, VenueAck):
        return {"ack": {"venue_order_id": answer.venue_order_id, "ts_ns": answer.ts_ns}}
    return {"reject": {"reason": answer.reason, "ts_ns": answer.ts_ns}}


def read_answer(data: object, client_order_id: ClientOrderId) -> VenueAck | VenueReject:
    if isinstance(data, Mapping) and "ack" in data:
        ack = read(data, "ack", dict)
        return VenueAck(client_order_id, VenueOrderId(read(ack, "venue_order_id", text)), read(ack, "ts_ns", whole))
    reject = read(data, "reject", dict)
    return VenueReject(client_order_id, read(reject, "reason", str), read(reject, "ts_ns", whole))


def rules_json(rules: Rules) -> Json:
    return {name: str(getattr(rules, name)) for name in ("fee_bps", "slippage_bps", "tick", "lot")}


def read_rules(data: object) -> Rules:
    return Rules(**{name: read(data, name, decimal) for name in ("fee_bps", "slippage_bps", "tick", "lot")})


def prices_json(values: Mapping[Symbol, Decimal]) -> Json:
    return {symbol: str(price) for symbol, price in values.items()}


def command_json(command: Command) -> Json:
    """A command as the log keeps it."""
    match command:
        case SetRules(rules, ts_ns):
            return {"do": "rules", "rules": rules_json(rules), "ts_ns": ts_ns}
        case Place(order, ts_ns):
            return {"do": "place", "order": order_json(order), "ts_ns": ts_ns}
        case Cancel(client_order_id, ts_ns):
            return {"do": "cancel", "client_order_id": client_order_id, "ts_ns": ts_ns}
        case Amend(client_order_id, terms, ts_ns):
            found = terms_json(terms)
            return {"do": "amend", "client_order_id": client_order_id, "terms": found, "ts_ns": ts_ns}
        case OpenSession(ts_ns, values):
            return {"do": "open", "ts_ns": ts_ns, "prices": prices_json(values)}
        case Quote(ts_ns, values):
            return {"do": "quote", "ts_ns": ts_ns, "prices": prices_json(values)}
        case CloseSession(ts_ns):
            return {"do": "close", "ts_ns": ts_ns}


def read_command(data: object) -> Command:
    ts_ns = read(data, "ts_ns", whole)
    match read(data, "do", text):
        case "rules":
            return SetRules(read(data, "rules", read_rules), ts_ns)
        case "place":
            return Place(read(data, "order", read_order), ts_ns)
        case "cancel":
            return Cancel(ClientOrderId(read(data, "client_order_id", text)), ts_ns)
        case "amend":
            return Amend(ClientOrderId(read(data, "client_order_id", text)), read(data, "terms", read_terms), ts_ns)
        case "open":
            return OpenSession(ts_ns, read(data, "prices", prices))
        case "quote":
            return Quote(ts_ns, read(data, "prices", prices))
        case "close":
            return CloseSession(ts_ns)
        case other:
            raise InputError("do", other, "unknown command", "use rules, place, cancel, amend, open, quote or close")
