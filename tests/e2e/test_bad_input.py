"""Whatever is asked wrongly: exit code 2 and one line with field, value and remedy. No Ray is started."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from mts1b.datalake import open_lake, sample_path
from tests.unit.datalake.made_bars import bars

SWEEP = ("sweep", "--local", "--strategy", "sma_cross", "--grid", "fast=5:20:5", "--grid", "slow=30:60:10")
PAPER = ("paper", "run", "--strategy", "sma_cross")

WIDE = ("sweep", "--local", "--strategy", "{own}/wide.py")
TRILLION = tuple(word for name in "abcd" for word in ("--grid", f"{name}=1:1001:1"))

STRATEGIES = {
    "wide": ("a=param(1, 1_000), b=param(1, 1_000), c=param(1, 1_000), d=param(1, 1_000)", "sma(close, a + b + c + d)"),
    "zero": ("n=param(0, 50)", "sma(close, n)"),
    "idle": ("n=param(2, 50), m=param(1, 5)", "sma(close, n)"),
    "loud": ("size=param(0.0, 10.0)", "sma(close, 5) / size"),
}
"""Users' strategies: name, parameters, what the close is compared with or multiplied by."""

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
    ("a grid of 10^12", (*WIDE, *TRILLION), ("1,000,000,000,000 combinations", "--sample")),
    ("a sample larger than its grid", (*SWEEP, "--sample", "99"), ("sample=99", "the grid holds 9")),
    ("a window of 0", ("sweep", "--local", "--strategy", "{own}/zero.py"), ("sma(close, n)='0'", "raise its bounds")),
    (
        "a parameter no node uses",
        ("sweep", "--local", "--strategy", "{own}/idle.py"),
        ("idle.m", "use it or remove it"),
    ),
    ("infinite weights", ("backtest", "{own}/loud.py", "--param", "size=0"), ("size", "not finite", "clip()")),
    (
        "a setting that nobody has",
        ("--set", "db.primary.pool_sise=3", "data", "status"),
        ("db.primary.pool_sise", "did you mean db.primary.pool_size?"),
    ),
    ("json into nowhere", ("quickstart", "--json", "{file}/x.json"), ("json", "give another file")),
]


def write_own(home: Path) -> None:
    """Users' files: strategies, and bars with one thing wrong in each."""
    for name, (params, value) in STRATEGIES.items():
        (home / f"{name}.py").write_text(
            "from mts1b.strategy import close, param, sma, strategy\n\n\n@strategy\n"
            f'def {name}({params}):\n    """One of a user\'s own."""\n    return {value}\n'
        )
    good = bars(["AAPL"], days=20)
    at = pl.int_range(pl.len()) == 7
    good.with_columns(pl.when(at).then(-1.0).otherwise("close").alias("close")).write_csv(home / "negative.csv")
    good.with_columns(pl.when(at).then(float("nan")).otherwise("close").alias("close")).write_csv(home / "unknown.csv")
    pl.concat([good, good[7:8]]).write_csv(home / "twice.csv")
    shuffled = pl.concat([bars(["ONE"], days=260), bars(["TWO"], date(2024, 3, 1), days=260)])
    shuffled.sample(fraction=1.0, shuffle=True, seed=1).write_csv(home / "shuffled.csv")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A data directory with the sample and no stack, a damaged file, a file where a folder should be, a taken port."""
    home = tmp_path_factory.mktemp("bad_input")
    open_lake(home / "data" / "lake").equities.bars.ingest(sample_path())
    (home / "damaged.parquet").write_bytes(b"PAR1 this is no table PAR1")
    (home / "file").write_text("")
    write_own(home)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield {
            "data": str(home / "data"),
            "damaged": str(home / "damaged.parquet"),
            "file": str(home / "file"),
            "own": str(home),
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


@pytest.mark.parametrize(
    ("file", "words"),
    [("negative", "close is -1.0, not above zero"), ("unknown", "close is missing"), ("twice", "a copy of row")],
)
def test_a_bad_row_waits_in_quarantine_and_the_rest_is_stored(places: dict[str, str], file: str, words: str) -> None:
    mts, home = str(Path(sys.executable).parent / "mts"), f"{places['own']}/{file}-lake"
    environment = {**os.environ, "MTS_DATA_DIR": home, "NO_COLOR": "1"}
    command = [mts, "data", "ingest", f"{places['own']}/{file}.csv", "--calendar", "none"]
    done = subprocess.run([*command, "--json"], env=environment, capture_output=True, timeout=120, check=True)
    found = json.loads(done.stdout)
    assert found["quarantined"] == 1 and found["stored"] == found["rows"] - 1 > 0
    assert words in found["files"][0]["reasons"][0], found["files"][0]


def test_rows_in_any_order_and_calendars_that_differ_have_a_rule(places: dict[str, str]) -> None:
    """Rows are sorted. The calendar is the union of the names'; a name without a bar is left alone, and one that comes
    late is warned about."""
    mts, home = str(Path(sys.executable).parent / "mts"), f"{places['own']}/calendars"
    environment = {**os.environ, "MTS_DATA_DIR": home, "NO_COLOR": "1"}
    ingest = [mts, "data", "ingest", f"{places['own']}/shuffled.csv", "--calendar", "none"]
    subprocess.run(ingest, env=environment, check=True, timeout=120)
    done = subprocess.run([mts, *SWEEP, "--json", "-"], env=environment, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    days = {*range(date(2024, 1, 2).toordinal(), date(2024, 1, 2).toordinal() + 260)}
    days |= {*range(date(2024, 3, 1).toordinal(), date(2024, 3, 1).toordinal() + 260)}
    assert (found["bars"], found["symbols"]) == (len(days), 2)
    assert any("1 of 2 names have no bar yet at the start" in warning for warning in found["warnings"])
