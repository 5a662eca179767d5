"""One combination over ten years of 1-minute bars, from the lake's Parquet files to metrics.

    minute_rows(SystemClock(), 100)      98 million bars: about 1 GB of files, made in two minutes
    minute_rows(SystemClock(), 1_000)    983 million bars: about 10 GB, made in half an hour

The bars are made up from a seed, written by the lake's own writer into a temporary directory, and deleted afterwards.
"""

from __future__ import annotations

import multiprocessing
import re
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mts1b.backtester import evaluate
from mts1b.datalake import open_lake
from mts1b.datalake.schema import BARS
from mts1b.foundation.clock import NS_PER_S, Clock, SystemClock
from mts1b.foundation.errors import InvariantBroken, StackError
from mts1b.foundation.limits import TICK
from mts1b.research.stream import StreamRequest, StreamResult, stream_request
from mts1b.strategy import get_strategy

STRATEGY = "sma_cross"
MONTHS, DAYS_PER_MONTH, MINUTES_PER_DAY = 120, 21, 390
"""Ten years of 2,520 regular sessions: 982,800 bars a name."""

MINUTE_VOLATILITY, MONTHLY_VOLATILITY, OPENING_GAP = 0.0006, 0.06, 0.0002
SEED = 0
MADE = "made up"
RUNS = 5
"""Timed runs after one that is not: files then lie in the page cache and the kernel is compiled."""

CHECKED_NAMES = 3
TOLERANCE = 1e-10
BYTES_PER_BAR = 12
"""Room a stored bar may take: prices that move by random ticks pack into about 10."""

SOURCE_S = {"cpu_numpy": 18 * 60.0, "rtx_4090": 38.0, "h100": 14.0}
"""The source's wall times for 1,000 names."""

Progress = Callable[[int, int], None]
"""Called with months made and months in all."""


def minute_rows(
    clock: Clock,
    names: int,
    months: int = MONTHS,
    progress: Progress | None = None,
    directory: Path | None = None,
    runs: int = RUNS,
) -> dict[str, float]:
    """Figures over `names` names: best wall time of `runs`, CPU seconds, bars, peak memory, bytes read.

    Measured in a process of its own. Several runs are warm, after one that does not count; a single one comes first.
    `speed_up_*`: against the source's times for 1,000 names, by bars a second. InvariantBroken when a metric differs
    from `evaluate`'s on the panel of some names; StackError without room for the files in `directory` (else the
    system's temporary one).
    """
    began_ns = clock.monotonic_ns()
    with made_lake(names, months, progress, directory) as root:
        made_s = (clock.monotonic_ns() - began_ns) / NS_PER_S
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
            found = alone.submit(measured, str(root), runs).result()
            alone.submit(check, str(root)).result()
        stored = sum(path.stat().st_size for path in root.rglob("*.parquet"))
    per_s = found["bars"] / found["wall_s"]
    whole = 1_000 * MONTHS * DAYS_PER_MONTH * MINUTES_PER_DAY
    faster = {f"speed_up_over_{name}": per_s / (whole / wall_s) for name, wall_s in SOURCE_S.items()}
    return {"names": names, **found, "bars_per_s": per_s, "stored_bytes": stored, "made_s": made_s, **faster}


def measured(root: str, runs: int) -> dict[str, float]:
    """Best of `runs` in this process, which should have done nothing else: its peak memory is reported."""
    clock = SystemClock()
    request = StreamRequest(STRATEGY, lake_root=root)
    if runs > 1:
        stream_request(request)
    walls, cpus, read_bytes = [], [], 0
    for _ in range(runs):
        began_ns, began_cpu_s, began_bytes = clock.monotonic_ns(), _cpu_s(), _bytes_read()
        result = stream_request(request)
        walls.append((clock.monotonic_ns() - began_ns) / NS_PER_S)
        cpus.append(_cpu_s() - began_cpu_s)
        read_bytes = _bytes_read() - began_bytes
    return {
        "bars": result.rows,
        "wall_s": min(walls),
        "wall_worst_s": max(walls),
        "cpu_s": min(cpus),
        "peak_memory_mb": _peak_mb(),
        "read_bytes": read_bytes,
        "sharpe": result.metrics["sharpe"],
    }


def check(root: str) -> None:
    """InvariantBroken unless the streamed metrics of some names are those of the sweep's kernel on their panel."""
    bars = open_lake(root).equities.bars
    held = bars.stored("1m")
    assert held is not None
    some = [held.symbols[i] for i in np.unique(np.linspace(0, len(held.symbols) - 1, CHECKED_NAMES).astype(int))]
    request = StreamRequest(STRATEGY, symbols=tuple(some), lake_root=root)
    wanted = evaluate(get_strategy(STRATEGY), {}, bars.panel(some, "1m"), request.execution).metrics
    compare(stream_request(request), wanted)


def compare(found: StreamResult, wanted: Mapping[str, NDArray[np.float64]]) -> None:
    """InvariantBroken, naming the first metric that differs by more than TOLERANCE."""
    for name, values in wanted.items():
        if not np.isclose(found.metrics[name], values[0], rtol=TOLERANCE, atol=TOLERANCE):
            raise InvariantBroken(name, found.metrics[name], f"differs from {values[0]} of `evaluate`")


@contextmanager
def made_lake(
    names: int, months: int, progress: Progress | None = None, directory: Path | None = None
) -> Iterator[Path]:
    """A lake of made-up 1-minute bars of so many names and months, there as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="mts1b-minute-", dir=directory) as root:
        needed = names * months * DAYS_PER_MONTH * MINUTES_PER_DAY * BYTES_PER_BAR
        free = shutil.disk_usage(root).free
        if free < needed:
            problem = f"{free / 1e9:.1f} GB are free, about {needed / 1e9:.1f} GB are needed"
            raise StackError("directory", root, problem, "free some, or ask for fewer names")
        _fill(Path(root), names, months, progress)
        yield Path(root)


def _fill(root: Path, names: int, months: int, progress: Progress | None) -> None:
    bars = open_lake(root).equities.bars
    symbols = tuple(f"N{number:04d}" for number in range(names))
    for month, made in enumerate(months_of(symbols, months), start=1):
        bars.write(made, "1m", source=MADE)
        if progress is not None:
            progress(month, months)


def months_of(symbols: tuple[str, ...], months: int) -> Iterator[pl.DataFrame]:
    """Made-up minutes of all names, month by month, the same from the same seed."""
    moves = np.random.default_rng(SEED).normal(0.0, MONTHLY_VOLATILITY, (months, len(symbols)))
    levels = 100.0 * np.exp(np.cumsum(moves, axis=0))
    for month in range(months):
        first = np.datetime64("2010-01", "M") + month
        yield month_of_bars(symbols, levels[month], first, np.random.default_rng((SEED, month)))


def month_of_bars(
    symbols: tuple[str, ...], levels: NDArray[np.float64], first: np.datetime64, generator: np.random.Generator
) -> pl.DataFrame:
    """A month of regular sessions of every name, prices on the tick: random walks from `levels` [S]."""
    minutes = np.arange(DAYS_PER_MONTH)[:, None] * 1_440 + 870 + np.arange(MINUTES_PER_DAY)
    stamps = first.astype("datetime64[us]") + minutes.ravel().astype("timedelta64[m]")
    shape = (len(symbols), len(stamps))
    close = levels[:, None] * np.exp(np.cumsum(generator.normal(0.0, MINUTE_VOLATILITY, shape), axis=1))
    opened = close * np.exp(generator.normal(0.0, OPENING_GAP, shape))
    per_unit = 1.0 / float(TICK)
    close, opened = (np.rint(prices * per_unit) / per_unit for prices in (close, opened))
    fields = {
        "open": opened,
        "high": np.maximum(opened, close),
        "low": np.minimum(opened, close),
        "close": close,
        "volume": generator.integers(100, 20_000, shape).astype(np.float64),
    }
    columns = {
        "symbol": pl.Series(symbols).repeat_by(len(stamps)).explode(),
        "ts": pl.Series(np.tile(stamps, len(symbols))).dt.replace_time_zone("UTC"),
        **{name: values.ravel() for name, values in fields.items()},
        "adjustment": pl.repeat("raw", len(symbols) * len(stamps), eager=True),
    }
    return pl.DataFrame(columns, schema=BARS)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak_mb() -> float:
    """Most memory this process has held. The system's other figure, of getrusage, begins with what its parent held."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return (int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1024


def _bytes_read() -> int:
    """Bytes this process has asked the system for; 0 where that is not told."""
    path = Path("/proc/self/io")
    return int(path.read_text().split()[1]) if path.exists() else 0
