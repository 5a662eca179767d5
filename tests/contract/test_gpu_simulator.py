"""The GPU backend equals the others under the CUDA simulator, which numba must be told of before it is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mts1b.config import child_environment

TESTS = Path(__file__).with_name("gpu_simulated.py")


@pytest.mark.timeout(1200)
def test_every_strategy_and_node_under_the_simulator() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "-W", "ignore", str(TESTS)],
        env=child_environment(NUMBA_ENABLE_CUDASIM="1"),
        cwd=TESTS.parents[2],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0 and " passed" in ended.stdout, ended.stdout[-6000:] + ended.stderr[-2000:]
