"""What a benchmark gives, and what machine gave it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class BenchResult:
    """Figures of one run, units last in each name; `versus` holds the peer's figures and ratios to them."""

    name: str
    figures: Mapping[str, float]
    versus: Mapping[str, float]

    def to_json(self) -> str:
        """The standing form: name, figures, versus, machine."""
        content = {"name": self.name, "figures": self.figures, "versus": self.versus, "machine": machine()}
        return json.dumps({key: dict(value) if isinstance(value, Mapping) else value for key, value in content.items()})


def machine() -> dict[str, str | int | float]:
    """What the figures were measured on; `load_average` tells whether anything else was running."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
