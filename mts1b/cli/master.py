"""`mts data instruments|adv|borrow load|show|history`: the master data that the risk gates go by."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from jobs.screen import screen
from mts1b.cli.options import AsJson, DataDir
from mts1b.cli.trading import By, user, with_pool
from mts1b.config import Settings, load_settings
from mts1b.foundation.clock import NS_PER_S, Clock, SystemClock, iso, to_ns
from mts1b.foundation.errors import InputError, MtsError

if TYPE_CHECKING:
    from mts1b.platform.db import Pool
    from mts1b.refdata.lake import Delivered
    from mts1b.refdata.master import StoredTable

LAKE = "lake"
ABOUT = {
    "instruments": "Tick, lot, currency, session and sector of each name.",
    "adv": "Average daily volume of each name, in its units.",
    "borrow": "What can be borrowed of each name, at what rate, and short-sale restrictions.",
}
LIMIT = 20
LOOK_S = 1.0

File = Annotated[str, typer.Argument(help="A .csv or .parquet file; for adv and borrow also `lake`.")]
AsOf = Annotated[
    str | None, typer.Option(help="When it was known, ISO 8601 in UTC; default: when the file was last changed.")
]
Whole = Annotated[bool, typer.Option("--whole", help="Drop names that the file lacks; borrow is always whole.")]
Why = Annotated[str, typer.Option("--why", help="The reason, kept with the version.")]
Bars = Annotated[int, typer.Option(min=1, help="Of adv out of the lake: sessions averaged over.")]
Follow = Annotated[bool, typer.Option("--follow", help="Go on, and load the file whenever it changes.")]
Symbol = Annotated[list[str] | None, typer.Option(help="Of these names only; may be repeated.")]
Version = Annotated[int | None, typer.Option(min=1, help="The newest if not given.")]
Limit = Annotated[int, typer.Option(min=1, max=1_000, help="At most so many.")]


def register(data: typer.Typer) -> None:
    """Add the three tables to `mts data`."""
    for kind, about in ABOUT.items():
        table = typer.Typer(no_args_is_help=True, help=f"{about} Versions are added; risk goes by the newest.")
        table.command("load")(load_command(kind))
        table.command("show")(show_command(kind))
        table.command("history")(history_command(kind))
        data.add_typer(table, name=kind)


def load_command(kind: str) -> Callable[..., None]:
    """`load` of one table."""

    def load(
        file: File,
        as_of: AsOf = None,
        whole: Whole = False,
        bars: Bars = 21,
        follow: Follow = False,
        why: Why = "",
        by: By = None,
        data_dir: DataDir = None,
        as_json: AsJson = False,
    ) -> None:
        """Add a version out of a file; of one with a bad row nothing. A running OMS goes by it within a second."""
        settings, moment = load_settings(data_dir=data_dir), None if as_of is None else read_moment(as_of)
        if follow and (file == LAKE or as_of is not None):
            raise InputError("follow", file, "only a file that says when it was changed can be followed", "leave it")

        def once() -> None:
            clock = SystemClock()
            found = deliver(kind, file, settings, bars, clock, moment)
            is_whole = whole or kind == "borrow"
            stored = with_pool(settings, lambda pool: _add(pool, kind, found, is_whole, by or user(), why, clock))
            _tell(asyncio.run(stored), as_json)

        once()
        if follow:
            followed(Path(file), once, threading.Event().wait)

    return load


def show_command(kind: str) -> Callable[..., None]:
    """`show` of one table."""

    def show(symbol: Symbol = None, version: Version = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
        """One version of the table."""
        found = asyncio.run(with_pool(load_settings(data_dir=data_dir), lambda pool: _one(pool, kind, version)))
        rows = [row for row in plain_rows(found) if not symbol or row["symbol"] in symbol]
        if as_json:
            typer.echo(json.dumps({**facts(found), "rows": rows}))
            return
        columns = list(rows[0]) if rows else ["symbol"]
        told = f"{kind}, version {found.version} as of {iso(found.as_of_ns)[:19]}, by {found.by} from {found.source}"
        table = Table(*columns, title=told, title_justify="left", box=SIMPLE_HEAD)
        for row in rows:
            table.add_row(*(Text("" if value is None else str(value)) for value in row.values()))
        screen(highlight=False).print(table)

    return show


def history_command(kind: str) -> Callable[..., None]:
    """`history` of one table."""

    def history(limit: Limit = LIMIT, data_dir: DataDir = None, as_json: AsJson = False) -> None:
        """The versions of the table, the newest first: who, when, why, and as of when."""
        found = asyncio.run(with_pool(load_settings(data_dir=data_dir), lambda pool: _history(pool, kind, limit)))
        if as_json:
            typer.echo(json.dumps([facts(table) for table in found]))
            return
        listed = Table("version", "as of (UTC)", "rows", "source", "set (UTC)", "by", "why", box=SIMPLE_HEAD)
        for item in found:
            when = iso(item.as_of_ns)[:19], str(len(item.rows)), Text(item.source), iso(item.set_ns)[:19]
            listed.add_row(str(item.version), *when, Text(item.by), Text(item.why))
        screen(highlight=False).print(listed)

    return history


def deliver(kind: str, file: str, settings: Settings, bars: int, clock: Clock, as_of_ns: int | None) -> Delivered:
    """The rows of a file, or of the lake, and the moment they are of."""
    from mts1b.refdata import lake as source

    if file != LAKE:
        return source.from_file(kind, Path(file), settings.lake_root, clock.now_ns(), as_of_ns)
    if as_of_ns is not None:
        raise InputError("as_of", iso(as_of_ns), "the lake says itself what its data are of", "leave it")
    return source.from_lake(kind, settings.lake_root, bars)


def followed(path: Path, load: Callable[[], None], wait: Callable[[float], bool]) -> None:
    """Load a file each time it has changed, until `wait` says to end. One that cannot be loaded is told of: what was
    loaded before it grows old, and is refused then."""
    known = _changed_ns(path)
    while not wait(LOOK_S):
        now = _changed_ns(path)
        if now in (None, known):
            continue
        known = now
        try:
            load()
        except MtsError as error:
            typer.echo(f"{path.name} is not loaded: {error}", err=True)


def read_moment(text: str) -> int:
    """ISO 8601 as UTC nanoseconds; a day is its beginning. InputError for anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError("as_of", text, "is no time", "give it as 2026-11-26T09:30:00") from None
    return to_ns(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def facts(table: StoredTable) -> dict[str, Any]:
    """What a version is, without its rows, for a program."""
    known = {"table": table.kind, "version": table.version, "as_of": iso(table.as_of_ns), "names": len(table.rows)}
    return {**known, "source": table.source, "by": table.by, "why": table.why, "set": iso(table.set_ns)}


def plain_rows(table: StoredTable) -> list[dict[str, Any]]:
    """Its rows as plain values, exact numbers as texts."""
    return [row.model_dump(mode="json") for row in table.rows]


def _changed_ns(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None  # it is being replaced


def _tell(table: StoredTable, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(facts(table)))
        return
    moment, names = iso(table.as_of_ns - table.as_of_ns % NS_PER_S)[:19], len(table.rows)
    typer.echo(f"version {table.version} of {table.kind} is stored: {names:,} rows as of {moment}, from {table.source}")


async def _add(pool: Pool, kind: str, found: Delivered, whole: bool, by: str, why: str, clock: Clock) -> StoredTable:
    """The version made."""
    from mts1b.refdata.master import StoredTable, checked_moment, merged
    from mts1b.refdata.master_store import MasterStore

    store, now_ns = MasterStore(pool), clock.now_ns()
    before = await store.newest(kind)
    checked_moment(found.as_of_ns, now_ns, before)
    kept = () if whole or before is None else before.rows
    hours = {**({} if whole or before is None else before.sessions), **found.sessions}
    said = (found.as_of_ns, found.source, by, why, now_ns)
    made = StoredTable(kind, 1 if before is None else before.version + 1, merged(kept, found.rows), *said, hours)
    await store.add(made)
    return made


async def _one(pool: Pool, kind: str, version: int | None) -> StoredTable:
    from mts1b.refdata.master_store import MasterStore

    store = MasterStore(pool)
    found = await (store.newest(kind) if version is None else store.version(kind, version))
    if found is None:
        problem = "nothing is loaded" if version is None else f"has no version {version}"
        raise InputError("table", kind, problem, f"load it with `mts data {kind} load FILE`")
    return found


async def _history(pool: Pool, kind: str, limit: int) -> list[StoredTable]:
    from mts1b.refdata.master_store import MasterStore

    await _one(pool, kind, None)
    return await MasterStore(pool).history(kind, limit)
