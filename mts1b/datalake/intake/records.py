"""What the lake keeps of its deliveries: rows in quarantine, and the files that were taken in."""

from __future__ import annotations

from mts1b.datalake.columns import count, instant, prose, text, whole
from mts1b.datalake.definitions import Definition, Storage

HELD, RELEASED, DROPPED = "held", "released", "dropped"
STATES = (HELD, RELEASED, DROPPED)
"""Of a row in quarantine: waiting for a person, stored after all, not wanted. None is ever deleted."""

QUARANTINE = Definition(
    "intake",
    "quarantine",
    (
        text("id"),
        text("source", "file it came in"),
        text("content", "digest of that file"),
        whole("line", "in the file, from 1; 0: the file as a whole"),
        text("market"),
        text("interval"),
        text("symbol").where_known(),
        instant("ts").where_known(),
        text("checks", "it fails, joined by +"),
        prose("reasons"),
        prose("raw", "the row as it was delivered, in JSON").where_known(),
        prose("bar", "as it would be stored, in JSON").where_known(),
        text("state", "held, released or dropped"),
        instant("taken_ts"),
        text("decided_by").where_known(),
        instant("decided_ts").where_known(),
    ),
    ("id",),
    {"": Storage()},
    time=None,
    about="rows that failed a check",
)

FILES = Definition(
    "intake",
    "files",
    (
        text("id", "digest of content and terms"),
        text("source"),
        text("content", "digest of its bytes"),
        text("kind", "bars, factors or map"),
        text("market"),
        text("interval"),
        count("rows"),
        count("stored"),
        count("quarantined"),
        prose("notes").where_known(),
        instant("taken_ts"),
    ),
    ("id",),
    {"": Storage()},
    time=None,
    about="files that were taken in",
)
