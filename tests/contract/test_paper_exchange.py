"""The exchange as a real process: conformance, crashes, a token, a lock, a taken port."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from mts1b.brokers.paper.client import PaperBroker, PaperMarket
from mts1b.brokers.paper.endpoint import Endpoint
from mts1b.brokers.paper.matching import Rules
from mts1b.brokers.paper.process import ExchangeProcess
from mts1b.brokers.port import ReportKind, VenueAck, VenueReport
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.errors import StackError, VenueError, VenueTimeout
from mts1b.foundation.order import Terms
from mts1b.testing.broker_conformance import CASES, DAY_NS, PRICES, Case, Venue, kinds, take
from mts1b.testing.clock import SimulatedClock
from mts1b.testing.orders import make_order

CLOCK = SystemClock()


@asynccontextmanager
async def exchange(folder: Path, rules: Rules = Rules(), port: int | None = None) -> AsyncIterator[ExchangeProcess]:
    process = await ExchangeProcess.start(folder, rules, CLOCK, port)
    try:
        yield process
    finally:
        await process.stop()


@asynccontextmanager
async def venue_of(endpoint: Endpoint) -> AsyncIterator[Venue]:
    broker, market = PaperBroker(endpoint), PaperMarket(endpoint)
    try:
        yield Venue(broker, market)
    finally:
        await broker.close()
        await market.close()


def on_exchange(folder: Path, case: Callable[[Venue], Awaitable[None]], rules: Rules = Rules()) -> None:
    async def run() -> None:
        async with exchange(folder, rules) as process, venue_of(process.endpoint) as venue:
            await case(venue)

    asyncio.run(run())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_conformance(case: Case, tmp_path: Path) -> None:
    on_exchange(tmp_path, case)


def test_the_exchange_refuses_what_comes_too_late(tmp_path: Path) -> None:
    """Whoever looked at the clock, was stopped and sent then: its order arrives after its time, and is not taken."""

    async def run() -> None:
        async with exchange(tmp_path) as process:
            stopped = PaperBroker(process.endpoint, clock=SimulatedClock(0))
            late = make_order(1, send_by_ns=CLOCK.now_ns() - 1)
            for call in (stopped.submit, stopped.replace):
                with pytest.raises(VenueError, match="comes too late"):
                    await call(replace(late, wanted=Terms(1, Decimal(5))))
            assert await stopped.query(late.client_order_id) is None
            assert isinstance(await stopped.submit(replace(late, send_by_ns=CLOCK.now_ns() + 10**10)), VenueAck)
            await stopped.close()

    asyncio.run(run())


def test_nothing_is_lost_when_it_is_killed(tmp_path: Path) -> None:
    """Killed between submissions and again before the opening, it knows every order, and the stream goes on gapless."""

    async def run() -> None:
        seen: list[VenueReport] = []
        complete = asyncio.Event()
        async with exchange(tmp_path) as first:
            broker = PaperBroker(first.endpoint)

            async def listen_into() -> None:
                async for report in broker.reports():
                    seen.append(report)
                    if report.sequence == 40:
                        complete.set()

            listener = asyncio.create_task(listen_into())
            acks = [await broker.submit(make_order(number)) for number in range(20)]
            await first.kill()
            with pytest.raises((VenueError, VenueTimeout)):
                await broker.submit(make_order(99))
        async with exchange(tmp_path) as second:
            assert second.endpoint.url == first.endpoint.url
            assert [await broker.submit(make_order(number)) for number in range(20)] == acks
            assert await broker.query(make_order(99).client_order_id) is None
            market = PaperMarket(second.endpoint)
            last = await market.open_session(DAY_NS, PRICES)
            await second.kill()
        async with exchange(tmp_path) as third:
            async with asyncio.timeout(10):
                await complete.wait()
            await broker.close()
            await market.close()
            await listener
            async with venue_of(third.endpoint) as venue:
                assert await take(venue.broker, last) == seen
        assert [report.sequence for report in seen] == list(range(1, 41))
        assert kinds(seen) == [ReportKind.ACK] * 20 + [ReportKind.FILL] * 20

    asyncio.run(run())


def test_charges_by_its_rules(tmp_path: Path) -> None:
    async def case(venue: Venue) -> None:
        await venue.broker.submit(make_order(1))
        await venue.market.open_session(DAY_NS, PRICES)
        fill = (await take(venue.broker, 2))[1]
        assert fill.price == Decimal("101.2703")  # 101.25 * 1.0002 = 101.27025, rounded up to the tick
        assert fill.fee == Decimal("1.0127")  # 101.2703 * 100 / 10,000

    on_exchange(tmp_path, case, Rules(fee_bps=Decimal(1), slippage_bps=Decimal(2)))


def test_an_opening_may_be_repeated_but_not_go_back(tmp_path: Path) -> None:
    async def case(venue: Venue) -> None:
        await venue.broker.submit(make_order(1))
        assert await venue.market.open_session(DAY_NS, PRICES) == 2
        assert await venue.market.open_session(DAY_NS, PRICES) == 2
        with pytest.raises(VenueError, match="409"):
            await venue.market.open_session(DAY_NS - 1, PRICES)

    on_exchange(tmp_path, case)


BAD_REQUESTS = [
    ("POST", "/orders", b"{", 400),
    ("POST", "/orders", b"[]", 400),
    ("POST", "/orders", b'{"client_order_id": "a"}', 400),
    ("POST", "/session/open", b'{"ts_ns": "x", "prices": {}}', 400),
    ("POST", "/session/open", b'{"ts_ns": 1, "prices": {"A": 1.5}}', 400),
    ("POST", "/session/open", b'{"ts_ns": 1, "prices": {"A": "NaN"}}', 400),
    ("POST", "/session/open", b'{"ts_ns": 1, "prices": {"A": "1e999999"}}', 400),
    ("POST", "/session/quotes", b'{"ts_ns": 1, "prices": {}}', 409),
    ("GET", "/reports?after=-1", b"", 400),
    ("GET", "/orders/none", b"", 404),
    ("GET", "/nowhere", b"", 404),
]


def test_bad_requests_are_answered_and_change_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with exchange(tmp_path) as process:
            before = (tmp_path / "exchange.log").read_bytes()
            async with httpx.AsyncClient(base_url=process.endpoint.url, trust_env=False) as http:
                assert (await http.get("/status")).status_code == 401
                http.headers.update(process.endpoint.headers)
                for method, path, body, status in BAD_REQUESTS:
                    answer = await http.request(method, path, content=body)
                    assert answer.status_code == status, (path, answer.text)
                assert (await http.get("/status")).json() == {
                    "sequence": 0, "market_ns": 0, "is_open": False, "orders": 0, "working": 0,
                }  # fmt: skip
            assert (tmp_path / "exchange.log").read_bytes() == before

    asyncio.run(run())


def test_one_folder_one_exchange(tmp_path: Path) -> None:
    async def run() -> None:
        async with exchange(tmp_path):
            with pytest.raises(StackError, match="held by another exchange"):
                async with exchange(tmp_path):
                    pass

    asyncio.run(run())


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    async def run(port: int) -> None:
        with pytest.raises(StackError, match=str(port)):
            async with exchange(tmp_path, port=port):
                pass

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        asyncio.run(run(taken.getsockname()[1]))


def test_its_secrets_are_its_owners(tmp_path: Path) -> None:
    async def run() -> None:
        async with exchange(tmp_path / "x") as process:
            assert process.endpoint.token not in repr(process.endpoint)
            for name in ("exchange.json", "exchange.log"):
                assert (tmp_path / "x" / name).stat().st_mode & 0o077 == 0

    asyncio.run(run())


def test_no_exchange_no_order(tmp_path: Path) -> None:
    async def run() -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
        broker = PaperBroker(Endpoint(url, "token", 0))
        with pytest.raises(VenueError, match="cannot be reached"):
            await broker.submit(make_order(1))
        await broker.close()

    asyncio.run(run())


def test_silence_leaves_the_order_in_doubt() -> None:
    async def run() -> None:
        async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(2)
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        broker = PaperBroker(Endpoint(url, "token", 0), timeout_s=0.1)
        with pytest.raises(VenueTimeout):
            await broker.submit(make_order(1))
        await broker.close()
        server.close()

    asyncio.run(run())
