"""`mts bench NAME`: measure, after showing that the results are equal."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from mts1b.cli.options import JsonFile
from mts1b.foundation.clock import SystemClock


def register(app: typer.Typer) -> None:
    """Add `mts bench`."""
    app.command("bench")(bench)


def bench(
    name: Annotated[str, typer.Argument(help="A benchmark, or `all`.")] = "all", json_file: JsonFile = None
) -> None:
    """Check equal results, then time. With --json one JSON document a line, one for each benchmark."""
    from jobs.console import check_json_target, write_json
    from mts1b.bench.catalogue import BENCHMARKS, chosen

    check_json_target(json_file)
    names, console, lines = chosen(name), Console(stderr=json_file == "-"), []
    for one in names:
        with console.status(f"bench {one}"):
            result = BENCHMARKS[one](SystemClock())
        table = Table(one, "", box=SIMPLE)
        for figure, value in (*result.figures.items(), *result.versus.items()):
            table.add_row(figure, f"{value:,.4g}")
        console.print(table)
        lines.append(result.to_json())
    write_json(json_file, "\n".join(lines))
