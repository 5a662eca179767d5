"""`mts mts1b-platform tail`, `mts mts1b-platform metric` (short: `mts platform ...`): where the time goes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from jobs.screen import screen
from mts1b.cli.options import AsJson, DataDir
from mts1b.config import Settings, load_settings
from mts1b.foundation.clock import NS_PER_MS, NS_PER_S, SystemClock, from_ns
from mts1b.foundation.errors import InputError, StackError

if TYPE_CHECKING:
    from mts1b.platform.eventbus.line import Line
    from mts1b.platform.telemetry.rollup import Ranked
    from mts1b.platform.telemetry.spans import Operation

T = TypeVar("T")

NAMES = ("mts1b-platform", "platform")
SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
SLOW_MS = 50.0

SlowOnly = Annotated[bool, typer.Option("--slow-only", help="Those that take at least --threshold-ms alone.")]
Threshold = Annotated[float, typer.Option("--threshold-ms", min=0, help="What slow means.")]
Service = Annotated[str | None, typer.Option("--service", help="Of this service alone.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="End after so many.")]
Seconds = Annotated[float | None, typer.Option("--seconds", min=0, help="End after so long.")]
Top = Annotated[int, typer.Option("--top", min=1, help="How many to show.")]
Since = Annotated[str, typer.Option("--since", help="How far back: 90s, 30m, 1h, 2d; whole minutes are counted.")]
By = Annotated[str, typer.Option("--by", help="p99, or total: the time they took together.")]


def register(app: typer.Typer) -> None:
    """Add the commands under both names."""
    for name in NAMES:
        group = typer.Typer(no_args_is_help=True, help="What every operation of every service takes.")
        group.command("tail")(tail)
        group.command("metric")(metric)
        app.add_typer(group, name=name, hidden=name != "platform")


def tail(
    slow_only: SlowOnly = False,
    threshold_ms: Threshold = SLOW_MS,
    service: Service = None,
    limit: Limit = None,
    seconds: Seconds = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Stream operations of all services as they end, with their trace; --json: one object a line. Ctrl-C ends it."""
    from mts1b.platform.telemetry.listening import Listening

    threshold_ns = int(threshold_ms * NS_PER_MS) if slow_only else 0

    async def follow(line: Line) -> None:
        listening = Listening(line, threshold_ns)
        await listening.start()
        if not as_json:
            what = f"operations of at least {threshold_ms:g} ms" if slow_only else "every operation"
            print(f"following {what}; Ctrl-C ends it", file=sys.stderr, flush=True)
        left = limit
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for operation in listening.operations():
                    if service is not None and operation.service != service:
                        continue
                    print(json.dumps(operation.to_json()) if as_json else told(operation), flush=True)
                    left = None if left is None else left - 1
                    if left == 0:
                        break
        if listening.missed or listening.unreadable:
            missed = (
                f"{listening.missed} operations were too many to follow, {listening.unreadable} messages unreadable"
            )
            print(f"warning: {missed}", file=sys.stderr)

    try:
        _with_line(load_settings(data_dir=data_dir), follow)
    except KeyboardInterrupt:
        return
    except BrokenPipeError:  # the reader has seen enough; nor may Python's own flush at the end meet it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def metric(
    top: Top = 10, since: Since = "1h", by: By = "p99", data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Rank the operations of all services: slowest p99 first, or most time together with `--by total`."""
    from mts1b.platform.telemetry.listening import rollups_since
    from mts1b.platform.telemetry.rollup import ranked

    since_ns = SystemClock().now_ns() - span_ns(since)
    rows = ranked(_with_line(load_settings(data_dir=data_dir), lambda line: rollups_since(line, since_ns)), top, by)
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
    elif rows:
        screen(highlight=False, markup=False).print(_table(rows))
    else:
        print(f"no operation in the last {since}")


def span_ns(text: str) -> int:
    """`1h`, `30m`, `90s`, `2d` in nanoseconds. InputError for anything else."""
    match = SPAN.fullmatch(text)
    if match is None:
        raise InputError("since", text, "is no length of time", "give 90s, 30m, 1h or 2d")
    return int(float(match.group(1)) * SECONDS[match.group(2)] * NS_PER_S)


def told(operation: Operation) -> str:
    """One operation as one line; what came from outside is shown escaped."""
    time = from_ns(operation.began_ns).strftime("%H:%M:%S.%f")[:-3]
    shown = json.dumps(dict(operation.attributes)) if operation.attributes else ""
    error = f"  failed: {operation.error}" if operation.error else ""
    took_ms = operation.duration_ns / NS_PER_MS
    plain = f"{operation.service:<12} {operation.name:<28}"
    return (
        f"{time} {_printable(plain)} {took_ms:>10.2f} ms  trace {operation.trace_id:032x}{_printable(error)}  {shown}"
    )


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _table(rows: list[Ranked]) -> Table:
    names = [Column(head, no_wrap=True) for head in ("service", "operation")]
    heads = ("count", "failed", "total s", "mean ms", "p50 ms", "p99 ms", "longest ms")
    numbers = [Column(head, justify="right", no_wrap=True) for head in heads]
    table = Table(*names, *numbers, box=SIMPLE_HEAD, padding=(0, 1))
    for row in rows:
        times = (row.mean_ms, row.p50_ms, row.p99_ms, row.longest_ms)
        counts = (f"{row.count:,}", str(row.failures or ""), f"{row.total_s:,.2f}")
        table.add_row(_printable(row.service), _printable(row.operation), *counts, *(f"{ms:,.2f}" for ms in times))
    return table


def _with_line(settings: Settings, ask: Callable[[Line], Awaitable[T]]) -> T:
    from mts1b.deploy.observation import observation

    watched = observation(settings)
    if not watched.bus:
        raise StackError("nats", str(settings.data_dir), "is not up", "run `mts up`")

    async def run() -> T:
        line = await watched.line("mts-platform")
        try:
            return await ask(line)
        finally:
            await line.close()

    return asyncio.run(run())
