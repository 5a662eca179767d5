"""A copy of the journal's database, and a database out of a copy: by Postgres' own programs, as they came with it.

A copy is of one moment, taken while funds trade. Beside it lies a note of the audit chain's head from just before: a
database out of the copy has to go through it.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mts1b.audit.chain import Broken, Head, Verified
from mts1b.audit.store import stored_head, verify_stored
from mts1b.config import child_environment
from mts1b.deploy.postgres import programs
from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import DataError, InputError, StackError
from mts1b.platform.db import Pool, translated

PROGRAM_S = 3_600.0
"""How long a copy may take."""

TABLES = """SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_' AND c.relkind = 'r'"""


@dataclass(frozen=True, slots=True)
class Copied:
    """What is known of a copy: when it was taken (UTC nanoseconds), the chain's head then, the file's size."""

    taken_ns: int
    sequence: int
    hash: str
    bytes: int

    @property
    def head(self) -> Head:
        return Head(self.sequence, self.hash)

    @classmethod
    def read(cls, path: Path) -> Copied:
        """Of the copy at `path`. InputError when a file is not there; DataError when they do not belong together."""
        try:
            known = cls(**json.loads(_note(path).read_text()))
            size = path.stat().st_size
        except (OSError, ValueError, TypeError) as error:
            remedy = "give a file that `mts journal backup` wrote, with its .json beside it"
            raise InputError("file", str(path), f"is no copy: {error}", remedy) from None
        if size != known.bytes:
            raise DataError("file", str(path), f"has {size} bytes, its note says {known.bytes}", "use another copy")
        return known


async def back_up(pool: Pool, dsn: str, path: Path, clock: Clock) -> Copied:
    """Copy the database of `dsn`, on which `pool` is, to `path`, and a note beside it. What was there is replaced once
    the copy is whole."""
    taken_ns, head, fresh = clock.now_ns(), await stored_head(pool), path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
    except OSError as error:
        raise InputError("file", str(path), f"cannot be written ({error.strerror})", "give a place of yours") from None
    try:
        await asyncio.to_thread(
            _run, "pg_dump", dsn, "--format=custom", "--no-owner", "--no-privileges", f"--file={fresh}"
        )
        await asyncio.to_thread(_onto_disk, fresh)
        made = Copied(taken_ns, head.sequence, head.hash, fresh.stat().st_size)
        _note(path).write_text(json.dumps(asdict(made)))
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    return made


async def restore(pool: Pool, dsn: str, path: Path) -> Verified:
    """Fill the empty database of `dsn` from a copy, whole or not at all, and verify its audit chain.

    InputError when the database is not empty; DataError when the chain does not hold or does not go through the head
    that the copy was taken at.
    """
    known = Copied.read(path)
    with translated("restore"):
        tables = await pool.fetchval(TABLES)
    if tables:
        remedy = "restore into a new one: docs/restore.md says how"
        raise InputError("database", f"{tables} tables", "is not empty, and nothing of it is overwritten", remedy)
    whole = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
    await asyncio.to_thread(_run, "pg_restore", dsn, *whole, str(path))
    proof = await verify_stored(pool, kept=known.head)
    if isinstance(proof, Broken):
        raise DataError("audit_chain", proof.sequence, proof.problem, f"{proof.links} links before it hold")
    return proof


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _onto_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _run(program: str, dsn: str, *arguments: str) -> None:
    """Run one of Postgres' programs on the database of `dsn`; the password goes by the environment, where no other
    user can read it. StackError with its last line when it fails."""
    at = urlsplit(dsn)
    where = {"PGHOST": at.hostname or "localhost", "PGPORT": str(at.port or 5432), "PGUSER": unquote(at.username or "")}
    where |= {"PGPASSWORD": unquote(at.password or ""), "PGDATABASE": at.path.removeprefix("/")}
    aimed = ("--dbname", where["PGDATABASE"]) if program == "pg_restore" else ()
    try:
        done = subprocess.run(
            [str(programs() / program), "--no-password", *aimed, *arguments],
            env=child_environment(LC_ALL="C", **where),
            capture_output=True,
            text=True,
            timeout=PROGRAM_S,
        )
        last = (done.stderr.strip() or "no message").splitlines()[-1] if done.returncode else ""
    except subprocess.TimeoutExpired:
        last = f"has not ended within {PROGRAM_S:g} s"
    if last:
        raise StackError(program, f"{where['PGHOST']}:{where['PGPORT']}", last, "nothing was changed; see `mts status`")
