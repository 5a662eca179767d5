"""Whatever is asked wrongly: exit code 2 and one line with field, value and remedy. No Ray is started."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mts1b.datalake import open_lake, sample_path

SWEEP = ("sweep", "--local", "--strategy", "sma_cross", "--grid", "fast=5:20:5", "--grid", "slow=30:60:10")
PAPER = ("paper", "run", "--strategy", "sma_cross")

CASES = [
    ("unknown symbol", (*SWEEP, "--symbols", "APPL"), ("symbol='APPL'", "AAPL")),
    ("unknown symbol on paper", (*PAPER, "--symbols", "APPL"), ("symbol='APPL'", "AAPL")),
    ("unknown strategy", ("sweep", "--local", "--strategy", "sma_cros"), ("strategy='sma_cros'", "sma_cross")),
    ("unknown strategy on paper", ("paper", "run", "--strategy", "sma_cros"), ("strategy='sma_cros'", "sma_cross")),
    ("no bars in the range", (*SWEEP, "--start", "2019-01-01", "--end", "2019-02-01"), ("2019-01-01", "2017-12-29")),
    ("inverted range", (*SWEEP, "--start", "2015-01-02", "--end", "2014-01-02"), ("start", "2015-01-02")),
    ("no date", (*SWEEP, "--start", "yesterday"), ("start", "yesterday")),
    ("grid out of range", ("sweep", "--local", "--strategy", "sma_cross", "--grid", "fast=1:900:10"), ("fast", "5")),
    ("grid of nothing", (*SWEEP, "--where", "fast > slow"), ("fast > slow",)),
    ("parameter nobody has", ("sweep", "--local", "--strategy", "sma_cross", "--grid", "fats=5"), ("fats", "fast")),
    ("window longer than history", (*SWEEP, "--start", "2017-12-01"), ("slow", "history")),
    ("paper beyond the data", (*PAPER, "--start", "2017-12-20", "--sessions", "60"), ("sessions=60", "start earlier")),
    ("no such file", ("data", "ingest", "nowhere.parquet"), ("nowhere.parquet", "no such file")),
    ("unreadable data file", ("data", "ingest", "{damaged}"), ("damaged.parquet", "cannot be read")),
    ("unwritable data directory", ("data", "ingest", "sample", "--data-dir", "{file}/x"), ("data_dir", "--data-dir")),
    ("unwritable stack directory", ("up", "--data-dir", "{file}/x"), ("data_dir", "--data-dir")),
    ("a port that is taken", ("up", "--dashboard-port", "{taken}"), ("ray.dashboard_port={taken}", "taken")),
    ("no stack for a sweep", tuple(word for word in SWEEP if word != "--local"), ("stack", "mts up")),
    ("no stack for paper", PAPER, ("stack", "mts up")),
    ("no stack for the audit", ("audit", "verify"), ("stack", "mts up")),
    ("json into nowhere", ("quickstart", "--json", "{file}/x.json"), ("json", "give another file")),
]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A data directory with the sample and no stack, a damaged file, a file where a folder should be, a taken port."""
    home = tmp_path_factory.mktemp("bad_input")
    open_lake(home / "data" / "lake").equities.bars.ingest(sample_path())
    (home / "damaged.parquet").write_bytes(b"PAR1 this is no table PAR1")
    (home / "file").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield {
            "data": str(home / "data"),
            "damaged": str(home / "damaged.parquet"),
            "file": str(home / "file"),
            "taken": str(listener.getsockname()[1]),
        }


@pytest.mark.parametrize(("arguments", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_one_line_and_exit_2(places: dict[str, str], arguments: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "mts"), *(word.format(**places) for word in arguments)],
        env={**os.environ, "MTS_DATA_DIR": places["data"], "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    told = done.stderr.strip().splitlines()
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert len(told) == 1 and told[0].startswith("error: ") and "; " in told[0], done.stderr
    assert done.stdout == ""
    for text in wanted:
        assert text.format(**places) in told[0], told[0]
