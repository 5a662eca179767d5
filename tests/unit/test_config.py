"""Settings: precedence, strictness, secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from mts1b import config
from mts1b.foundation.errors import InputError


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults_are_whole() -> None:
    settings = config.load_settings()
    assert settings.data_dir.is_absolute() and settings.db.primary.pool_size == 20
    assert settings.lake_root == settings.data_dir / "lake"


def test_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mts1b.yaml").write_text(
        "db:\n  primary:\n    dsn: postgres://file\n    pool_size: 50\n    max_overflow: 20\n"
    )
    assert config.load_settings().db.primary.pool_size == 50
    monkeypatch.setenv("MTS_DB__PRIMARY__POOL_SIZE", "7")
    settings = config.load_settings()
    assert (settings.db.primary.pool_size, settings.db.primary.max_overflow) == (7, 20)
    assert config.load_settings(data_dir=tmp_path / "x").data_dir == tmp_path / "x"


def test_secrets_do_not_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTS_DB__PRIMARY__DSN", "postgres://u:planted-secret@h/d")
    assert "planted-secret" not in repr(config.load_settings())


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("db:\n  primary:\n    pool_sise: 3\n", "db.primary.pool_sise"),
        ("db:\n  primary:\n    pool_size: 0\n", "db.primary.pool_size"),
        ("rays: {}\n", "rays"),
        ("ray:\n  dashboard_port: 70000\n", "ray.dashboard_port"),
        ("ray: [", "settings file"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, field: str) -> None:
    (tmp_path / "mts1b.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        config.load_settings()
    assert caught.value.field == field and caught.value.exit_code == 2
