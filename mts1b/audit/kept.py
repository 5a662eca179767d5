"""The head of the chain, kept apart from the database: whoever cuts the chain off there does not reach it here."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from mts1b.audit.chain import GENESIS, Head
from mts1b.foundation.errors import DataError


def read_head(path: Path) -> Head:
    """The head that was kept last; the beginning when there is none. DataError when the file makes no sense."""
    try:
        known = json.loads(path.read_text())
        return Head(int(known["sequence"]), str(known["hash"]))
    except FileNotFoundError:
        return GENESIS
    except (ValueError, KeyError, TypeError):
        raise DataError("audit_head", str(path), "is damaged", "restore it from a backup, or remove it") from None


def keep_head(path: Path, head: Head) -> None:
    """Keep a head that has been verified, in place of an earlier one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(asdict(head)))
    fresh.replace(path)
