"""`mts data`: figures as JSON, and one line with exit code 2 for each mistake."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from mts1b.cli import data
from mts1b.cli.main import build_app, guarded
from mts1b.datalake import open_lake


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """`mts WORDS` in this process; its exit code."""
    monkeypatch.setattr("sys.argv", ["mts", *words])
    app = build_app(["data"])
    return guarded(lambda: app(standalone_mode=False), debug=False)


def test_ingest_then_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    place = ("--data-dir", str(tmp_path))
    assert run(monkeypatch, "data", "status", *place) == 0
    assert "mts data ingest sample" in capsys.readouterr().out
    assert run(monkeypatch, "data", "ingest", data.SAMPLE, "--json", *place) == 0
    facts = json.loads(capsys.readouterr().out)["datasets"][0]
    assert (facts["symbols"], facts["rows"], facts["first"], facts["last"]) == (
        100,
        251_800,
        "2008-01-02",
        "2017-12-29",
    )
    assert run(monkeypatch, "data", "status", "--verify", "--json", *place) == 0
    assert json.loads(capsys.readouterr().out)["datasets"] == [facts]
    assert run(monkeypatch, "data", "status", *place) == 0
    assert "251,800 rows" in capsys.readouterr().out


def test_verify_and_compact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    place = ("--data-dir", str(tmp_path))
    trades = open_lake(tmp_path / "lake").equities.borrow
    for day in (2, 3):
        stamp = datetime(2024, 1, day, tzinfo=UTC)
        trades.upsert(pl.DataFrame({"symbol": ["A"], "ts": [stamp], "rate": [0.1], "known_ts": [stamp]}))
    assert run(monkeypatch, "data", "compact", "--json", "--keep-days", "0", *place) == 0
    facts = json.loads(capsys.readouterr().out)["datasets"][0]
    assert (facts["files"], facts["rows"]) == (1, 2)
    assert len(list((tmp_path / "lake").rglob("*.parquet"))) == 1
    assert run(monkeypatch, "data", "verify", *place) == 0
    assert "2 rows in 1 tables are as they were written" in capsys.readouterr().out
    file = next((tmp_path / "lake").rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-9])
    assert run(monkeypatch, "data", "verify", "--json", *place) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("ingest", "{tmp}/none.parquet"), "no such file"),
        (("ingest", "{tmp}/damaged.parquet"), "cannot be read"),
        (("ingest", "sample", "--interval", "dayly"), "did you mean: daily"),
        (("ingest", "sample", "--data-dir", "{tmp}/damaged.parquet"), "cannot be written"),
    ],
)
def test_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, words: tuple, expected: str
) -> None:
    (tmp_path / "damaged.parquet").write_text("not Parquet")
    given = [word.format(tmp=tmp_path) for word in words]
    place = () if "--data-dir" in words else ("--data-dir", str(tmp_path))
    assert run(monkeypatch, "data", *given, *place) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and said[0].startswith("error: ") and expected in said[0] and ";" in said[0]


def test_sectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "sectors.csv"
    file.write_text("symbol,sector\nAAPL,Technology\nXOM,Energy\n")
    place = ("--data-dir", str(tmp_path / "data"))
    assert run(monkeypatch, "data", "sectors", str(file), "--json", *place) == 0
    known = json.loads(capsys.readouterr().out)["datasets"][0]
    assert (known["dataset"], known["symbols"], known["sources"]) == ("equities.sectors", 2, ["sectors.csv"])
    assert run(monkeypatch, "data", "status", *place) == 0
    assert "equities.sectors: 2 symbols" in capsys.readouterr().out
    file.write_text("symbol,sector\nAAPL,\n")
    assert run(monkeypatch, "data", "sectors", str(file), *place) == 2
    assert "a value is missing" in capsys.readouterr().err
