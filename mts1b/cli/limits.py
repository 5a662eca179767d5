"""`mts risk limits`: a fund's limits, version by version."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from jobs.screen import screen
from mts1b.cli.options import AsJson, DataDir
from mts1b.cli.trading import By, Fund, user, with_pool
from mts1b.config import load_settings
from mts1b.foundation.clock import SystemClock, iso
from mts1b.foundation.errors import InputError
from mts1b.foundation.ids import FundId

if TYPE_CHECKING:
    from mts1b.platform.db import Pool
    from mts1b.refdata import StoredLimits

IN_FORCE_WITHIN_S = 5.0
LOOK_S = 0.1
LIMIT = 20


def register(risk: typer.Typer) -> None:
    """Add `mts risk limits`."""
    limits = typer.Typer(no_args_is_help=True, help="A fund's limits: versions are added, and hold at once.")
    limits.command("show")(show)
    limits.command("set")(set_limits)
    limits.command("history")(history)
    risk.add_typer(limits, name="limits")


def show(
    fund: Fund,
    version: Annotated[int | None, typer.Option(min=1, help="The newest if not given.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """One version of a fund's limits."""
    found = asyncio.run(with_pool(load_settings(data_dir=data_dir), lambda pool: _one(pool, FundId(fund), version)))
    if as_json:
        typer.echo(json.dumps(as_plain(found)))
        return
    table = Table("limit", "value", title=_headline(found), title_justify="left", box=SIMPLE_HEAD)
    for name, value in as_plain(found)["limits"].items():
        table.add_row(name, Text(", ".join(value) if isinstance(value, list) else str(value)))
    screen(highlight=False).print(table)


def set_limits(
    fund: Fund,
    changes: Annotated[list[str] | None, typer.Argument(metavar="[LIMIT=VALUE]...", help="gross_max=2000000")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="JSON: limits by name, or what `show` prints.")] = None,
    why: Annotated[str, typer.Option("--why", help="The reason, kept with the version.")] = "",
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Add a version: the newest with these limits changed. A running OMS goes by it within a second.

    A fund that has none yet needs every limit: what is unset denies.
    """
    texts = {**(read_file(file) if file is not None else {}), **read_changes(changes or [])}
    if not texts:
        raise InputError("limits", None, "nothing to change", "give LIMIT=VALUE or --file")
    settings, said = load_settings(data_dir=data_dir), by or user()
    made, is_in_force = asyncio.run(with_pool(settings, lambda pool: _add(pool, FundId(fund), texts, said, why)))
    if as_json:
        typer.echo(json.dumps({**as_plain(made), "in_force": is_in_force}))
        return
    told = "the running OMS goes by it" if is_in_force else "no OMS goes by it yet; one that starts will"
    typer.echo(f"version {made.version} of the limits of {fund} is stored; {told}")


def history(
    fund: Fund,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="At most so many.")] = LIMIT,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The versions of a fund's limits, the newest first: who, when, why, and what changed."""
    found = asyncio.run(with_pool(load_settings(data_dir=data_dir), lambda pool: _history(pool, FundId(fund), limit)))
    told = [(item, _changes(item, before)) for item, before in zip(found, [*found[1:], None], strict=True)][:limit]
    if as_json:
        typer.echo(json.dumps([{**as_plain(item), "changes": changes} for item, changes in told]))
        return
    table = Table("version", "set (UTC)", "by", "why", "changes", box=SIMPLE_HEAD)
    for item, changes in told:
        listed = "\n".join(f"{name}: {old} -> {new}" for name, (old, new) in changes.items())
        table.add_row(str(item.version), iso(item.set_ns)[:19], Text(item.by), Text(item.why), Text(listed))
    screen(highlight=False).print(table)


def read_changes(changes: Sequence[str]) -> dict[str, str]:
    """LIMIT=VALUE pairs by name. InputError for what is none, or given twice."""
    found: dict[str, str] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals or not name or name in found:
            raise InputError("limits", change, "is not one LIMIT=VALUE for each limit", "give it as gross_max=2000000")
        found[name] = value
    return found


def read_file(path: Path) -> dict[str, Any]:
    """Limits by name, of a JSON object or of what `show --json` prints. InputError when it is neither."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("file", str(path), str(error), "give a JSON file") from None
    if isinstance(found, dict) and isinstance(found.get("limits"), dict):
        found = found["limits"]
    if not isinstance(found, dict):
        raise InputError("file", str(path), "holds no JSON object", 'give {"gross_max": "2000000", ...}')
    return found


def as_plain(found: StoredLimits) -> dict[str, Any]:
    """One version for a program."""
    from mts1b.refdata import document

    told = {"fund_id": found.fund_id, "version": found.version, "by": found.by, "why": found.why}
    return {**told, "set": iso(found.set_ns), "limits": document(found.limits)}


def _headline(found: StoredLimits) -> str:
    why = f": {found.why}" if found.why else ""
    return f"{found.fund_id}, version {found.version}, set by {found.by} at {iso(found.set_ns)[:19]}{why}"


def _changes(item: StoredLimits, before: StoredLimits | None) -> dict[str, tuple[Any, Any]]:
    """Limits that differ from the version before; none of the first."""
    if before is None:
        return {}
    old, new = as_plain(before)["limits"], as_plain(item)["limits"]
    return {name: (old[name], value) for name, value in new.items() if old[name] != value}


async def _one(pool: Pool, fund_id: FundId, version: int | None) -> StoredLimits:
    from mts1b.refdata.store import LimitsStore

    store = LimitsStore(pool)
    found = await (store.newest(fund_id) if version is None else store.version(fund_id, version))
    if found is None:
        remedy = "set them with `mts risk limits set`: what is unset denies every order"
        raise InputError("fund", fund_id, "has no limits" if version is None else f"has no version {version}", remedy)
    return found


async def _add(pool: Pool, fund_id: FundId, texts: Mapping[str, Any], by: str, why: str) -> tuple[StoredLimits, bool]:
    """The version made, and whether a running OMS goes by it."""
    from mts1b.refdata import changed
    from mts1b.refdata.store import LimitsStore

    store = LimitsStore(pool)
    before = await store.newest(fund_id)
    limits = changed(None if before is None else before.limits, texts)
    after = 0 if before is None else before.version
    made = await store.add(fund_id, after, limits, by, why, SystemClock().now_ns())
    return made, await _in_force(pool, made)


async def _in_force(pool: Pool, made: StoredLimits) -> bool:
    """Whether an OMS that runs has put the version on record; it has a few seconds for that."""
    from mts1b.oms.fund_status import fund_status

    for _ in range(int(IN_FORCE_WITHIN_S / LOOK_S)):
        found = await fund_status(pool, made.fund_id)
        if not found or not found[0].is_running:
            return False
        if (found[0].limits_version or 0) >= made.version:
            return True
        await asyncio.sleep(LOOK_S)
    return False


async def _history(pool: Pool, fund_id: FundId, limit: int) -> list[StoredLimits]:
    """One more than asked for, to compare the oldest with."""
    from mts1b.refdata.store import LimitsStore

    await _one(pool, fund_id, None)
    return await LimitsStore(pool).history(fund_id, limit + 1)
