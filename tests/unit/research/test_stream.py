"""From the lake to metrics, streamed: equal to the ladder on the same bars, whatever the threads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mts1b.backtester import METRICS, Execution, evaluate
from mts1b.datalake import Lake, open_lake
from mts1b.foundation.errors import InputError, UnknownNameError
from mts1b.research.stream import StreamRequest, stream_request
from mts1b.strategy import get_strategy
from tests.unit.datalake.test_stretches import minutes

VALUES = {"fast": 5, "slow": 30}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Five names with gaps, one that trades in the first month only."""
    found = open_lake(tmp_path_factory.mktemp("lake"))
    found.equities.bars.ingest(minutes(gaps=0.05), "1m")
    found.equities.bars.ingest(minutes("Z", 8), "1m")
    return found


def request(lake: Lake, **changed: object) -> StreamRequest:
    return replace(StreamRequest("sma_cross", VALUES, lake_root=str(lake.root)), **changed)


@pytest.mark.parametrize(
    "asked", [{}, {"symbols": ("C", "Z", "A")}, {"start": "2020-01-30", "end": "2020-02-12"}], ids=str
)
@pytest.mark.parametrize("strategy", ["sma_cross", "xs_momentum", "rsi_reversion"])
def test_it_equals_the_ladder(lake: Lake, strategy: str, asked: dict) -> None:
    values = VALUES if strategy == "sma_cross" else {"window": 10}
    costs = Execution(2.0, 3.0)
    found = stream_request(request(lake, strategy=strategy, values=values, execution=costs, **asked))
    panel = lake.equities.bars.panel(interval="1m", **{k: list(v) if k == "symbols" else v for k, v in asked.items()})
    columns = {name: np.array([float(value)]) for name, value in values.items()}
    wanted = evaluate(get_strategy(strategy), columns, panel, costs, keep_returns=True)
    assert found.symbols == panel.symbols and found.rows == panel.close.size
    np.testing.assert_array_equal(found.ts_ns, panel.ts_ns)
    np.testing.assert_allclose(found.returns, wanted.returns[0], rtol=1e-10, atol=1e-14)
    for metric in METRICS:
        assert found.metrics[metric] == pytest.approx(wanted.metrics[metric][0], rel=1e-10, abs=1e-10), metric


def test_threads_do_not_show(lake: Lake) -> None:
    one, *others = (stream_request(request(lake), threads) for threads in (1, 2, 5))
    for other in others:
        assert other.metrics == one.metrics and np.array_equal(other.returns, one.returns)


def test_mistakes(lake: Lake) -> None:
    with pytest.raises(UnknownNameError, match="sma_cross"):
        stream_request(request(lake, strategy="sma_cros"))
    with pytest.raises(UnknownNameError, match="'Q'"):
        stream_request(request(lake, symbols=("Q",)))
    with pytest.raises(InputError, match="out of range"):
        stream_request(request(lake, values={"fast": 1}))
    for asked in ({}, {"symbols": ("A",)}):
        with pytest.raises(InputError, match="no bar in this range"):
            stream_request(request(lake, start="2031-01-01", **asked))
    with pytest.raises(InputError, match="window longer than history"):
        stream_request(request(lake, end="2020-01-16", values={"slow": 420}))
    with pytest.raises(InputError, match="holds no 5m bars"):
        stream_request(request(lake, interval="5m"))
