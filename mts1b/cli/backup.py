"""`mts journal backup|restore FILE`: a copy of the journal, and a new journal out of a copy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from mts1b.cli.audit import head_path
from mts1b.cli.options import AsJson, DataDir
from mts1b.config import Settings, load_settings
from mts1b.foundation.clock import SystemClock, iso

if TYPE_CHECKING:
    from mts1b.platform.db import Pool

T = TypeVar("T")

File = Annotated[Path, typer.Argument(help="The copy; a note of it lies beside it, with .json behind its name.")]

app = typer.Typer(no_args_is_help=True, help="Copies of the journal: orders, fills, audit chain, limits, master data.")


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="journal")


@app.command("backup")
def backup(file: File, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Copy the whole database as of one moment, while funds trade."""
    from mts1b.deploy.backup import back_up

    settings = load_settings(data_dir=data_dir)
    made = asyncio.run(_with_database(settings, lambda pool, dsn: back_up(pool, dsn, file, SystemClock())))
    if as_json:
        typer.echo(json.dumps({"file": str(file), "bytes": made.bytes, "head": made.sequence, "hash": made.hash}))
        return
    typer.echo(
        f"{file}: {made.bytes:,} bytes as of {iso(made.taken_ns)[:19]}, audit chain up to link {made.sequence:,}"
    )


@app.command("restore")
def restore(file: File, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Fill an empty database from a copy and verify its audit chain. Start the funds afterwards: each OMS then asks
    its venue what the copy lacks, and takes up what it had lost."""
    from mts1b.audit.kept import keep_head, read_head
    from mts1b.deploy.backup import restore as fill

    settings = load_settings(data_dir=data_dir)
    path = head_path(settings)
    before = read_head(path)
    proof = asyncio.run(_with_database(settings, lambda pool, dsn: fill(pool, dsn, file)))
    lost = max(0, before.sequence - proof.head.sequence)
    if lost:  # `mts audit verify` would go on asking for them
        path.replace(path.with_name(f"{path.stem}-before-{proof.head.sequence}.json"))
    keep_head(path, proof.head)
    if as_json:
        typer.echo(json.dumps({"links": proof.links, "head": proof.head.sequence, "links_lost": lost}))
        return
    typer.echo(f"restored: {proof.links:,} links verified, head {proof.head.sequence} {proof.head.hash[:16]}")
    if lost:
        typer.echo(f"{lost:,} links that were verified before are not in this copy; their head is kept beside {path}")


async def _with_database(settings: Settings, work: Callable[[Pool, str], Awaitable[T]]) -> T:
    """Run `work` on the trading database as it is, not migrated, with its DSN. StackError when the stack is down."""
    from mts1b.deploy.endpoints import endpoints, postgres_source
    from mts1b.platform.db import open_pool

    source = postgres_source(settings, endpoints(settings))
    pool = await open_pool("copy", source, pool_size=1)
    try:
        return await work(pool, await source.get())
    finally:
        await pool.close()
