"""`mts audit verify`, `mts audit trail ORDER`: the hash chain of everything that happened to orders."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from jobs.screen import screen
from mts1b.cli.journal import with_journal
from mts1b.cli.options import AsJson, DataDir
from mts1b.config import Settings, load_settings
from mts1b.foundation.clock import iso
from mts1b.foundation.errors import DataError, InputError

if TYPE_CHECKING:
    from mts1b.audit.chain import Broken, Link, Verified

app = typer.Typer(no_args_is_help=True, help="The tamper-evident record of every order.")


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="audit")


@app.command("verify")
def verify(
    subject: Annotated[str | None, typer.Option(help="Say besides how many links tell of this order or fund.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Check every link against its predecessor and its content, and the chain against the head that the last check
    kept outside the database; exit 2 at the first link that does not hold."""
    from mts1b.audit.chain import Broken

    settings = load_settings(data_dir=data_dir)
    proof = verify_chain(settings)
    told = len(read_trail(settings, subject)) if subject and not isinstance(proof, Broken) else None
    if as_json:
        counted = {} if told is None else {"subject": subject, "subject_links": told}
        typer.echo(json.dumps(asdict(proof) | counted, default=asdict))
    if isinstance(proof, Broken):
        raise _broken(proof)
    if not as_json:
        about = "" if told is None else f", {told} of them about {subject}"
        typer.echo(f"audit: {proof.links:,} links verified{about}, head {proof.head.sequence} {proof.head.hash[:16]}")


@app.command("trail")
def trail(order: str, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Tell everything that happened to one order (or fund), with times."""
    links = read_trail(load_settings(data_dir=data_dir), order)
    if as_json:
        typer.echo(json.dumps([asdict(link) | {"content": json.loads(link.content)} for link in links]))
        return
    table = Table("link", "time (UTC)", "what", "content", title=order, title_justify="left")
    for link in links:
        table.add_row(str(link.sequence), iso(link.timestamp), link.kind, _told(link))
    screen().print(table, highlight=False)


def verify_chain(settings: Settings) -> Verified | Broken:
    """The proof of the whole stored chain, or its first link that does not hold. StackError when the stack is down."""
    from mts1b.audit.chain import Verified
    from mts1b.audit.kept import keep_head, read_head
    from mts1b.audit.store import verify_stored

    path = head_path(settings)
    kept = read_head(path)
    proof = with_journal(settings, lambda pool: verify_stored(pool, kept=kept))
    if isinstance(proof, Verified):
        keep_head(path, proof.head)
    return proof


def head_path(settings: Settings) -> Path:
    """Where the head of this database's chain is kept: one file for the embedded one, one for each other."""
    if settings.db.primary.dsn is None:
        return settings.data_dir / "audit" / "head.json"
    from mts1b.deploy.endpoints import given
    from mts1b.foundation.ids import digest
    from mts1b.platform.db import server_of

    return settings.data_dir / "audit" / f"head-{digest(server_of(given(settings)['postgres_dsn']))}.json"


def verified_links(settings: Settings) -> int:
    """How many links the chain has, all of them verified. DataError names the first that does not hold."""
    from mts1b.audit.chain import Broken

    proof = verify_chain(settings)
    if isinstance(proof, Broken):
        raise _broken(proof)
    return proof.links


def read_trail(settings: Settings, subject_id: str) -> list[Link]:
    """Every link about one order or fund. InputError when there is none."""
    from mts1b.audit import store

    links = with_journal(settings, lambda pool: store.trail(pool, subject_id))
    if not links:
        raise InputError("order", subject_id, "nothing is on record", "give the id of an order or a fund")
    return links


def _broken(proof: Broken) -> DataError:
    return DataError("audit_chain", proof.sequence, proof.problem, f"{proof.links} links before it hold")


def _told(link: Link) -> str:
    content = json.loads(link.content)
    order = content.pop("order", None)
    if isinstance(order, dict):
        content |= {name: order[name] for name in ("side", "quantity", "symbol", "order_type", "time_in_force")}
    fill = content.pop("fill", None)
    if isinstance(fill, dict):
        content |= {name: fill[name] for name in ("side", "quantity", "symbol", "price", "fee", "fill_id")}
    hidden = ("order_id", "ts_ns")
    return ", ".join(f"{name} {value}" for name, value in content.items() if value and name not in hidden)
