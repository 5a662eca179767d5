"""What importing a room costs, measured in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest


def test_importing_the_foundation_stays_lean() -> None:
    """The source's figure: under 10 MB resident above the interpreter, and the standard library alone."""
    script = """
import re, sys
def rss_kb(): return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read()).group(1))
before = rss_kb()
import mts1b.foundation.bar, mts1b.foundation.clock, mts1b.foundation.commands, mts1b.foundation.errors
import mts1b.foundation.events, mts1b.foundation.fill, mts1b.foundation.ids, mts1b.foundation.limits
import mts1b.foundation.order, mts1b.foundation.position
print(rss_kb() - before, any(m in sys.modules for m in ("numpy", "pydantic", "ray", "polars")))
"""
    out = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True).stdout
    grown_kb, heavy = out.split()
    assert int(grown_kb) < 10 * 1024 and heavy == "False"


GROWTH = """
import re, sys
def rss_kb(): return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read()).group(1))
import asyncio, logging, ssl, mts1b.config
before = rss_kb()
{work}
print(rss_kb() - before, sorted(m for m in ("rich", "pygments", "click", "trio") if sys.modules.get(m)))
"""


OPENED = """
from mts1b.platform.http import http_client
async def opened():
    async with http_client("polygon"):
        pass
asyncio.run(opened())
"""


@pytest.mark.parametrize(
    ("primitive", "work", "most_mb"),
    [
        ("logging", "from mts1b.platform.logging import setup_logging; setup_logging('x')", 5),
        ("http", OPENED, 10),
    ],
)
def test_primitives_stay_lean(primitive: str, work: str, most_mb: int) -> None:
    """The source's figures: logging about 5 MB, the HTTP client about 10 MB, above the settings; no terminal in it."""
    script = GROWTH.format(work=work)
    out = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True).stdout
    grown_kb, heavy = out.split(maxsplit=1)
    assert int(grown_kb) < most_mb * 1024 and heavy == "[]\n", (primitive, out)


def test_actors_hold_what_they_use() -> None:
    """Within the source's figures: no exchange's client, lake and kernels, and Postgres's client in the OMS alone."""
    heavy = ("aiohttp", "asyncpg", "httpx", "polars", "numba")
    script = f"import sys, ray, actors.wiring; print([name for name in {heavy} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True).stdout
    assert out == "[]\n"
