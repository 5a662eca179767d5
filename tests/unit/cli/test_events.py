"""`mts events`: every model of the house is listed, with its schema."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from mts1b.cli.events import EVENT_MODULES, known_events
from mts1b.cli.main import build_app, guarded

ROOT = Path(__file__).parents[3]


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["mts", "events", *words])
    app = build_app(["strategy", "events"])
    return guarded(lambda: app(standalone_mode=False), debug=False)


def registers_events(path: Path) -> bool:
    """Whether a class in it is decorated with `event(...)`."""
    for node in ast.walk(ast.parse(path.read_text())):
        for decorator in getattr(node, "decorator_list", ()):
            name = getattr(decorator, "func", None)
            if getattr(name, "id", getattr(name, "attr", "")) == "event":
                return True
    return False


def test_every_module_that_registers_events_is_listed() -> None:
    paths = [path for room in ("mts1b", "actors", "jobs") for path in (ROOT / room).rglob("*.py")]
    found = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths if registers_events(path)}
    assert found == set(EVENT_MODULES)


def test_the_list_as_json_has_the_schemas(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--json") == 0
    rows = {row["subject"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows) == {item.subject for item in known_events()}
    fills = rows["mts.v1.oms.fills.created"]
    assert (fills["version"], fills["key"]) == (1, "fill_id")
    assert set(fills["schema"]["required"]) >= {"fill_id", "order_id", "price", "quantity", "side", "ts_ns"}


def test_the_list_for_a_reader(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(monkeypatch) == 0
    shown = capsys.readouterr().out
    assert "mts.v1.oms.fills.created" in shown and "mts1b.oms.published.FillCreated" in shown


@pytest.mark.parametrize("command", ["dead", "lag"])
def test_without_a_stack_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run(monkeypatch, command, "--data-dir", str(tmp_path)) == 2
    assert "run `mts up`" in capsys.readouterr().err
