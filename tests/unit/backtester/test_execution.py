"""The execution model by hand: what is earned between and inside sessions, what a trade costs, what a gap does."""

from __future__ import annotations

import numpy as np
import pytest

from mts1b.backtester import Execution
from mts1b.backtester.execution import moves
from mts1b.backtester.reference import book
from mts1b.foundation.errors import InputError
from mts1b.strategy.panel import Panel

NAN = float("nan")


def panel_of(opens, closes):
    """Bars of one name."""
    open_, close = (np.array(values, dtype=float)[:, None] for values in (opens, closes))
    high, low = np.fmax(open_, close), np.fmin(open_, close)
    return Panel(
        ts_ns=np.arange(len(opens)),
        symbols=("A",),
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=np.ones_like(close),
    )


def run(targets, opens, closes, cost=0.0):
    return book(np.array(targets, dtype=float)[:, None], moves(panel_of(opens, closes)), cost)


def test_a_decision_trades_at_the_next_open():
    result = run([1, 1, 0, 0], opens=[10, 11, 12, 13], closes=[10, 12, 12, 99])
    assert result.returns == pytest.approx([0, 12 / 11 - 1, 0, 13 / 12 - 1])
    assert result.changed.tolist() == [0, 1, 0, 1]
    assert result.gross.tolist() == [0, 1, 1, 0]


def test_every_restoring_trade_pays():
    """In at 10 at bar 1; the open of bar 2 is 20: a weight of 1 has drifted to 2 and half of it is sold; then all."""
    result = run([1, 1, 0, 0], opens=[10, 10, 20, 20], closes=[10, 10, 20, 20], cost=0.01)
    assert result.traded.tolist() == [0, 1, 1, 1]
    assert result.returns == pytest.approx([0, -0.01, 1.0 - 0.01, -0.01])


def test_a_gap_cannot_be_traded_and_its_return_comes_with_the_next_price():
    """The exit that met no opening price is decided anew on the next close; the whole move over the gap is earned."""
    result = run([1, 0, 0, 0, 0], opens=[10, 10, NAN, 15, 15], closes=[10, 10, NAN, 15, 15])
    assert result.returns == pytest.approx([0, 0, 0, 0.5, 0])
    assert result.changed.tolist() == [0, 1, 0, 0, 1]
    assert result.gross.tolist() == [0, 1, 1, 1, 0]


def test_nothing_is_decided_on_a_bar_without_a_close():
    """Not known is no order to sell: the holding drifts over the open after the gap and costs nothing there."""
    held = run([1, 1, 0, 1, 1], opens=[10, 10, NAN, 15, 15], closes=[10, 10, NAN, 15, 15], cost=0.01)
    assert held.gross.tolist() == [0, 1, 1, 1, 1]
    assert held.traded.tolist() == pytest.approx([0, 1, 0, 0, 0.5])  # restored once there is a decision again


def test_an_entry_that_met_a_gap_is_decided_anew():
    result = run([1, 1, 1, 1, 1], opens=[10, NAN, 20, 22, 22], closes=[10, NAN, 21, 22, 33])
    assert result.returns == pytest.approx([0, 0, 0, 0, 0.5])
    assert result.gross.tolist() == [0, 0, 0, 1, 1]


def test_a_name_that_ends_keeps_its_last_value():
    result = run([1, 1, 0, 0], opens=[10, 10, NAN, NAN], closes=[10, 11, NAN, NAN])
    assert result.returns == pytest.approx([0, 0.1, 0, 0])
    assert result.gross.tolist() == [0, 1, 1, 1]


def test_names_share_the_capital_equally():
    one = panel_of([10, 10, 10], [10, 11, 10])
    two = Panel(
        ts_ns=one.ts_ns,
        symbols=("A", "B"),
        **{name: np.repeat(getattr(one, name), 2, axis=1) for name in ("open", "high", "low", "close", "volume")},
    )
    result = book(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]), moves(two), 0.0)
    assert result.returns == pytest.approx([0, 0.05, 10 / 11 / 2 - 0.5])


@pytest.mark.parametrize("field", ["commission_bps", "half_spread_bps"])
@pytest.mark.parametrize("value", [-1.0, 20_000.0, NAN])
def test_costs_are_bounded(field, value):
    with pytest.raises(InputError, match=field):
        Execution(**{field: value})


def test_cost_and_key():
    assert Execution(1.0, 2.0).cost == pytest.approx(3e-4)
    assert Execution(1.0, 2.0).key != Execution(2.0, 1.0).key
