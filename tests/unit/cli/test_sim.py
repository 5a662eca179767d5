"""`mts sim`: a summary, JSON, an exit code, and a story to read when a rule is broken."""

from __future__ import annotations

import json

import pytest

from mts1b.cli.main import build_app, guarded
from mts1b.testing.sim.defects import DEFECTS


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["mts", "sim", *words])
    app = build_app(["strategy", "sim"])
    return guarded(lambda: app(standalone_mode=False), debug=False)


def test_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--seeds", "3", "--seed", "5", "--workers", "1", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["first_seed"], facts["seeds"], facts["violations"], facts["broken"]) == (5, 3, 0, [])
    assert facts["orders_min"] >= 50 and facts["faults_min"] >= 3


def test_for_a_reader(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--seeds", "1", "--seed", "7") == 0
    assert "1 stories from seed 7" in capsys.readouterr().out


def test_a_broken_rule_is_an_error_and_one_seed_tells_its_story(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--seeds", "1", "--seed", "2", "--defect", "sent_before_persisted") == 1
    said = capsys.readouterr()
    assert "was sent before it was journalled" in said.err
    assert "oms-1 starts" in said.out


def test_defects_are_listed_and_others_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--defect", "list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == list(DEFECTS)
    assert run(monkeypatch, "--seeds", "1", "--defect", "fill_aplied_twice") == 2
    assert "fill_applied_twice" in capsys.readouterr().err


def test_malformed_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--malformed", "200", "--workers", "1", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["refused"] == 200 == sum(facts["names"].values()) == sum(facts["kinds"].values())
    assert run(monkeypatch, "--malformed", "50", "--workers", "1") == 0
    assert "50 malformed commands refused by name" in capsys.readouterr().out
