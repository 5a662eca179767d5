"""Progress: a bar where someone watches, a few lines where a log is kept."""

from __future__ import annotations

import io

from jobs.progress import line_writer, shown
from mts1b.foundation.clock import NS_PER_S
from mts1b.research.ladder import Progress


class Terminal(io.StringIO):
    """A stream that someone watches."""

    def isatty(self) -> bool:
        return True


def step(done: int, seconds: float) -> Progress:
    return Progress(done, 100, done * 50, 5_000, int(seconds * NS_PER_S))


def test_a_log_gets_the_first_the_last_and_a_line_now_and_then() -> None:
    stream = io.StringIO()
    write = line_writer("sweep sma_cross", stream)
    for done in range(101):
        write(step(done, done / 10))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "sweep sma_cross: 0/5,000 combinations (0%), chunk 0/100, 0.0 s, 0/s"
    assert lines[-1] == "sweep sma_cross: 5,000/5,000 combinations (100%), chunk 100/100, 10.0 s, 500/s"
    assert len(lines) == 6


def test_a_log_that_is_not_a_terminal_gets_lines() -> None:
    stream = io.StringIO()
    with shown("sweep", stream) as listener:
        listener(step(100, 1.0))
    assert stream.getvalue().startswith("sweep: 5,000/5,000")


def test_a_terminal_gets_a_bar() -> None:
    stream = Terminal()
    with shown("sweep sma_cross", stream) as listener:
        listener(step(0, 0.0))
        listener(step(100, 2.0))
    assert (
        "sweep sma_cross" in stream.getvalue() and "5000/5000" in stream.getvalue() and "2,500/s" in stream.getvalue()
    )
