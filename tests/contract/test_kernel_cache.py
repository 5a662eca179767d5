"""A kernel is compiled once on a machine, not once in every process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mts1b.config import child_environment

CODE = """
from mts1b.strategy import get_strategy
from mts1b.strategy.program import program_of
from tests.unit.strategy.panels import made_panel
program = program_of(get_strategy("buy_and_hold").root)
program.targets({}, made_panel(5, 2))
stats = program.decide_loop.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def hits_and_misses(home: Path) -> list[int]:
    out = subprocess.run(
        [sys.executable, "-c", CODE],
        env=child_environment(HOME=str(home)),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(number) for number in out.stdout.split()]


def test_the_second_process_finds_the_kernel_of_the_first(tmp_path: Path) -> None:
    assert hits_and_misses(tmp_path) == [0, 1]
    assert hits_and_misses(tmp_path) == [1, 0]
