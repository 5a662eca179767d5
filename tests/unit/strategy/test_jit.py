"""Generated kernels on disk: by content, whole or not at all."""

from __future__ import annotations

import pytest

from mts1b.strategy import jit

SOURCE = '"""Made by a test."""\n\nANSWER = 42\n'


@pytest.fixture
def own_root(tmp_path, monkeypatch):
    monkeypatch.setattr(jit, "_roots", [tmp_path])
    monkeypatch.setattr(jit, "_loaded", {})
    return tmp_path


def test_equal_source_is_one_module(own_root):
    assert jit.load(SOURCE).ANSWER == 42
    assert jit.load(SOURCE) is jit.load(SOURCE)
    assert len(list(own_root.glob("kernel_*.py"))) == 1


def test_the_file_keeps_its_time_so_that_numba_finds_its_cache(own_root):
    jit.load(SOURCE)
    (path,) = own_root.glob("kernel_*.py")
    assert path.stat().st_mtime_ns == jit.SOURCE_TIME_NS


def test_a_damaged_file_is_written_again(own_root):
    jit.load(SOURCE)
    (path,) = own_root.glob("kernel_*.py")
    path.write_text("ANSW")
    jit._loaded.clear()
    assert jit.load(SOURCE).ANSWER == 42
    assert path.read_text() == SOURCE


def test_a_home_that_cannot_be_written_is_replaced_for_this_process(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setattr(jit, "_roots", [])
    monkeypatch.setattr(jit.Path, "home", lambda: blocked)
    root = jit.cache_root()
    assert root.is_dir()
    assert not root.is_relative_to(blocked)
    root.rmdir()
