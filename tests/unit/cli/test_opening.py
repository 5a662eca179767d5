from __future__ import annotations

from pathlib import Path

import pytest

from mts1b.cli import opening
from mts1b.cli.opening import Page, dashboards, open_page
from mts1b.config import set_command_line
from mts1b.foundation.errors import InputError, StackError


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(opening.webbrowser, "open", found.append)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    return found


def test_grafana_opens_where_it_is_configured_and_a_browser_can(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = "http://127.0.0.1:3000/d/mts1b-service-overview"
    set_command_line(["telemetry.grafana_url=http://127.0.0.1:3000/"])
    try:
        open_page(Page.grafana, tmp_path)
        assert (capsys.readouterr().out, opened) == (f"{address}\n", [])
        monkeypatch.setenv("DISPLAY", ":0")
        open_page(Page.grafana, tmp_path)
        assert opened == [address]
    finally:
        set_command_line()


def test_what_is_not_there_is_named_with_its_remedy(tmp_path: Path, opened: list[str]) -> None:
    with pytest.raises(StackError, match=f"no Grafana is configured; start `prometheus --config.file={tmp_path}/run"):
        open_page(Page.grafana, tmp_path)
    with pytest.raises(InputError, match="run `mts quickstart`"):
        open_page(Page.report, tmp_path)
    with pytest.raises(StackError, match="run `mts up`"):
        open_page(Page.ray, tmp_path)
    with pytest.raises(StackError, match="--out FOLDER"):
        dashboards(None, tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        dashboards(tmp_path / "file", tmp_path)
    assert opened == []


def test_a_report_is_a_file(tmp_path: Path, opened: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "report.html").touch()
    open_page(Page.report, tmp_path)
    assert capsys.readouterr().out == f"file://{tmp_path}/report.html\n"


def test_dashboards_are_written_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dashboards(tmp_path / "out", tmp_path)
    listed = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert len(listed) == 8 and all(path.is_file() for path in listed)
