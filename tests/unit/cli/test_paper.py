"""`mts paper run`: whose fund it is, before anything is asked of a stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import actors.paper_session
from actors.desk import DeskPlan
from mts1b.cli.main import build_app
from mts1b.datalake import open_lake
from mts1b.foundation.errors import InputError
from tests.unit.datalake.made_bars import bars

START = "2024-05-01"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with two names and 200 days in its lake."""
    root = tmp_path_factory.mktemp("data")
    open_lake(root / "lake").equities.bars.ingest(bars())
    return root


def planned(data_dir: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> DeskPlan:
    """What a session would be run with."""
    plans: list[DeskPlan] = []

    class Planned(Exception):
        """Far enough."""

    def session(_settings: Any, plan: DeskPlan, *_rest: Any) -> None:
        plans.append(plan)
        raise Planned

    monkeypatch.setattr(actors.paper_session, "run_paper", session)
    given = [
        "paper",
        "run",
        "--strategy",
        "sma_cross",
        "--param",
        "fast=5",
        "--param",
        "slow=20",
        "--start",
        START,
    ]
    done = CliRunner().invoke(build_app(("paper",)), [*given, *words, "--data-dir", str(data_dir)])
    if not isinstance(done.exception, Planned):
        assert done.exception is not None, done.output
        raise done.exception
    return plans[0]


def test_a_named_fund_trades_under_its_name(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert planned(data_dir, monkeypatch, "--fund", "desk-a").fund_id == "desk-a"
    fresh = {planned(data_dir, monkeypatch).fund_id for _ in range(2)}
    assert len(fresh) == 2 and all(fund.startswith("paper-") for fund in fresh)
    with pytest.raises(InputError, match="no name for a fund"):
        planned(data_dir, monkeypatch, "--fund", "../a")
