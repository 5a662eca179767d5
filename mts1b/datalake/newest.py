"""The newest version's files in one small file beside the log, so that a new handle need not read the log.

It is derived. Whoever commits leaves it behind; a reader believes it where it is whole, the log's entry of its number
is the one it was made from, and no entry follows. Otherwise the log is read. `mts data verify` compares the two.
"""

from __future__ import annotations

import json
import os
from hashlib import blake2b
from typing import Any

from mts1b.datalake.snapshot import Extent, Snapshot, StoredFile
from mts1b.datalake.storage import Place
from mts1b.foundation.ids import DIGEST_BYTES
from mts1b.platform.logging import get_logger

LOG = "_delta_log"

NAME = ".newest.json"
"""Hidden, so that neither `deltalake` nor other tools take it for a file of the table."""

HEX = 2 * DIGEST_BYTES


def entry(number: int) -> str:
    """The file in which the log has a version."""
    return f"{LOG}/{number:020}.json"


def leave(place: Place, snapshot: Snapshot) -> None:
    """Write it, whole or not at all. The version stands without it: where it cannot be written, a warning says so."""
    try:
        with open(place.address(entry(snapshot.number)), "rb") as log:
            made_from = _digest(log.read())
        files = [_row(file) for file in snapshot.files]
        body = json.dumps([snapshot.table, snapshot.number, made_from, files], separators=(",", ":")).encode()
        written = place.address(f"{NAME}.{os.getpid()}")
        with open(written, "wb") as out:
            out.write(_digest(body).encode() + body)
        os.replace(written, place.address(NAME))
    except OSError as error:
        get_logger(__name__).warning("newest version not noted", place=place.root, problem=str(error))


def told(place: Place) -> Snapshot | None:
    """The newest version, as far as it can be believed; None: read the log. A damaged one is warned of."""
    try:
        with open(place.address(NAME), "rb") as held:
            content = held.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        get_logger(__name__).warning("newest version noted cannot be read", place=place.root, problem=str(error))
        return None
    body = content[HEX:]
    if content[:HEX] != _digest(body).encode():
        get_logger(__name__).warning("newest version noted is damaged", place=place.root, remedy="any write mends it")
        return None
    table, number, made_from, files = json.loads(body)
    if place.exists(entry(number + 1)):
        return None
    try:
        with open(place.address(entry(number)), "rb") as log:
            same = _digest(log.read()) == made_from
    except FileNotFoundError:
        return None
    return Snapshot(table, number, tuple(_file(row) for row in files)) if same else None


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


def _row(file: StoredFile) -> list[Any]:
    extent = file.extent
    ends = (extent.low, extent.high, extent.first_us, extent.last_us)
    return [file.path, file.rows, file.bytes, ends, sorted(file.lacks)]


def _file(row: list[Any]) -> StoredFile:
    path, rows, size, ends, lacks = row
    return StoredFile.of(path, rows, size, Extent(*ends), frozenset(lacks))
