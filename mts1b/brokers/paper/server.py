"""The exchange's HTTP and WebSocket. Every answer is given after what it says is on the disk.

    POST   /orders                 place; the same id and content again gives the same answer    -> ack or reject
    PUT    /orders/{id}            other terms for a working order, each revision once           -> ack or reject
    GET    /orders/{id}            the order's state with all its reports; 404 when unknown
    DELETE /orders/{id}            cancel                                                        -> ack or reject
    GET    /reports?after=N        reports above N, at most `limit` (1,000)
    WS     /reports?after=N        the same as they come, in frames of JSON arrays
    POST   /session/open           {ts_ns, prices}: the opening auction                          -> {sequence}
    POST   /session/quotes         {ts_ns, prices}: prices within the session                    -> {sequence}
    POST   /session/close          {ts_ns}: expires day orders                                   -> {sequence}
    GET    /status                 {sequence, market_ns, is_open, orders, working}

All need `Authorization: Bearer <token>`. 400: not readable. 401: wrong token. 409: makes no sense now. POST and PUT of
an order with `X-Send-By` (UTC nanoseconds) are refused with 409 when they arrive later: whoever sent them was stopped
in between, and may not speak for the fund any more.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable

from aiohttp import WSMsgType, web

from mts1b.brokers.paper import codec
from mts1b.brokers.paper.log import DurableLog
from mts1b.brokers.paper.matching import (
    Amend,
    Cancel,
    CloseSession,
    Command,
    Exchange,
    OpenSession,
    OutOfTurn,
    Place,
    Quote,
)
from mts1b.brokers.port import ReportKind, VenueAck, VenueReject, VenueReport
from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import InputError, StackError
from mts1b.foundation.ids import ClientOrderId

REPORTS_PER_FRAME_MAX = 1_000
BODY_BYTES_MAX = 4 << 20
HEARTBEAT_S = 15.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PaperServer:
    """The exchange on a log. `broken` is set when the log can no longer be written: the process must end."""

    def __init__(self, log: DurableLog, clock: Clock, token: str) -> None:
        self._log, self._clock, self._token = log, clock, token
        self.exchange = Exchange()
        for entry in log.entries:
            reports = tuple(codec.read_report(report) for report in entry["reports"])
            self.exchange.apply(codec.read_command(entry["command"]), reports)
        log.entries.clear()
        self._durable = len(self.exchange.reports)
        self._grown = asyncio.Condition()
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def record(self, command: Command) -> tuple[VenueReport, ...]:
        """Decide, apply and store; returns the reports once they are on the disk."""
        reports = self.exchange.decide(command)
        self.exchange.apply(command, reports)
        last = len(self.exchange.reports)
        entry = {"command": codec.command_json(command), "reports": [codec.report_json(r) for r in reports]}
        try:
            await self._log.append(entry)
        except StackError as error:
            if not self.broken.done():
                self.broken.set_exception(error)
            raise
        async with self._grown:
            self._durable = max(self._durable, last)
            self._grown.notify_all()
        return reports

    def application(self) -> web.Application:
        """The routes, behind the token."""
        app = web.Application(middlewares=[self._guard], client_max_size=BODY_BYTES_MAX)
        app.add_routes(
            [
                web.post("/orders", self._place),
                web.put("/orders/{id}", self._amend),
                web.get("/orders/{id}", self._query),
                web.delete("/orders/{id}", self._cancel),
                web.get("/reports", self._reports),
                web.post("/session/open", self._open),
                web.post("/session/quotes", self._quotes),
                web.post("/session/close", self._close),
                web.get("/status", self._status),
            ]
        )
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            return _problem(401, "a valid token is needed")
        try:
            return await handler(request)
        except json.JSONDecodeError as error:
            return _problem(400, f"not JSON: {error}")
        except OutOfTurn as error:
            return _problem(409, str(error))
        except InputError as error:
            return _problem(400, str(error))
        except StackError as error:
            return _problem(503, str(error))

    def _in_time(self, request: web.Request) -> None:
        send_by = request.headers.get("X-Send-By", "0")
        if not send_by.isdecimal():
            raise InputError("X-Send-By", send_by, "not a time", "give UTC nanoseconds")
        if 0 < int(send_by) < self._clock.now_ns():
            raise OutOfTurn("X-Send-By", send_by, "has passed: the request comes too late", "ask about the order")

    async def _amend(self, request: web.Request) -> web.Response:
        self._in_time(request)
        client_order_id = ClientOrderId(request.match_info["id"])
        terms, now_ns = codec.read_terms(await request.json()), self._clock.now_ns()
        held = self.exchange.orders.get(client_order_id)
        problem = self.exchange.amend_problem(client_order_id, terms)
        if held is None or (problem and terms.revision <= held.revision):
            return _json(codec.answer_json(VenueReject(client_order_id, problem, now_ns)))
        await self.record(Amend(client_order_id, terms, now_ns))
        await self._caught_up()
        if problem:
            return _json(codec.answer_json(VenueReject(client_order_id, problem, now_ns)))
        return _json(codec.answer_json(VenueAck(client_order_id, held.state.venue_order_id, now_ns)))

    async def _place(self, request: web.Request) -> web.Response:
        self._in_time(request)
        order = codec.read_order(await request.json())
        if order.client_order_id in self.exchange.orders:
            self.exchange.decide(Place(order, 0))  # 409 when the id names another order
            await self._caught_up()
        else:
            await self.record(Place(order, self._clock.now_ns()))
        state = self.exchange.orders[order.client_order_id]
        first = state.state.reports[0]
        if first.kind is ReportKind.REJECT:
            return _json(codec.answer_json(VenueReject(order.client_order_id, first.reason, first.ts_ns)))
        return _json(codec.answer_json(VenueAck(order.client_order_id, first.venue_order_id, first.ts_ns)))

    async def _query(self, request: web.Request) -> web.Response:
        state = self.exchange.query(ClientOrderId(request.match_info["id"]))
        if state is None:
            return _problem(404, "unknown order")
        await self._caught_up()
        return _json(codec.state_json(state))

    async def _cancel(self, request: web.Request) -> web.Response:
        client_order_id = ClientOrderId(request.match_info["id"])
        now_ns = self._clock.now_ns()
        held = self.exchange.orders.get(client_order_id)
        if held is None:
            return _json(codec.answer_json(VenueReject(client_order_id, "unknown order", now_ns)))
        if client_order_id not in self.exchange.working:
            await self._caught_up()
            reason = f"already {held.state.status}"
            return _json(codec.answer_json(VenueReject(client_order_id, reason, now_ns)))
        await self.record(Cancel(client_order_id, now_ns))
        return _json(codec.answer_json(VenueAck(client_order_id, held.state.venue_order_id, now_ns)))

    async def _open(self, request: web.Request) -> web.Response:
        data = await request.json()
        return await self._advance(
            OpenSession(codec.read(data, "ts_ns", codec.whole), codec.read(data, "prices", codec.prices))
        )

    async def _quotes(self, request: web.Request) -> web.Response:
        data = await request.json()
        return await self._advance(
            Quote(codec.read(data, "ts_ns", codec.whole), codec.read(data, "prices", codec.prices))
        )

    async def _close(self, request: web.Request) -> web.Response:
        return await self._advance(CloseSession(codec.read(await request.json(), "ts_ns", codec.whole)))

    async def _advance(self, command: Command) -> web.Response:
        await self.record(command)
        return _json({"sequence": self._durable})

    async def _status(self, _request: web.Request) -> web.Response:
        exchange = self.exchange
        return _json(
            {
                "sequence": self._durable,
                "market_ns": exchange.market_ns,
                "is_open": exchange.is_open,
                "orders": len(exchange.orders),
                "working": len(exchange.working),
            }
        )

    async def _reports(self, request: web.Request) -> web.StreamResponse:
        after = _count(request, "after", 0)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._stream(request, after)
        limit = min(_count(request, "limit", REPORTS_PER_FRAME_MAX), REPORTS_PER_FRAME_MAX)
        return _json([codec.report_json(report) for report in self._durable_reports(after, limit)])

    async def _stream(self, request: web.Request, after: int) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S)
        await socket.prepare(request)
        sender = asyncio.create_task(self._send_reports(socket, after))
        try:
            async for message in socket:  # the client says nothing; this notices that it left
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            sender.cancel()
            await asyncio.wait([sender])
        return socket

    async def _send_reports(self, socket: web.WebSocketResponse, after: int) -> None:
        while not socket.closed:
            await self._durable_to(after + 1)
            frame = self._durable_reports(after, REPORTS_PER_FRAME_MAX)
            await socket.send_str(json.dumps([codec.report_json(report) for report in frame]))
            after = frame[-1].sequence

    def _durable_reports(self, after: int, limit: int) -> list[VenueReport]:
        return self.exchange.reports[after : min(after + limit, self._durable)]

    async def _caught_up(self) -> None:
        """Waits until all that is in memory now is on the disk, so that no answer runs ahead of it."""
        await self._durable_to(len(self.exchange.reports))

    async def _durable_to(self, sequence: int) -> None:
        async with self._grown:
            await self._grown.wait_for(lambda: self._durable >= sequence)


def _count(request: web.Request, name: str, default: int) -> int:
    value = request.query.get(name, str(default))
    if not value.isdecimal():
        raise InputError(name, value, "not a count", f"give {name} as a whole number from 0")
    return int(value)


def _json(data: object, status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(data), content_type="application/json", status=status)


def _problem(status: int, problem: str) -> web.Response:
    return _json({"problem": problem}, status)


async def serve(server: PaperServer, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Listen; port 0 takes a free one. Returns the runner (call its `cleanup`) and the port.

    StackError when the port is taken.
    """
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise StackError("port", port, error.strerror or "cannot listen", "choose a free port") from None
    return runner, runner.addresses[0][1]
