from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mts1b.foundation.errors import DataError, StackError
from mts1b.platform import db


def package_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> str:
    name = f"migrations_{tmp_path.name}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    for file in names:
        (tmp_path / name / file).write_text("SELECT 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


def test_migrations_are_read_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = package_of(tmp_path, monkeypatch, "0002_b.sql", "0001_a.sql", "notes.txt")
    assert [(version, name) for version, name, _ in db.read_migrations(package)] == [
        (1, "0001_a.sql"),
        (2, "0002_b.sql"),
    ]


@pytest.mark.parametrize(
    "names", [("0001_a.sql", "0003_c.sql"), ("0001_a.sql", "0001_b.sql"), ("0002_a.sql",), ("1_a.sql",)]
)
def test_gaps_repeats_and_bad_names_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    with pytest.raises(DataError, match="migration"):
        db.read_migrations(package_of(tmp_path, monkeypatch, *names))


def test_a_server_is_shown_without_credentials() -> None:
    assert db.server_of("postgresql://u:secret@h:5433/x") == "h:5433/x"
    assert db.server_of("postgresql://h/x") == "h:5432/x"


def test_a_pool_nobody_opened_is_named() -> None:
    with pytest.raises(StackError, match="pool='nobody'"):
        db.get_pool("nobody")
