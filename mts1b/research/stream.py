"""One combination over a history of any length, from the lake to its metrics, in bounded memory.

The stored parts go by in order of time; the bars of a few names at a time are read and decided on by two and more
threads, each as soon as the same names' bars before are done. Sums over names are taken in the order of the files, so
the result does not depend on the number of threads. What is kept: some numbers for each name and one return a bar.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester import Execution
from mts1b.backtester.streaming import Stream
from mts1b.datalake import open_lake
from mts1b.datalake.stretches import Batch, Scratch, Stretch, Stretches
from mts1b.foundation.errors import InputError
from mts1b.strategy import Strategy
from mts1b.strategy.files import find_strategy
from mts1b.strategy.panel import lacks

Floats = NDArray[np.float64]

STRETCHES_AHEAD = 2
"""Parts that may be under way at once: one being finished, one being begun."""


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """One run. As `mts1b.research.single.RunRequest`, but traded and paid for as in a sweep."""

    strategy: str | Strategy
    values: Mapping[str, float] = field(default_factory=dict)
    symbols: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    interval: str = "1m"
    execution: Execution = field(default_factory=Execution)
    lake_root: str = "~/.mts1b/lake"


@dataclass(frozen=True, slots=True)
class StreamResult:
    """`metrics`: as a row of a sweep's table. `returns` [T] of the portfolio at `ts_ns` [T]; `rows`: bars of all names,
    [names x T] with those they do not have. `data_version` of the whole stored interval."""

    strategy: str
    values: Mapping[str, float]
    symbols: tuple[str, ...]
    metrics: Mapping[str, float]
    returns: Floats
    ts_ns: NDArray[np.int64]
    data_version: str

    @property
    def rows(self) -> int:
        return len(self.symbols) * len(self.ts_ns)


def stream_request(request: StreamRequest, threads: int | None = None) -> StreamResult:
    """Run it, on every processor of the machine unless `threads` says how many.

    UnknownNameError for a name; InputError for a parameter, a range without bars or a window longer than it; DataError
    for a damaged file.
    """
    strategy = request.strategy if isinstance(request.strategy, Strategy) else find_strategy(request.strategy)
    strategy.resolve(request.values)
    lake = open_lake(request.lake_root)
    stretches = lake.equities.bars.stretches(
        list(request.symbols) or None, request.interval, request.start, request.end
    )
    sectors = lake.equities.sectors.of(stretches.symbols)
    stream = Stream(strategy, request.values, stretches.symbols, request.execution, sectors)
    if "vwap" in stream.fields and not stretches.has_vwap:
        raise lacks("vwap")
    ts_ns, returns = _run(stream, stretches, threads or len(os.sched_getaffinity(0)))
    if not len(returns):
        raise InputError("start", f"{request.start}..{request.end}", "no bar in this range", "see `mts data status`")
    metrics = stream.metrics(returns)
    found = (strategy.name, stream.values, stretches.symbols, metrics, returns / stream.names, ts_ns, stretches.version)
    return StreamResult(*found)


def _run(stream: Stream, stretches: Stretches, threads: int) -> tuple[NDArray[np.int64], Floats]:
    """Times and the sum of all names' returns at each."""
    times, returns = [np.zeros(0, dtype=np.int64)], [np.zeros(0)]
    with ThreadPoolExecutor(threads) as pool:
        for ts_ns, earned in _sums(stream, stretches, pool):
            times.append(ts_ns)
            returns.append(earned)
    return np.concatenate(times), np.concatenate(returns)


def _sums(stream: Stream, stretches: Stretches, pool: ThreadPoolExecutor) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Times and sums of each stretch, in order; a few stretches are under way at once."""
    waiting: deque[tuple[Stretch, list[Future[Floats]]]] = deque()
    last: dict[int, Future[Floats]] = {}
    scratch = Scratch()
    for stretch in stretches:
        waiting.append((stretch, _submit(stream, stretch, pool, last, scratch)))
        if len(waiting) > STRETCHES_AHEAD:
            yield _taken(*waiting.popleft())
    while waiting:
        yield _taken(*waiting.popleft())


def _submit(
    stream: Stream, stretch: Stretch, pool: ThreadPoolExecutor, last: dict[int, Future[Floats]], scratch: Scratch
) -> list[Future[Floats]]:
    """Hand the stretch out. `last`: what each name waits for; it was handed out before, so no thread waits for ever."""
    if stream.together:
        loads = [pool.submit(batch.load, stream.fields) for batch in stretch.batches]
        before = list(last.values())
        done = [pool.submit(_together, stream, stretch, loads, before)]
        last[0] = done[0]
        return done
    done = []
    for batch in stretch.batches:
        names = batch.which.tolist()
        future = pool.submit(_advance, stream, batch, list({last[name] for name in names if name in last}), scratch)
        last.update(dict.fromkeys(names, future))
        done.append(future)
    return done


def _advance(stream: Stream, batch: Batch, before: list[Future[Floats]], scratch: Scratch) -> Floats:
    bars = batch.load(stream.fields, scratch)
    for future in before:
        future.result()
    return stream.advance(batch.which, bars)


def _together(
    stream: Stream, stretch: Stretch, loads: list[Future[dict[str, Floats]]], before: list[Future[Floats]]
) -> Floats:
    """All names at once, in their order."""
    tables = {name: np.empty((stream.names, len(stretch.ts_ns))) for name in stream.fields}
    for batch, load in zip(stretch.batches, loads, strict=True):
        for name, rows in load.result().items():
            tables[name][batch.which] = rows
    for future in before:
        future.result()
    return stream.advance(np.arange(stream.names), tables)


def _taken(stretch: Stretch, parts: list[Future[Floats]]) -> tuple[NDArray[np.int64], Floats]:
    total = np.zeros(len(stretch.ts_ns))
    for part in parts:
        total += part.result()
    return stretch.ts_ns, total
