"""An ingest that is killed at any moment leaves the lake as it was before or as it is after, never between."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mts1b.datalake import open_lake
from tests.unit.datalake.made_bars import bars

KILLS = 6

INGEST_FOR_EVER = """
import sys
from itertools import cycle
from mts1b.datalake import open_lake
from tests.unit.datalake.made_bars import bars
lake, versions = open_lake(sys.argv[1]), [bars(days=2000, seed=seed) for seed in (1, 2)]
for version in cycle(versions):
    lake.equities.bars.ingest(version)
    print("ingested", flush=True)
"""


def test_a_killed_ingest_leaves_a_whole_version(tmp_path: Path) -> None:
    references = []
    for seed in (1, 2):
        reference = open_lake(tmp_path / f"reference-{seed}").equities.bars
        reference.ingest(bars(days=2000, seed=seed))
        references.append(reference.read())
    made = open_lake(tmp_path / "lake").equities.bars
    made.ingest(bars(days=2000, seed=1))
    root = Path(__file__).parents[2]
    for kill in range(KILLS):
        command = [sys.executable, "-c", INGEST_FOR_EVER, str(tmp_path / "lake")]
        with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(1 + kill % 2):
                assert child.stdout.readline() == "ingested\n"
            try:
                child.wait(timeout=0.003 * kill)  # lets the next ingest get a little further each time
            except subprocess.TimeoutExpired:
                child.kill()
        found = made.read()
        assert any(found.equals(reference) for reference in references)
        assert made.verify() == found.height
    held = made.ingest(bars(days=2000, seed=1))
    assert made.read().equals(references[0])
    made.forget(older_than_s=0)
    left = {str(path) for path in Path(made.place.root).rglob("*.parquet")}
    assert left == set(held.files())
