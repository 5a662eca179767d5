"""The broker port on the paper exchange: HTTP for questions, a WebSocket for reports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Any

import aiohttp

from mts1b.brokers.paper import codec
from mts1b.brokers.paper.endpoint import Endpoint
from mts1b.brokers.paper.matching import PaperOrder
from mts1b.brokers.port import VenueAck, VenueOrderState, VenueReject, VenueReport
from mts1b.foundation.clock import Clock, SystemClock
from mts1b.foundation.errors import InputError, VenueError, VenueTimeout
from mts1b.foundation.ids import ClientOrderId, Symbol
from mts1b.foundation.limits import BROKER_TIMEOUT_S, CONNECT_TIMEOUT_S, ORDERS_IN_FLIGHT_MAX
from mts1b.foundation.order import Order

RECONNECT_FIRST_S = 0.02
RECONNECT_MAX_S = 1.0
FRAME_BYTES_MAX = 4 << 20

_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class PaperHttp:
    """Questions to the exchange over a pool of kept connections, made when it is first asked.

    VenueError: the request never left, or makes no sense. VenueTimeout: it left and no whole answer came back.

    On aiohttp, which the WebSocket needs anyway: measured here, a request costs it 0.17 ms of processor time and httpx
    1.3 ms, most of a broker's share of the latency budget on a busy machine.
    """

    def __init__(self, endpoint: Endpoint, timeout_s: float = BROKER_TIMEOUT_S, clock: Clock | None = None) -> None:
        self._endpoint, self._timeout_s, self._clock = endpoint, timeout_s, clock or SystemClock()
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, method: str, path: str, body: object = None, send_by_ns: int = 0) -> Any:
        """The answer's JSON; None when the exchange says 404. VenueError when `send_by_ns` (not 0) has passed."""
        url, data = self._endpoint.url + path, None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        if send_by_ns:
            headers["X-Send-By"] = str(send_by_ns)
            if self._clock.now_ns() > send_by_ns:
                raise VenueError("venue", "paper", "the order was to leave earlier: not sent", "ask about the order")
        try:
            async with self._pool().request(method, url, data=data, headers=headers) as answer:
                status, content = answer.status, await answer.read()
        except _NOT_SENT as error:
            raise VenueError("venue", "paper", f"cannot be reached: {error}", "is the paper exchange up?") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise VenueTimeout("venue", "paper", f"no answer: {type(error).__name__}", "query the order") from None
        if status == 404:
            return None
        if status >= 500:
            raise VenueTimeout("venue", "paper", f"answered {status}", "query the order")
        if status >= 400:
            raise VenueError("venue", "paper", f"answered {status}: {content.decode(errors='replace')}", "see above")
        try:
            return json.loads(content)
        except ValueError:
            raise VenueTimeout("venue", "paper", "answered no JSON", "query the order") from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._endpoint.headers,
                connector=aiohttp.TCPConnector(limit=2 * ORDERS_IN_FLIGHT_MAX),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s, connect=self._timeout_s),
            )
        return self._session


class PaperBroker:
    """`mts1b.brokers.port.Broker` on the paper exchange. Use it from one event loop."""

    def __init__(self, endpoint: Endpoint, timeout_s: float = BROKER_TIMEOUT_S, clock: Clock | None = None) -> None:
        self._endpoint = endpoint
        self._http = PaperHttp(endpoint, timeout_s, clock)
        self._closed = asyncio.Event()
        self._sockets: set[aiohttp.ClientWebSocketResponse] = set()

    async def submit(self, order: Order) -> VenueAck | VenueReject:
        answer = await self._http.ask("POST", "/orders", codec.order_json(paper_order(order)), order.send_by_ns)
        return _read(codec.read_answer, answer, order.client_order_id)

    async def replace(self, order: Order) -> VenueAck | VenueReject:
        if order.wanted is None:
            raise InputError("order", order.order_id, "wants no other terms", "set `wanted`")
        body = codec.terms_json(order.wanted)
        answer = await self._http.ask("PUT", f"/orders/{order.client_order_id}", body, order.send_by_ns)
        return _read(codec.read_answer, answer, order.client_order_id)

    async def cancel(self, client_order_id: ClientOrderId) -> VenueAck | VenueReject:
        answer = await self._http.ask("DELETE", f"/orders/{client_order_id}")
        return _read(codec.read_answer, answer, client_order_id)

    async def query(self, client_order_id: ClientOrderId) -> VenueOrderState | None:
        answer = await self._http.ask("GET", f"/orders/{client_order_id}")
        return None if answer is None else _read(codec.read_state, answer)

    async def reports(self, after: int = 0) -> AsyncIterator[VenueReport]:
        """As the port says. A lost connection is taken up again after the last report seen."""
        wait_s, waited_s = RECONNECT_FIRST_S, 0.0
        while not self._closed.is_set():
            try:
                async for report in self._stream(after):
                    if report.sequence <= after:
                        continue
                    if report.sequence != after + 1:
                        raise VenueError("sequence", report.sequence, f"expected {after + 1}", "reconcile")
                    after, wait_s, waited_s = report.sequence, RECONNECT_FIRST_S, 0.0
                    yield report
            except (aiohttp.ClientError, TimeoutError) as error:
                if waited_s >= CONNECT_TIMEOUT_S:
                    raise VenueError("venue", "paper", f"stays away: {error}", "is the exchange up?") from None
            if await self._closes_within(wait_s):
                return
            wait_s, waited_s = min(2 * wait_s, RECONNECT_MAX_S), waited_s + wait_s

    async def close(self) -> None:
        self._closed.set()
        for socket in list(self._sockets):
            await socket.close()
        await self._http.close()

    async def _stream(self, after: int) -> AsyncIterator[VenueReport]:
        """The reports of one connection, until it ends or the broker closes."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
        async with (
            aiohttp.ClientSession(headers=self._endpoint.headers, timeout=timeout) as session,
            session.ws_connect(
                f"{self._endpoint.url}/reports", params={"after": after}, heartbeat=15.0, max_msg_size=FRAME_BYTES_MAX
            ) as socket,
        ):
            self._sockets.add(socket)
            try:
                async for message in socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        return
                    for data in json.loads(message.data):
                        yield _read(codec.read_report, data)
            finally:
                self._sockets.discard(socket)

    async def _closes_within(self, wait_s: float) -> bool:
        try:
            await asyncio.wait_for(self._closed.wait(), wait_s)
        except TimeoutError:
            return False
        return True


class PaperMarket:
    """What moves the exchange's market: sessions and prices. Belongs to the feed, not to the trader."""

    def __init__(self, endpoint: Endpoint, timeout_s: float = BROKER_TIMEOUT_S) -> None:
        self._http = PaperHttp(endpoint, timeout_s)

    async def open_session(self, ts_ns: int, prices: Mapping[Symbol, Decimal]) -> int:
        """Hold the opening auction; returns the venue's last report sequence. Repeating it changes nothing."""
        return await self._advance("open", {"ts_ns": ts_ns, "prices": codec.prices_json(prices)})

    async def quote(self, ts_ns: int, prices: Mapping[Symbol, Decimal]) -> int:
        """New prices within the session; returns the venue's last report sequence."""
        return await self._advance("quotes", {"ts_ns": ts_ns, "prices": codec.prices_json(prices)})

    async def close_session(self, ts_ns: int) -> int:
        """End the session: day orders expire. Returns the venue's last report sequence."""
        return await self._advance("close", {"ts_ns": ts_ns})

    async def market_ns(self) -> int:
        """The time of the last session's opening, quote or close; 0 before the first."""
        return _read(codec.read, await self._http.ask("GET", "/status"), "market_ns", codec.whole)

    async def close(self) -> None:
        await self._http.close()

    async def _advance(self, what: str, body: codec.Json) -> int:
        answer = await self._http.ask("POST", f"/session/{what}", body)
        return _read(codec.read, answer, "sequence", codec.whole)


def paper_order(order: Order) -> PaperOrder:
    """What of our order the exchange is told."""
    return PaperOrder(
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        quantity=order.quantity,
        limit_price=order.limit_price,
        stop_price=order.stop_price,
        good_till_ns=order.good_till_ns,
    )


def _read(reader: Any, data: object, *rest: Any) -> Any:
    """Nonsense from the venue is the venue's fault, not the user's."""
    try:
        return reader(data, *rest)
    except InputError as error:
        raise VenueError("venue", "paper", f"answered nonsense: {error}", "see the exchange's log") from None
