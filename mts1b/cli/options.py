"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None,
    # readable=False: a directory that cannot be read is reported by us, in one line, not by the parser
    typer.Option("--data-dir", readable=False, help="Where everything lies; default ~/.mts1b."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JsonFile = Annotated[str | None, typer.Option("--json", help="Write the result to this file; - for standard output.")]
