"""How long the first use of a strategy takes, with no kernel stored and from the disk cache, beyond imports.

Each is measured in a process of its own (`mts1b.bench.first_use_task`), whose home is an empty directory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from mts1b.bench.result import BenchResult
from mts1b.bench.session import Session
from mts1b.config import child_environment
from mts1b.foundation.errors import InvariantBroken
from mts1b.strategy.library import names as library_names

QUICK = ("sma_cross",)

TIMEOUT_S = 600


def compile_times(session: Session) -> BenchResult:
    """Seconds of the first sweep and the first live step of each strategy: nothing stored, then from the disk.

    `first_use_s` and `from_disk_s` are those of the slowest. InvariantBroken when both do not give the same.
    """
    chosen = QUICK if session.quick else library_names()
    figures: dict[str, float] = {"strategies": len(chosen)}
    first: dict[str, float] = {}
    disk: dict[str, float] = {}
    for name in chosen:
        session.tell(name)
        with tempfile.TemporaryDirectory(prefix="mts1b-kernels-") as home:
            cold, warm = measured(name, home), measured(name, home)
        if cold["digest"] != warm["digest"]:
            raise InvariantBroken(name, cold["digest"], "compiled anew it gives other results than from the disk cache")
        for use in ("sweep", "step"):
            figures[f"{name}_{use}_first_s"] = float(cold[f"{use}_s"])
            figures[f"{name}_{use}_from_disk_s"] = float(warm[f"{use}_s"])
        first[name] = max(float(cold["sweep_s"]), float(cold["step_s"]))
        disk[name] = max(float(warm["sweep_s"]), float(warm["step_s"]))
    figures |= {"first_use_s": max(first.values()), "from_disk_s": max(disk.values())}
    return BenchResult("compile", figures, {})


def measured(name: str, home: str) -> dict[str, float | str]:
    """What a fresh process tells of its first use of the strategy."""
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "mts1b.bench.first_use_task", name],
        env=child_environment(HOME=home),
        cwd=Path(home),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if ran.returncode:
        raise InvariantBroken("strategy", name, f"its first use ended with {ran.returncode}: {ran.stderr[-500:]}")
    found: dict[str, float | str] = json.loads(ran.stdout)
    return found
