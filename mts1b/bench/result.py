"""What a benchmark gives, and what machine gave it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from mts1b.foundation.clock import Clock, from_ns
from mts1b.foundation.errors import DataError


@dataclass(frozen=True, slots=True)
class BenchResult:
    """Figures of one run, units last in each name; `versus` holds the peer's figures and ratios to them."""

    name: str
    figures: Mapping[str, float]
    versus: Mapping[str, float]

    def to_json(self, clock: Clock) -> str:
        """The standing form: name, figures, versus, machine."""
        content = {
            "name": self.name,
            "figures": dict(self.figures),
            "versus": dict(self.versus),
            "machine": machine(clock),
        }
        return json.dumps(content)


@dataclass(frozen=True, slots=True)
class SavedResult:
    """A result as it was written down, with the machine and the date it was measured on."""

    name: str
    figures: Mapping[str, float]
    versus: Mapping[str, float]
    machine: Mapping[str, str | int | float]


def read_result(path: Path) -> SavedResult:
    """Read one saved document. DataError when it is none."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        return SavedResult(content["name"], content["figures"], content["versus"], content["machine"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        remedy = "write it with `mts bench NAME --save FOLDER`"
        raise DataError("result", str(path), f"not a benchmark's result ({error!r})", remedy) from None


def machine(clock: Clock) -> dict[str, str | int | float]:
    """What the figures were measured on; `load_average` tells whether anything else was running."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
        "date": from_ns(clock.now_ns()).date().isoformat(),
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
