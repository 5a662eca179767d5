"""`mts backtest`: an account's statistics and trades, as a table and as JSON; one line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mts1b.cli.main import build_app, guarded
from mts1b.datalake import open_lake
from tests.unit.datalake.made_bars import bars

OWN = """
from mts1b.strategy import close, param, sma, strategy

@strategy
def above(window=param(2, 60, 10)):
    return close > sma(close, window)

@strategy
def below(window=param(2, 60, 10)):
    return close < sma(close, window)
"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with two names and 200 days in its lake, and a file of strategies."""
    root = tmp_path_factory.mktemp("data")
    open_lake(root / "lake").equities.bars.ingest(bars())
    (root / "own.py").write_text(OWN)
    return root


def run(monkeypatch: pytest.MonkeyPatch, data_dir: Path, *words: str) -> int:
    """`mts backtest WORDS` in this process; its exit code."""
    monkeypatch.setattr("sys.argv", ["mts", "backtest", *words, "--data-dir", str(data_dir)])
    app = build_app(["sweep", "backtest"])
    return guarded(lambda: app(standalone_mode=False), debug=False)


def test_an_account_as_json(data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    words = ("sma_cross", "--param", "fast=5", "--param", "slow=20", "--json")
    assert run(monkeypatch, data_dir, *words, "--capital", "50000", "--commission-min", "1") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["params"] == {"fast": 5, "slow": 20} and facts["symbols"] == 2 and facts["bars"] == 200
    assert facts["account"]["capital"] == 50000 and facts["account"]["fill"] == "next_open"
    trades, found = facts["trades"], facts["statistics"]
    assert found["trades"] == len(trades) > 3
    assert not any(trade["is_open"] for trade in trades)
    assert found["equity_final"] == pytest.approx(50000 + sum(trade["pnl"] for trade in trades))
    assert found["costs_paid"] == pytest.approx(sum(trade["costs"] for trade in trades))
    assert set(trades[0]) >= {"symbol", "entry", "exit", "quantity", "entry_price", "exit_price", "pnl", "return"}


def test_an_account_for_a_reader(data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    words = ("sma_cross", "--param", "slow=20", "--keep-open", "--fill", "close", "--sleeves", "--fractional")
    assert run(monkeypatch, data_dir, *words) == 0
    shown = capsys.readouterr().out
    for wanted in ("sma_cross fast=5 slow=20: 2 symbols x 200 bars", "Sharpe", "profit factor", "trades:", "AAPL"):
        assert wanted in shown


def test_a_strategy_of_ones_own(data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    file = str(data_dir / "own.py")
    found = {}
    for name in ("above", "below"):
        assert run(monkeypatch, data_dir, f"{file}:{name}", "--json") == 0
        found[name] = json.loads(capsys.readouterr().out)
    assert found["above"]["strategy"] == "above" and found["above"]["hash"] != found["below"]["hash"]
    assert run(monkeypatch, data_dir, file) == 2
    assert "the file defines several; add one of :above, :below" in capsys.readouterr().err


BAD = [
    (("sma_cros",), "strategy='sma_cros'", "did you mean: sma_cross"),
    (("sma_cross", "--param", "fst=5"), "param='fst'", "did you mean: fast"),
    (("sma_cross", "--param", "fast"), "param='fast'", "--param fast=10"),
    (("sma_cross", "--param", "fast=x"), "param='fast=x'", "--param fast=10"),
    (("sma_cross", "--param", "fast=5", "--param", "fast=6"), "param.fast='6'", "given twice"),
    (("sma_cross", "--param", "fast=4"), "fast=4.0", "out of range 5 to 255"),
    (("sma_cross", "--param", "fast=nan"), "fast=nan", "out of range 5 to 255"),
    (("sma_cross", "--param", "slow=300"), "slow=300.0", "window longer than history"),
    (("sma_cross", "--capital", "-1"), "capital=-1.0", "above 0"),
    (("sma_cross", "--fill", "open"), "fill='open'", "next_open"),
    (("sma_cross", "--band", "nan"), "band=nan", "0 or more"),
    (("sma_cross", "--symbols", "MSTF"), "symbol='MSTF'", "did you mean: MSFT"),
    (("sma_cross", "--start", "2031-01-01"), "start=", "no bar in this range"),
    (("nowhere.py",), "file='nowhere.py'", "does not exist"),
]


@pytest.mark.parametrize(("words", "field", "remedy"), BAD, ids=[" ".join(words) for words, _, _ in BAD])
def test_bad_input_is_one_line_and_exit_2(data_dir: Path, words, field, remedy, monkeypatch, capsys) -> None:
    assert run(monkeypatch, data_dir, *words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"error: {field}") and remedy in lines[0]
