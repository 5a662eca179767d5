"""The exchange as a process: `python -m mts1b.brokers.paper --folder DIR`. SIGTERM or SIGINT ends it."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from mts1b.brokers.paper.endpoint import LOG_FILE, Endpoint, kept_port, kept_token, write_endpoint
from mts1b.brokers.paper.log import DurableLog
from mts1b.brokers.paper.matching import Rules, SetRules
from mts1b.brokers.paper.server import PaperServer, serve
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.errors import MtsError, StackError
from mts1b.platform.loaded import keep_loaded


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mts1b.brokers.paper", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="its log and its endpoint file lie here")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=None, help="default: that of the last run, else a free one")
    parser.add_argument("--fee-bps", type=Decimal, default=Decimal(0))
    parser.add_argument("--slippage-bps", type=Decimal, default=Decimal(0))
    parser.add_argument("--end-with-parent", action="store_true", help="end when standard input closes")
    return parser.parse_args(arguments)


async def run(options: argparse.Namespace, log: DurableLog, token: str, last_port: int) -> None:
    """Serve until told to end. StackError when the port is taken or the log can no longer be written."""
    clock = SystemClock()
    server = PaperServer(log, clock, token)
    rules = Rules(fee_bps=options.fee_bps, slippage_bps=options.slippage_bps)
    if server.exchange.rules != rules:
        await server.record(SetRules(rules, clock.now_ns()))
    try:
        runner, port = await serve(server, options.host, last_port if options.port is None else options.port)
    except StackError:
        if options.port is not None:
            raise
        runner, port = await serve(server, options.host, 0)  # somebody took the last run's port: any other will do
    endpoint = Endpoint(f"http://{options.host}:{port}", token, os.getpid())
    await asyncio.to_thread(write_endpoint, options.folder, endpoint)
    keep_loaded()
    try:
        await until_told(server, options.end_with_parent)
    finally:
        await runner.cleanup()


async def until_told(server: PaperServer, end_with_parent: bool) -> None:
    """Returns on a signal or when the parent is gone; raises what broke the server."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    waits: list[asyncio.Future[object]] = [asyncio.ensure_future(told.wait()), asyncio.ensure_future(server.broken)]
    if end_with_parent:
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        waits.append(asyncio.ensure_future(reader.read()))
    done, rest = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in rest:
        wait.cancel()
    for wait in done:
        wait.result()


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 when told to end, 2 with one line on stderr when it cannot go on."""
    options = read_arguments(arguments)
    try:
        options.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = DurableLog(options.folder / LOG_FILE)
        asyncio.run(run(options, log, kept_token(options.folder), kept_port(options.folder)))
        log.close()
    except MtsError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: folder={str(options.folder)!r}: {error.strerror}; choose a writable one", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
