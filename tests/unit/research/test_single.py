"""Requests for single runs: checked when made, small to send, the same row as a run by hand."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from mts1b.backtester import Account, backtest, metrics_of
from mts1b.datalake import open_lake
from mts1b.foundation.errors import InputError
from mts1b.research.single import RunRequest, panel_of, run_one_param_set
from mts1b.strategy import get_strategy
from tests.unit.datalake.made_bars import bars


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> RunRequest:
    root = tmp_path_factory.mktemp("data") / "lake"
    open_lake(root).equities.bars.ingest(bars())
    return RunRequest("sma_cross", values={"slow": 30}, lake_root=str(root), account=Account(capital=5e4))


def test_a_row_holds_the_values_and_the_metrics_of_the_run(base: RunRequest) -> None:
    row = run_one_param_set(base)
    run = backtest(get_strategy("sma_cross"), {"slow": 30}, panel_of(base), base.account)
    assert row == {"fast": 5.0, "slow": 30.0, **metrics_of(run)} and row["trades"] > 0


def test_a_request_is_small_and_survives_the_trip(base: RunRequest) -> None:
    sent = pickle.dumps(replace(base, strategy=get_strategy("sma_cross")))
    assert len(sent) < 2000
    assert run_one_param_set(pickle.loads(sent)) == run_one_param_set(base)


def test_requests_over_the_same_bars_share_them(base: RunRequest) -> None:
    assert panel_of(replace(base, values={"slow": 40})) is panel_of(base)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"strategy": "sma_cros"}, "did you mean: sma_cross"),
        ({"values": {"slo": 30}}, "did you mean: slow"),
        ({"values": {"slow": 3}}, "slow=3.0: out of range"),
        ({"symbols": ("AAPL", "MSTF")}, "did you mean: MSFT"),
        ({"start": "2031-01-01"}, "no bar in this range"),
        ({"interval": "hourly"}, "interval='hourly'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(base: RunRequest, change, words) -> None:
    with pytest.raises(InputError, match=words):
        replace(base, **change)
