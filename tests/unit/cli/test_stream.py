"""`mts stream`: metrics of a streamed run as JSON and as a table; one line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mts1b.backtester import Execution, evaluate
from mts1b.cli.main import build_app, guarded
from mts1b.datalake import open_lake
from mts1b.strategy import get_strategy
from tests.unit.datalake.test_stretches import minutes


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    open_lake(root / "lake").equities.bars.ingest(minutes(), "1m")
    return root


def run(monkeypatch: pytest.MonkeyPatch, data_dir: Path, *words: str) -> int:
    """`mts stream WORDS` in this process; its exit code."""
    monkeypatch.setattr("sys.argv", ["mts", "stream", *words, "--data-dir", str(data_dir)])
    app = build_app(["sweep", "stream"])
    return guarded(lambda: app(standalone_mode=False), debug=False)


def test_it_gives_the_row_of_a_sweep(data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    words = ("sma_cross", "--param", "fast=5", "--param", "slow=30", "--symbols", "B,D", "--commission-bps", "4")
    assert run(monkeypatch, data_dir, *words, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    panel = open_lake(data_dir / "lake").equities.bars.panel(["B", "D"], "1m")
    columns = {"fast": np.array([5.0]), "slow": np.array([30.0])}
    wanted = evaluate(get_strategy("sma_cross"), columns, panel, Execution(4.0, 2.0)).metrics
    assert (facts["symbols"], facts["bars"], facts["first"][:10]) == (2, 800, "2020-01-15")
    assert facts["metrics"] == {name: pytest.approx(values[0], rel=1e-10) for name, values in wanted.items()}
    assert run(monkeypatch, data_dir, *words) == 0
    assert "sma_cross fast=5 slow=30: 2 symbols x 800 bars" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("sma_cros",), "strategy='sma_cros'"),
        (("sma_cross", "--param", "fst=5"), "param='fst'"),
        (("sma_cross", "--symbols", "Q"), "symbol='Q'"),
        (("sma_cross", "--start", "2031-01-01"), "start="),
        (("sma_cross", "--interval", "2m"), "interval='2m'"),
        (("sma_cross", "--commission-bps", "-1"), "commission_bps=-1.0"),
    ],
)
def test_mistakes(data_dir: Path, words, field, monkeypatch, capsys) -> None:
    assert run(monkeypatch, data_dir, *words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"error: {field}")
