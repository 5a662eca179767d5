"""`mts bench NAME`: measure, after showing that the results are equal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from mts1b.cli.options import JsonFile
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.errors import InputError

if TYPE_CHECKING:
    from mts1b.bench.result import BenchResult

Name = Annotated[str, typer.Argument(help="A benchmark, `all`, or `report`: the page made from saved results.")]
Quick = Annotated[bool, typer.Option("--quick", help="A size of seconds: it shows that it works, not how fast.")]
Million = Annotated[bool, typer.Option("--million", help="`ladder` with 1,000,000 combinations: ladder-million.")]
Save = Annotated[Path | None, typer.Option("--save", help="Also write each result to NAME.json in this folder.")]
Results = Annotated[Path, typer.Option("--results", help="`report`: the folder of saved results.")]
Out = Annotated[Path, typer.Option("--out", help="`report`: the page to write.")]


def register(app: typer.Typer) -> None:
    """Add `mts bench`."""
    app.command("bench")(bench)


def bench(
    name: Name = "all",
    quick: Quick = False,
    million: Million = False,
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
    console, lines, clock = Console(stderr=json_file == "-"), [], SystemClock()
    for one in names:
        with console.status(f"bench {one}") as status:
            session = Session(clock, quick, lambda text, one=one: status.update(f"bench {one}: {text}"))  # type: ignore[misc]
            result = run(one, session)
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


def _table(result: BenchResult) -> Table:
    table = Table(result.name, "", box=SIMPLE)
    for figure, value in (*result.figures.items(), *result.versus.items()):
        table.add_row(figure, f"{value:,.4g}")
    return table
