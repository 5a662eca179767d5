"""Where a running exchange answers: one file in its folder that its owner alone may read."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

ENDPOINT_FILE = "exchange.json"
LOG_FILE = "exchange.log"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`url` is http://host:port without a path. `pid` is the exchange's process."""

    url: str
    token: str = field(repr=False)
    pid: int

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def read_endpoint(folder: Path) -> Endpoint | None:
    """What the exchange of `folder` wrote down last; None when there is nothing readable."""
    try:
        return Endpoint(**json.loads((folder / ENDPOINT_FILE).read_text()))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None


def write_endpoint(folder: Path, endpoint: Endpoint) -> None:
    """Replaces the file at once, so that nobody reads half of it."""
    fresh = folder / f".{ENDPOINT_FILE}.{endpoint.pid}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(asdict(endpoint)))
    fresh.replace(folder / ENDPOINT_FILE)


def kept_token(folder: Path) -> str:
    """The token of the last run, so that clients outlive a restart; a fresh one the first time."""
    last = read_endpoint(folder)
    return last.token if last else secrets.token_urlsafe(24)


def kept_port(folder: Path) -> int:
    """The port of the last run, 0 the first time."""
    last = read_endpoint(folder)
    return int(last.url.rsplit(":", 1)[1]) if last else 0
