"""`mts sweep` and `mts walk-forward`: results as JSON, and one line with exit code 2 for each mistake."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from mts1b.backtester import Execution
from mts1b.backtester.gpu_detect import gpu_available
from mts1b.cli.main import build_app, guarded
from mts1b.datalake import open_lake
from tests.unit.datalake.made_bars import bars

gpu_available()  # whose first call asks ldconfig, in a process: not within a test

GRID = ("--grid", "fast=5:8:1", "--grid", "slow=20,40")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with two names and 200 days in its lake."""
    root = tmp_path_factory.mktemp("data")
    open_lake(root / "lake").equities.bars.ingest(bars())
    return root


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """`mts WORDS` in this process; its exit code."""
    monkeypatch.setattr("sys.argv", ["mts", *words])
    app = build_app(["sweep"])
    return guarded(lambda: app(standalone_mode=False), debug=False)


def test_a_sweep_as_json(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    words = (
        "sweep",
        "--strategy",
        "sma_cross",
        *GRID,
        "--local",
        "--backend",
        "reference",
        "--data-dir",
        str(data_dir),
    )
    assert run(monkeypatch, *words, "--json", str(tmp_path / "out.json")) == 0
    shown = capsys.readouterr()
    assert "deflated Sharpe ratio" in shown.out and "6/6 combinations (100%)" in shown.err
    facts = json.loads((tmp_path / "out.json").read_text())
    assert (facts["trials"], facts["symbols"], facts["bars"]) == (6, 2, 200)
    assert run(monkeypatch, *words, "--json", "-") == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["chunks_computed"], again["chunks_skipped"], again["top"]) == (0, 1, facts["top"])


def test_a_users_own_strategy_is_swept(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    file = tmp_path / "own.py"
    file.write_text(
        "from mts1b.strategy import close, param, sma, strategy, where\n\n\n@strategy\ndef own(n=param(2, 50)):\n"
        '    """Above the average."""\n    return where(close > sma(close, n), 1.0, 0.0)\n'
    )
    words = ("sweep", "--strategy", f"{file}:own", "--grid", "n=5,9", "--local", "--backend", "reference")
    assert run(monkeypatch, *words, "--data-dir", str(data_dir), "--json", "-") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["strategy"], facts["trials"]) == ("own", 2)


def test_walk_forward_shows_its_folds(data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    windows = ("--train-bars", "100", "--test-bars", "50")
    words = ("walk-forward", "--strategy", "sma_cross", *GRID, *windows, "--local", "--backend", "reference")
    assert run(monkeypatch, *words, "--data-dir", str(data_dir), "--json", "-") == 0
    assert len(json.loads(capsys.readouterr().out)["walk_forward"]["folds"]) == 2
    assert run(monkeypatch, *words, "--data-dir", str(data_dir)) == 0
    assert "out of sample: Sharpe" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "folds", "paths"),
    [
        (("--scheme", "anchored", "--train-bars", "100", "--test-bars", "25"), 4, 1),
        (("--scheme", "kfold", "--folds", "4", "--purge-bars", "3", "--embargo-bars", "2"), 4, 1),
        (("--scheme", "combinatorial", "--folds", "8", "--test-folds", "3"), 56, 21),
    ],
)
def test_every_scheme(data_dir: Path, words, folds, paths, monkeypatch, capsys) -> None:
    command = ("walk-forward", "--strategy", "sma_cross", *GRID, *words, "--local", "--backend", "reference")
    assert run(monkeypatch, *command, "--data-dir", str(data_dir)) == 0
    shown = capsys.readouterr().out
    assert (f"{paths} paths: Sharpe" in shown) == (paths > 1) and ("36 folds more" in shown) == (folds > 20)
    assert run(monkeypatch, *command, "--data-dir", str(data_dir), "--json", "-") == 0
    found = json.loads(capsys.readouterr().out)["walk_forward"]
    assert (len(found["folds"]), len(found["paths"])) == (folds, paths)


def test_trials_are_accounted_for(data_dir: Path, monkeypatch, capsys) -> None:
    words = ("sweep", "--strategy", "sma_cross", *GRID, "--metrics", "full", "--local", "--data-dir", str(data_dir))
    assert run(monkeypatch, *words, "--spa", "fast=5,7", "--spa", "slow=20") == 0
    shown = capsys.readouterr().out
    for part in (
        "independent trials: about",
        "had it been the only trial",
        "bars needed",
        "warning: prices are adjusted",
    ):
        assert part in shown
    assert "probability of backtest overfitting" in shown and "Hansen's test of 2 declared" in shown
    assert run(monkeypatch, *words, "--json", "-") == 0
    facts = json.loads(capsys.readouterr().out)
    assert 0.0 <= facts["accounting"]["overfitting"]["pbo"] <= 1.0 and facts["accounting"]["superiority"] is None
    assert {"sortino", "calmar", "max_drawdown_bars", "win_rate", "profit_factor"} <= facts["top"][0].keys()
    assert "blocks" not in facts["top"][0]


@pytest.mark.parametrize("command", ["sweep", "walk-forward"])
def test_the_execution_asked_for_is_in_the_manifest(command, data_dir: Path, monkeypatch, capsys) -> None:
    windows = ("--train-bars", "100", "--test-bars", "50") if command == "walk-forward" else ()
    words = (command, "--strategy", "sma_cross", *GRID, *windows, "--local", "--backend", "reference", "--sleeves")
    more = ("--fill", "close", "--band", "inf", "--capital", "5e4", "--commission-min", "1", "--delist-after-bars", "5")
    assert run(monkeypatch, *words, *more, "--data-dir", str(data_dir), "--json", "-") == 0
    facts = json.loads(capsys.readouterr().out)
    wanted = Execution(
        fill="close", band=math.inf, capital=5e4, commission_min=1.0, delist_after_bars=5, capital_by="sleeve"
    )
    assert json.loads((Path(facts["folder"]) / "manifest.json").read_text())["execution"] == wanted.to_dict()
    assert all(row["costs"] > 0.0 for row in facts["top"])


@pytest.mark.parametrize("sampling", ["random", "sobol"])
def test_a_sample_of_a_grid_is_swept(data_dir: Path, sampling, monkeypatch, capsys) -> None:
    grid = ("--grid", "fast=5:100:log30", "--grid", "slow=20:100:1", "--where", "fast < slow")
    where = ("--local", "--backend", "reference", "--data-dir", str(data_dir))
    words = ("sweep", "--strategy", "sma_cross", *grid, *where, "--json", "-")
    assert run(monkeypatch, *words, "--sample", "40", "--sampling", sampling, "--seed", "5") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["trials"] == 40 and facts["grid"].endswith(f"sampled 40 {sampling} seed 5")
    manifest = json.loads((Path(facts["folder"]) / "manifest.json").read_text())
    assert manifest["seed"] == 5 and manifest["combinations"] == 40
    assert run(monkeypatch, *words[:-2], "--sample", "40") == 0
    assert {"fast", "slow", "rank"} <= set(capsys.readouterr().out.split())  # both are shown as swept


def test_auto_says_what_it_chose_and_why(data_dir: Path, monkeypatch, capsys) -> None:
    words = ("sweep", "--strategy", "sma_cross", *GRID, "--local", "--backend", "auto", "--data-dir", str(data_dir))
    assert run(monkeypatch, *words) == 0
    shown = capsys.readouterr().out
    for part in ("universe under 100 symbols", "measured now", "assumed, not measured", "chosen: cpu, because"):
        assert part in shown
    assert run(monkeypatch, *words, "--json", "-") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["backend"] == "cpu" and "chosen: cpu" in told.err


@pytest.mark.parametrize("command", ["sweep", "walk-forward"])
def test_a_page_with_every_figure(command, data_dir: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    windows = ("--train-bars", "100", "--test-bars", "50") if command == "walk-forward" else ()
    words = (command, "--strategy", "sma_cross", *GRID, *windows, "--local", "--data-dir", str(data_dir))
    assert run(monkeypatch, *words, "--report", str(tmp_path / "page.html"), "--json", str(tmp_path / "out.json")) == 0
    assert "Hansen's test: not declared" in capsys.readouterr().out
    text, facts = (tmp_path / "page.html").read_text(), json.loads((tmp_path / "out.json").read_text())
    for part in ("Accounting for the trials", "--spa name=values", "The best of the grid", "adjusted for splits"):
        assert part in text
    assert ("Out of sample" in text) == (command == "walk-forward")
    assert f"{facts['accounting']['overfitting']['pbo']:.1%}" in text
    assert run(monkeypatch, *words, "--report", str(tmp_path)) == 2
    assert "give another file" in capsys.readouterr().err


BAD = [
    (("--grid", "fast=5:255:0.0000001"), "grid.fast=", "widen the step"),
    (("--grid", "fast=5:200:1", "--sample", "9999"), "sample=9999", "ask for fewer"),
    (("--sample", "0"), "sample=0", "ask for 1 to 1,000,000"),
    (("--sample", "1", "--sampling", "lucky"), "sampling='lucky'", "known: random, sobol"),
    (("--strategy", "sma_cros"), "strategy='sma_cros'", "did you mean: sma_cross"),
    (("--symbols", "AAPL,MSTF"), "symbol='MSTF'", "did you mean: MSFT"),
    (("--symbols", ","), "symbols=','", "write A,B,C or all"),
    (("--start", "2024-06-01", "--end", "2024-03-01"), "start", "after"),
    (("--start", "2030-01-01", "--end", "2030-02-01"), "start", "no bar in this range"),
    (("--start", "soon"), "start='soon'", ""),
    (("--interval", "hourly"), "interval='hourly'", "known: "),
    (("--grid", "fast=1:5:1"), "grid.fast='1:5:1'", "use values from 5 to 255"),
    (("--grid", "fast=300"), "grid.fast='300'", "out of range"),
    (("--grid", "fast"), "grid='fast'", "start:stop:step"),
    (("--grid", "fast=5", "--grid", "fast=6"), "grid.fast='6'", "given twice"),
    (("--grid", "pace=5"), "grid='pace'", "unknown name"),
    (("--grid", "slow=20:420:4"), "slow=", "window longer than history"),
    (("--where", "fast << slow"), "where='fast << slow'", "fast < slow"),
    (("--commission-bps", "-1"), "commission_bps=-1.0", "basis points"),
    (("--fill", "noon"), "fill='noon'", "did you mean: open"),
    (("--fill", "vwap"), "fill='vwap'", "the bars have no vwap"),
    (("--band", "-1"), "band=-1.0", "inf"),
    (("--volume-share-max", "0"), "volume_share_max=0.0", "inf no cap"),
    (("--backend", "abacus"), "backend='abacus'", "known: "),
    (("--metrics", "some"), "metrics='some'", "known: default, full"),
    (("--spa", "fast"), "spa='fast'", "start:stop:step"),
    (("--spa", "fast=5:200:1", "--spa", "slow=20:40:1"), "spa=", "declare at most 500"),
    (("--top", "0"), "top=0", "ask for 1 to"),
    (("--json", "/nowhere/at/all.json"), "json='/nowhere/at/all.json'", "give another file"),
]


@pytest.mark.parametrize(("words", "field", "remedy"), BAD, ids=[" ".join(words) for words, _, _ in BAD])
def test_bad_input_is_one_line_and_exit_2(data_dir: Path, words, field, remedy, monkeypatch, capsys) -> None:
    strategy = () if "--strategy" in words else ("--strategy", "sma_cross")
    assert run(monkeypatch, "sweep", *strategy, *words, "--local", "--data-dir", str(data_dir)) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "combinations" not in line or "error" in line]
    assert len(lines) == 1 and lines[0].startswith(f"error: {field}") and remedy in lines[0]


@pytest.mark.parametrize(
    "windows",
    [
        ("--train-bars", "500"),
        ("--test-bars", "1"),
        ("--embargo-bars", "-1"),
        ("--purge-bars", "-2"),
        ("--scheme", "sideways"),
        ("--folds", "150", "--scheme", "kfold"),
        ("--test-folds", "10", "--scheme", "combinatorial"),
    ],
)
def test_bad_windows(data_dir: Path, windows, monkeypatch, capsys) -> None:
    words = ("walk-forward", "--strategy", "sma_cross", *windows, "--local", "--data-dir", str(data_dir))
    assert run(monkeypatch, *words) == 2
    value = repr(windows[1]) if windows[1].isalpha() else windows[1]
    assert capsys.readouterr().err.startswith(f"error: {windows[0][2:].replace('-', '_')}={value}")


def test_a_stack_that_is_not_up(data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert run(monkeypatch, "sweep", "--strategy", "sma_cross", "--data-dir", str(data_dir)) == 2
    assert capsys.readouterr().err.splitlines() == [f"error: stack={str(data_dir)!r}: is not up; run `mts up`"]


def test_a_results_folder_that_cannot_be_written(tmp_path: Path, data_dir: Path, monkeypatch, capsys) -> None:
    (tmp_path / "lake").symlink_to(data_dir / "lake")
    (tmp_path / "results").write_text("a file where the folder should be")
    assert run(monkeypatch, "sweep", "--strategy", "sma_cross", "--local", "--data-dir", str(tmp_path)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "cannot be written" in lines[0] and "--data-dir" in lines[0]


def test_an_empty_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert run(monkeypatch, "sweep", "--strategy", "sma_cross", "--local", "--data-dir", str(tmp_path)) == 2
    assert "mts data ingest" in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_one_line_and_exit_2(data_dir: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("mts1b.backtester.gpu_detect.gpu_available", lambda: 0)
    words = ("sweep", "--strategy", "sma_cross", *GRID, "--local", "--backend", "gpu", "--data-dir", str(data_dir))
    assert run(monkeypatch, *words) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(lines) == 1 and "backend='gpu'" in lines[0] and "use --backend cpu" in lines[0]
