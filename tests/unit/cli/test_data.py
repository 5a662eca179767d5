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


def test_a_file_with_offenders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    lines = ["symbol,ts,open,high,low,close,volume"]
    lines += [f"AAA,2024-01-{day:02},10,11,9,10.{day},100" for day in (2, 3, 4, 5, 8)]
    lines[3] = lines[3].replace(",11,", ",8,")
    lines[5] = lines[5].replace("2024-01-08", "2024-01-07")
    file = tmp_path / "bars.csv"
    file.write_text("\n".join(lines))
    place = ("--data-dir", str(tmp_path / "data"))

    def said(*words: str, code: int = 0) -> str:
        assert run(monkeypatch, "data", *words, *place) == code
        return "".join(capsys.readouterr())

    facts = json.loads(said("ingest", str(file), "--json"))
    assert (facts["rows"], facts["stored"], facts["quarantined"]) == (5, 3, 2)
    assert facts["files"][0]["checks"] == {"calendar": 1, "high-below-low": 1}
    assert facts["datasets"][0]["rows"] == 3
    assert "taken in before" in said("ingest", str(file))
    assert "2 in quarantine" in said("ingest", str(file), "--again")
    listed = said("quarantine", "list")
    assert "high 8.0 is below low 9.0" in listed and "2024-01-07 is no session of XNYS" in listed
    found = json.loads(said("quarantine", "list", "--json"))
    first, second = (row["id"] for row in found["first"])
    assert '"high": "8"' in said("quarantine", "show", first) and found["rows"] == 2
    assert "is no bar" in said("quarantine", "release", first, code=2)
    assert "no row is named" in said("quarantine", "release", code=2)
    assert json.loads(said("quarantine", "release", second, "--by", "ann", "--json")) == {"released": 1}
    assert "1 rows dropped" in said("quarantine", "drop", "--check", "high-below-low", "--by", "ann")
    assert "nothing in quarantine" in said("quarantine", "list") and "dropped by ann" in said(
        "quarantine", "show", first
    )
    status = said("status")
    assert "equities.bars daily: 1 symbols, 4 rows" in status and "intake.quarantine" in status
    assert "are as they were written" in said("verify")


def test_terms_of_a_delivery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    file, place = tmp_path / "aaa.csv", ("--data-dir", str(tmp_path / "data"))
    file.write_text("2024-01-02 09:31:00,10,11,9,10,100\n2024-01-02 09:32:00,10,11,9,10,100\n")
    words = ("ingest", str(file), "--interval", "1m", "--json", *place)
    assert run(monkeypatch, "data", *words) == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["checks"] == {"header": 2}
    told = ("--columns", "ts,open,high,low,close,volume", "--zone", "America/New_York", "--stamps", "end")
    assert run(monkeypatch, "data", *words, *told) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["files"][0]["notes"] == ["the symbol is the file's name: AAA"] and facts["files"][0]["stored"] == 2
    members = tmp_path / "members.csv"
    members.write_text("ticker,start_date,end_date\nAAA,2020-01-02,\n")
    table = ("--dataset", "equities.index_membership", "--universe", "MINE", "--json")
    assert run(monkeypatch, "data", "ingest", str(members), *table, *place) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 1
    assert run(monkeypatch, "data", "ingest", str(file), "--zone", "Nowhere", *place) == 2
    assert "no such time zone" in capsys.readouterr().err


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
