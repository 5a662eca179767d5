"""`mts bench`: results as a table, as JSON and saved; the page made from them; one line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mts1b.cli.main import build_app, guarded


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """`mts bench WORDS` in this process; its exit code."""
    monkeypatch.setattr("sys.argv", ["mts", "bench", *words])
    app = build_app(["sweep", "bench"])
    return guarded(lambda: app(standalone_mode=False), debug=False)


def test_a_result_is_shown_printed_and_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "signal", "--quick", "--json", "-", "--save", str(tmp_path)) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert found["name"] == "signal" and found["figures"]["quick"] == 1.0
    assert json.loads((tmp_path / "signal.json").read_text()) == found
    assert "p99_ms" in told.err and "bench signal: sma_cross" in told.err


def test_the_page_of_the_saved_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "report", "--results", str(tmp_path), "--out", str(tmp_path / "page.md")) == 0
    assert "not measured yet" in (tmp_path / "page.md").read_text()
    (tmp_path / "odd.json").write_text("[]")
    assert run(monkeypatch, "report", "--results", str(tmp_path), "--out", str(tmp_path / "page.md")) == 2
    assert "not a benchmark's result" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("kernl",), "did you mean: kernel"),
        (("kernel", "--save", "/nowhere/at/all"), "no such folder"),
        (("kernel", "--json", "/nowhere/at/all.json"), "folder does not exist"),
        (("report", "--results", "/nowhere/at/all"), "no such folder"),
    ],
)
def test_mistakes_are_one_line(
    words: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *words) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


def test_million_is_the_larger_ladder(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("mts1b.bench.catalogue.chosen", lambda name: asked.append(name) or [])
    assert run(monkeypatch, "ladder", "--million") == 0
    assert run(monkeypatch, "ladder") == 0
    assert asked == ["ladder-million", "ladder"]
