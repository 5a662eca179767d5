"""Where Prometheus finds the processes of this machine: a file for each in a directory that it watches.

The file (`file_sd_configs`) says which service the process is, so that no metric has to. Labels beginning with `__` are
for us: Prometheus drops them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import psutil

LOOPBACK = "127.0.0.1"


def write_target(path: Path, port: int, labels: dict[str, str]) -> None:
    """List this process, whose metrics are at `port` of loopback."""
    pid, created = os.getpid(), psutil.Process().create_time()
    content = [
        {"targets": [f"{LOOPBACK}:{port}"], "labels": {**labels, "__pid__": str(pid), "__created__": str(created)}}
    ]
    fresh = path.with_name(f".{path.name}.{pid}")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh.write_text(json.dumps(content))
    fresh.replace(path)  # Prometheus reads it when it appears, so it must be whole


def live_targets(targets: Path) -> list[dict[str, str]]:
    """Labels and address of every process that shows metrics now; files of processes that have ended are removed."""
    found = []
    for path in sorted(targets.glob("*.json")):
        try:
            (entry,) = json.loads(path.read_text())
            labels = dict(entry["labels"])
            alive = _is_alive(int(labels["__pid__"]), float(labels["__created__"]))
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError):
            alive = False
        if alive:
            found.append({**labels, "address": str(entry["targets"][0])})
        else:
            path.unlink(missing_ok=True)
    return found


def _is_alive(pid: int, created: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - created) < 2.0
    except psutil.NoSuchProcess:
        return False
