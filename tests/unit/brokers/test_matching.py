from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.brokers.paper import codec
from mts1b.brokers.paper.matching import (
    Cancel,
    CloseSession,
    Command,
    Exchange,
    OpenSession,
    OutOfTurn,
    PaperOrder,
    Place,
    Quote,
    Rules,
    SetRules,
    slipped,
)
from mts1b.brokers.port import ReportKind, VenueReport, VenueStatus
from mts1b.foundation.errors import InputError, InvariantBroken
from mts1b.foundation.ids import ClientOrderId, Symbol
from mts1b.foundation.order import OrderType, Side, TimeInForce

SYMBOLS = [Symbol("A"), Symbol("B")]
prices = st.decimals("0.0001", "1000", places=4)


def order(**changes: object) -> PaperOrder:
    values: dict[str, object] = {
        "client_order_id": ClientOrderId("m-1"),
        "symbol": Symbol("A"),
        "side": Side.BUY,
        "order_type": OrderType.MARKET,
        "time_in_force": TimeInForce.OPG,
        "quantity": Decimal(10),
    }
    return PaperOrder(**values | changes)  # type: ignore[arg-type]


def do(exchange: Exchange, command: Command) -> tuple[VenueReport, ...]:
    reports = exchange.decide(command)
    exchange.apply(command, reports)
    return reports


def quote(price: str) -> dict[Symbol, Decimal]:
    return {Symbol("A"): Decimal(price)}


LIMIT = {"order_type": OrderType.LIMIT, "limit_price": Decimal(100)}

OUTCOMES = [
    # time in force, order's changes, opening price, then what became of it at the opening and after the close
    (TimeInForce.OPG, {}, "99", ReportKind.FILL, VenueStatus.FILLED),
    (TimeInForce.OPG, LIMIT, "100", ReportKind.FILL, VenueStatus.FILLED),
    (TimeInForce.OPG, LIMIT, "100.0001", ReportKind.EXPIRE, VenueStatus.EXPIRED),
    (TimeInForce.DAY, LIMIT, "101", None, VenueStatus.EXPIRED),
    (TimeInForce.GTC, LIMIT, "101", None, VenueStatus.WORKING),
    (TimeInForce.DAY, {}, "99", ReportKind.FILL, VenueStatus.FILLED),
    (TimeInForce.GTC, {**LIMIT, "side": Side.SELL}, "101", ReportKind.FILL, VenueStatus.FILLED),
    (TimeInForce.GTC, {**LIMIT, "side": Side.SELL}, "99", None, VenueStatus.WORKING),
]


@pytest.mark.parametrize(("time_in_force", "changes", "price", "at_open", "at_end"), OUTCOMES)
def test_an_order_placed_before_the_opening(
    time_in_force: TimeInForce, changes: dict[str, object], price: str, at_open: ReportKind | None, at_end: VenueStatus
) -> None:
    exchange = Exchange()
    do(exchange, Place(order(time_in_force=time_in_force, **changes), 1))
    reports = do(exchange, OpenSession(10, quote(price)))
    assert [report.kind for report in reports] == ([at_open] if at_open else [])
    do(exchange, CloseSession(11))
    state = exchange.query(ClientOrderId("m-1"))
    assert state is not None and state.status is at_end


IN_SESSION = [
    (TimeInForce.IOC, {}, [ReportKind.ACK, ReportKind.FILL]),
    (TimeInForce.IOC, {**LIMIT, "limit_price": Decimal(98)}, [ReportKind.ACK, ReportKind.EXPIRE]),
    (TimeInForce.DAY, {}, [ReportKind.ACK, ReportKind.FILL]),
    (TimeInForce.DAY, {**LIMIT, "limit_price": Decimal(98)}, [ReportKind.ACK]),
    (TimeInForce.OPG, {}, [ReportKind.ACK]),
    (TimeInForce.DAY, {"symbol": Symbol("B")}, [ReportKind.ACK]),
]


@pytest.mark.parametrize(("time_in_force", "changes", "expected"), IN_SESSION)
def test_an_order_placed_within_the_session(
    time_in_force: TimeInForce, changes: dict[str, object], expected: list[ReportKind]
) -> None:
    exchange = Exchange()
    do(exchange, OpenSession(10, quote("99")))
    reports = do(exchange, Place(order(time_in_force=time_in_force, **changes), 1))
    assert [report.kind for report in reports] == expected


BAD = [
    {"quantity": Decimal(0)},
    {"quantity": Decimal(-1)},
    {"quantity": Decimal("1.5")},
    {"limit_price": Decimal(1)},
    {"order_type": OrderType.LIMIT},
    {**LIMIT, "limit_price": Decimal("1.00001")},
    {**LIMIT, "limit_price": Decimal(0)},
    {"time_in_force": TimeInForce.IOC},
]


@pytest.mark.parametrize("changes", BAD)
def test_a_bad_order_is_rejected(changes: dict[str, object]) -> None:
    exchange = Exchange()
    (report,) = do(exchange, Place(order(**changes), 1))
    assert report.kind is ReportKind.REJECT and report.reason
    assert not exchange.working


def test_sessions_run_forward() -> None:
    exchange = Exchange()
    with pytest.raises(OutOfTurn):
        exchange.decide(Quote(5, quote("1")))
    do(exchange, OpenSession(10, quote("1")))
    assert do(exchange, OpenSession(10, quote("1"))) == ()
    for command in (OpenSession(10, quote("2")), OpenSession(9, quote("1")), Quote(9, quote("1"))):
        with pytest.raises(OutOfTurn):
            exchange.decide(command)


def test_reports_must_follow() -> None:
    exchange = Exchange()
    command = Place(order(), 1)
    reports = exchange.decide(command)
    exchange.apply(command, reports)
    with pytest.raises(InvariantBroken):
        exchange.apply(command, reports)


@given(prices, st.sampled_from(Side), st.decimals(0, 500, places=1))
def test_slippage_is_against_the_order_and_on_the_tick(price: Decimal, side: Side, slippage_bps: Decimal) -> None:
    rules = Rules(slippage_bps=slippage_bps)
    paid = slipped(price, side, rules)
    assert paid % rules.tick == 0 and paid > 0
    assert paid >= price if side is Side.BUY else paid <= price
    assert abs(paid - price) <= price * slippage_bps / 10_000 + rules.tick


orders = st.builds(
    PaperOrder,
    client_order_id=st.sampled_from([ClientOrderId(f"m-{n}") for n in range(12)]),
    symbol=st.sampled_from(SYMBOLS),
    side=st.sampled_from(Side),
    order_type=st.sampled_from(OrderType),
    time_in_force=st.sampled_from(TimeInForce),
    quantity=st.decimals(-1, 100, places=0),
    limit_price=st.none() | prices,
)
tables = st.dictionaries(st.sampled_from(SYMBOLS), prices)
times = st.integers(0, 50)
commands = st.one_of(
    st.builds(Place, orders, times),
    st.builds(Cancel, st.sampled_from([ClientOrderId(f"m-{n}") for n in range(12)]), times),
    st.builds(OpenSession, times, tables),
    st.builds(Quote, times, tables),
    st.builds(CloseSession, times),
    st.builds(SetRules, st.builds(Rules, fee_bps=st.decimals(0, 10, places=1)), times),
)


@given(st.lists(commands, max_size=40))
def test_the_log_alone_gives_the_state_back(asked: list[Command]) -> None:
    """Whatever is asked: entries that go through JSON rebuild the same exchange, and nothing fills beyond its order."""
    live, entries = Exchange(), []
    for command in asked:
        try:
            reports = live.decide(command)
        except OutOfTurn:
            continue
        live.apply(command, reports)
        entries.append((codec.command_json(command), [codec.report_json(report) for report in reports]))
    rebuilt = Exchange()
    for stored, stored_reports in entries:
        rebuilt.apply(codec.read_command(stored), tuple(codec.read_report(report) for report in stored_reports))
    assert rebuilt == live
    assert [report.sequence for report in live.reports] == list(range(1, len(live.reports) + 1))
    for held in live.orders.values():
        assert 0 <= held.state.filled_quantity <= max(held.order.quantity, Decimal(0))
        assert codec.read_state(codec.state_json(held.state)) == held.state


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"do": "place", "ts_ns": 1},
        {"do": "dance", "ts_ns": 1},
        {"do": "open", "ts_ns": True, "prices": {}},
    ],
)
def test_unreadable_commands_name_the_field(data: object) -> None:
    with pytest.raises(InputError):
        codec.read_command(data)
