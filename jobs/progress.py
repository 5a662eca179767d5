"""Progress of a long job: a bar where someone watches, lines where a log is kept."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from mts1b.foundation.clock import NS_PER_S
from mts1b.research.ladder import Progress, ProgressListener

LINE_EVERY_S = 2.0
"""Seconds between two lines of a log, but for the first and the last."""


@contextmanager
def shown(title: str, stream: TextIO | None = None) -> Iterator[ProgressListener]:
    """Show progress on `stream` (standard error if not given) while the block runs."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield line_writer(title, stream)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=Console(file=stream)) as bar:
        task = bar.add_task(title, total=None, rate="")

        def update(progress: Progress) -> None:
            rate = f"{_per_second(progress):,.0f}/s"
            bar.update(task, completed=progress.combinations_done, total=progress.combinations_total, rate=rate)

        yield update


def line_writer(title: str, stream: TextIO) -> ProgressListener:
    """A listener that writes a line at the start, at the end and every few seconds between."""
    due_ns = 0

    def write(progress: Progress) -> None:
        nonlocal due_ns
        if progress.elapsed_ns < due_ns and progress.chunks_done < progress.chunks_total:
            return
        due_ns = progress.elapsed_ns + int(LINE_EVERY_S * NS_PER_S)
        share = progress.combinations_done / max(progress.combinations_total, 1)
        stream.write(
            f"{title}: {progress.combinations_done:,}/{progress.combinations_total:,} combinations ({share:.0%}), "
            f"chunk {progress.chunks_done}/{progress.chunks_total}, {progress.elapsed_ns / NS_PER_S:.1f} s, "
            f"{_per_second(progress):,.0f}/s\n"
        )
        stream.flush()

    return write


def _per_second(progress: Progress) -> float:
    return progress.combinations_done / max(progress.elapsed_ns / NS_PER_S, 1e-3)
