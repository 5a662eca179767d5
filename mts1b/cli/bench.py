"""`mts bench NAME`: measure, after showing that the results are equal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from jobs.screen import screen
from mts1b.cli.options import JsonFile
from mts1b.foundation.clock import NS_PER_S, Clock, SystemClock
from mts1b.foundation.errors import InputError

if TYPE_CHECKING:
    from mts1b.bench.result import BenchResult

Name = Annotated[str, typer.Argument(help="A benchmark, `all`, or `report`: the page made from saved results.")]
Quick = Annotated[bool, typer.Option("--quick", help="A size of seconds: it shows that it works, not how fast.")]
Million = Annotated[bool, typer.Option("--million", help="`ladder` with 1,000,000 combinations: ladder-million.")]
Data = Annotated[Path | None, typer.Option("--data", help="`lake`: real daily bars, .parquet or .csv, to measure on.")]
Save = Annotated[Path | None, typer.Option("--save", help="Also write each result to NAME.json in this folder.")]
Results = Annotated[Path, typer.Option("--results", help="`report`: the folder of saved results.")]
Out = Annotated[Path, typer.Option("--out", help="`report`: the page to write.")]

LINE_EVERY_S = 5
"""Between two lines of a log."""


def register(app: typer.Typer) -> None:
    """Add `mts bench`."""
    app.command("bench")(bench)


def bench(
    name: Name = "all",
    quick: Quick = False,
    million: Million = False,
    data: Data = None,
    save: Save = None,
    json_file: JsonFile = None,
    results: Results = Path("docs/bench"),
    out: Out = Path("docs/performance.md"),
) -> None:
    """Check equal results, then time. With --json one JSON document a line, one for each benchmark."""
    from jobs.console import check_json_target, write_json
    from mts1b.bench.catalogue import REPORT, chosen, run
    from mts1b.bench.session import Session

    if name == REPORT:
        return write_report(results, out)
    check_json_target(json_file)
    names = chosen("ladder-million" if million and name == "ladder" else name)
    if save is not None and not save.is_dir():
        raise InputError("save", str(save), "no such folder", "make it first")
    console, lines, clock = screen(stderr=json_file == "-"), [], SystemClock()
    for one in names:
        with _progress(console, clock, one) as tell:
            result = run(one, Session(clock, quick, tell, data))
        console.print(_table(result))
        lines.append(result.to_json(clock))
        if save is not None:
            write_json(str(save / f"{one}.json"), lines[-1])
    write_json(json_file, "\n".join(lines))


def write_report(results: Path, out: Path) -> None:
    """Write the page that `results` make. InputError when the page cannot be written."""
    from jobs.console import write_json
    from mts1b.bench.report import page

    write_json(str(out), page(results).removesuffix("\n"))


@contextmanager
def _progress(console: Console, clock: Clock, name: str) -> Iterator[Callable[[str], None]]:
    """A line that changes where someone watches; where a log is kept, lines on standard error, not too many."""
    if console.is_terminal:
        with console.status(f"bench {name}") as status:
            yield lambda text: status.update(f"bench {name}: {text}")
        return
    due_ns = clock.monotonic_ns()

    def write(text: str) -> None:
        nonlocal due_ns
        if clock.monotonic_ns() >= due_ns:
            due_ns = clock.monotonic_ns() + LINE_EVERY_S * NS_PER_S
            print(f"bench {name}: {text}", file=sys.stderr, flush=True)

    yield write


def _table(result: BenchResult) -> Table:
    table = Table(result.name, "", box=SIMPLE)
    for figure, value in (*result.figures.items(), *result.versus.items()):
        table.add_row(figure, f"{value:,.4g}")
    return table
