"""What a live fund is to trade, in its folder: the desk's process and its actors read it whenever they start."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

from actors.desk import DeskPlan
from mts1b.strategy.panel import Panel

PLAN_FILE, PANEL_FILE = "plan.pickle", "panel.pickle"

Dumps = Callable[[object], bytes]


@dataclass(frozen=True, slots=True)
class Kept:
    """A panel in a file: an actor that starts again has it from there, whoever else has died."""

    path: str

    def get(self) -> Panel:
        return cast(Panel, pickle.loads(Path(self.path).read_bytes()))  # noqa: S301 - a private file of our own


@dataclass(frozen=True, slots=True)
class LivePlan:
    """A desk's plan, and how long a session of the replayed market lasts at least."""

    desk: DeskPlan
    interval_s: float = 0.0

    def save(self, folder: Path, dumps: Dumps) -> None:
        """Write it down. `dumps` also takes strategies out of files (Ray's cloudpickle)."""
        told: dict[str, Any] = {item.name: getattr(self.desk, item.name) for item in fields(self.desk)}
        panel = told.pop("panel")
        _write(folder / PANEL_FILE, pickle.dumps(panel))
        _write(folder / PLAN_FILE, dumps((told, self.interval_s)))

    @classmethod
    def load(cls, folder: Path) -> LivePlan:
        told, interval_s = pickle.loads((folder / PLAN_FILE).read_bytes())  # noqa: S301 - as above
        return cls(DeskPlan(panel=kept_panel(folder).get(), **told), interval_s)


def kept_panel(folder: Path) -> Kept:
    """The panel of a live fund."""
    return Kept(str(folder / PANEL_FILE))


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_bytes(content)
    fresh.replace(path)
