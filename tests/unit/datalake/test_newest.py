"""The newest version as it is noted beside the log: believed where it is right, and nothing is lost where it is not."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from structlog.testing import capture_logs

from mts1b.datalake import log, newest, open_lake
from mts1b.datalake.bars import Bars
from mts1b.foundation.errors import DataError
from tests.unit.datalake.made_bars import bars as made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for year in (2012, 2022):
        bars_of(tmp_path).ingest(made(days=30, first=date(year, 1, 2)))
    return tmp_path


def bars_of(root: Path) -> Bars:
    return open_lake(root).equities.bars


def noted(root: Path) -> Path:
    return Path(bars_of(root).table("daily").place.root) / newest.NAME


def rows(root: Path) -> pl.DataFrame:
    return bars_of(root).read(start="2000-01-01")


def test_a_new_handle_reads_without_the_log(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from_log, found = bars_of(root).table("daily").log.read(), rows(root)
    monkeypatch.setattr(log, "DeltaTable", None)  # nothing can open one
    assert bars_of(root).table("daily").log.snapshot() == from_log and rows(root).equals(found)


@pytest.mark.parametrize("content", [b"", b"{}", b"0" * 40, None])
def test_damage_is_told_and_the_log_read(root: Path, content: bytes | None) -> None:
    found, file = rows(root), noted(root)
    file.write_bytes(file.read_bytes()[:-1] if content is None else content)
    with capture_logs() as told:
        assert rows(root).equals(found)
    assert any("damaged" in entry["event"] for entry in told)
    bars_of(root).ingest(made(days=3, seed=9))
    with capture_logs() as told:
        assert rows(root).height >= found.height
    assert not told


def test_what_was_noted_before_another_commit_or_of_another_log_is_let_be(root: Path, tmp_path_factory) -> None:
    before, file = noted(root).read_bytes(), noted(root)
    bars_of(root).ingest(made(days=3, seed=9))
    found = rows(root)
    file.write_bytes(before)  # as left by whoever died between the commit and the note
    assert rows(root).equals(found)
    other = tmp_path_factory.mktemp("other")
    for seed in (1, 2):
        bars_of(other).ingest(made(days=2, seed=seed))
    file.write_bytes(noted(other).read_bytes())
    assert rows(root).equals(found)
    file.unlink()
    assert rows(root).equals(found)


def test_a_note_that_cannot_be_left_does_not_undo_the_commit(root: Path) -> None:
    file = noted(root)
    file.unlink()
    file.mkdir()
    (file / "in the way").touch()
    with capture_logs() as told:
        held = bars_of(root).ingest(made(days=3, seed=9))
    assert told[-1]["event"] == "newest version not noted"
    (file / "in the way").unlink()
    file.rmdir()
    assert rows(root).height == held.rows


def test_verify_compares_it_with_the_log_and_forget_keeps_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = bars_of(root)
    bars.compact()
    bars.forget(older_than_s=0)
    snapshot = bars.table("daily").log.read()
    assert newest.told(bars.table("daily").place) == snapshot
    assert bars.verify() == snapshot.rows
    fewer = type(snapshot)(snapshot.table, snapshot.number, snapshot.files[1:])
    newest.leave(bars.table("daily").place, fewer)
    with pytest.raises(DataError, match="other files than the log"):
        bars_of(root).verify()
