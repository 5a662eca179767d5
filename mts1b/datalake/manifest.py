"""The list of files that make up a dataset right now. Replacing it is what makes an ingest atomic."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mts1b.datalake.schema import ADJUSTMENT
from mts1b.foundation.errors import DataError
from mts1b.foundation.ids import digest

FILE = "manifest.json"
FORMAT = 1
"""Of the files and of this list. A reader refuses any other."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file: `key` is its partition (`year=2008` or `year=2024/month=01`), `content` the digest of its bars.

    `vwap`: some of its bars have a volume-weighted price.
    """

    key: str
    file: str
    content: str
    rows: int
    bytes: int
    first_ns: int
    last_ns: int
    vwap: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """All parts of one interval's bars by key, the symbols they hold. `sources`: what was ingested, in order."""

    interval: str
    parts: tuple[Part, ...]
    symbols: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def version(self) -> str:
        """Digest of every stored bar: equal data have equal versions wherever and however often they were ingested."""
        return digest("bars", FORMAT, self.interval, ADJUSTMENT, *(f"{part.key}:{part.content}" for part in self.parts))

    @property
    def vwap(self) -> bool:
        """Whether any bar has a volume-weighted price."""
        return any(part.vwap for part in self.parts)

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def first_ns(self) -> int:
        return min(part.first_ns for part in self.parts)

    @property
    def last_ns(self) -> int:
        return max(part.last_ns for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, "adjustment": ADJUSTMENT, "version": self.version, **asdict(self)}


def load(directory: Path) -> Manifest | None:
    """The manifest of the dataset in `directory`; None when nothing was ingested. DataError when it cannot be read."""
    path = directory / FILE
    try:
        found = json.loads(path.read_text())
        if found["format"] != FORMAT:
            raise DataError("lake", str(path), f"format {found['format']}, this code reads {FORMAT}", "ingest again")
        parts = tuple(Part(**part) for part in found["parts"])
        return Manifest(found["interval"], parts, tuple(found["symbols"]), tuple(found["sources"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError("lake", str(path), f"unreadable manifest ({type(error).__name__})", "ingest again") from None


def save(directory: Path, manifest: Manifest) -> None:
    """Replace the manifest in one step; a crash leaves the old one or the new one. OSError passes through."""
    temporary = directory / f".{FILE}.{os.getpid()}"
    with temporary.open("w") as out:
        json.dump(manifest.to_json(), out, indent=1)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(directory / FILE)
    sync_directory(directory)


def sync_directory(directory: Path) -> None:
    """Make renames in `directory` survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
