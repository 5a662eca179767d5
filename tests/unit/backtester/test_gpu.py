"""The GPU backend as far as it goes without a device: what is refused, what is planned. Kernels: tests/contract."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.backtester import Execution, evaluate, gpu_detect
from mts1b.backtester.gpu_cross import ONE_NAME
from mts1b.backtester.gpu_detect import check_execution
from mts1b.backtester.gpu_jit import exact
from mts1b.backtester.gpu_kernels import kernels_of
from mts1b.backtester.gpu_plan import GROUP_NAMES, Sizes, plan_slab, plan_slabs, slab_bytes
from mts1b.foundation.errors import InputError, StackError
from mts1b.foundation.limits import GPU_LANES_MAX
from mts1b.strategy import get_strategy
from mts1b.strategy.ops import OPS
from tests.unit.strategy.panels import made_panel

VALUES = st.sampled_from([-2.0, -0.0, 0.0, 0.5, 1.0, 1.5, float("nan"), float("inf")])
GROUPS = st.sampled_from([0.0, 1.0, float("nan")])


@pytest.mark.parametrize("name", ONE_NAME)
@given(rows=st.lists(st.tuples(VALUES, GROUPS), min_size=1, max_size=9))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_one_name_sees_what_the_whole_row_gives(name, rows):
    """Equal to the bit to the functions of every other backend, over all names and within groups."""
    row, groups = (np.array(column) for column in zip(*rows, strict=True))
    for op, group in ((OPS[name], np.zeros(len(row))), (OPS[f"{name}_by"], groups)):
        expected = np.empty(len(row))
        assert op.function is not None
        op.function(*((row,) if op.inputs == 1 else (row, group)), expected)
        found = [ONE_NAME[name](row, group, s) for s in range(len(row))]
        np.testing.assert_array_equal(found, expected)


def test_no_gpu_is_an_error_and_no_other_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_detect, "gpu_available", lambda: 0)
    with pytest.raises(StackError, match="--backend cpu"):
        evaluate(get_strategy("sma_cross"), {}, made_panel(60, 2), Execution(), backend="gpu")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_detect, "find_spec", lambda name: None)
    assert gpu_detect.gpu_available() == 0
    with pytest.raises(StackError, match="cupy and numba_cuda not installed; install the extra `gpu`"):
        gpu_detect.check_gpu()


def test_an_execution_model_that_the_kernels_do_not_know_is_refused() -> None:
    check_execution(Execution(commission_bps=3.0))
    with pytest.raises(InputError, match="fill='vwap', band=0.1.*--backend cpu"):
        check_execution(Execution(fill="vwap", band=0.1))


def test_compiling_exactly_leaves_the_compiler_as_it_was() -> None:
    from numba.cuda.cudadrv import nvvm

    usual = nvvm.compile_ir
    with pytest.raises(ZeroDivisionError), exact():
        assert nvvm.compile_ir is not usual
        raise ZeroDivisionError
    assert nvvm.compile_ir is usual


KERNELS = kernels_of(get_strategy("sma_cross").root)
FAST, SLOW = (column.reshape(-1) for column in np.meshgrid(np.arange(5.0, 25.0), np.arange(30.0, 230.0), indexing="ij"))
COLUMNS = {"fast": FAST, "slow": SLOW}
SIZES = Sizes(bars=2520, names=1000, segments=1, periods=1, blocks=1, trades=False)


def test_a_table_holds_each_distinct_value_once() -> None:
    slab = plan_slab(KERNELS, COLUMNS, 0, len(FAST), 1000)
    assert sorted(fill.width for fill in slab.fills) == [20, 200]
    for read, column in zip(slab.reads, (FAST, SLOW), strict=True):
        (fill,) = (fill for fill in slab.fills if fill.key == read.table)
        np.testing.assert_array_equal(fill.takes[0][read.which], column)
    assert all(fill.state_floats == 4 + int(fill.takes[0].max()) for fill in slab.fills)


def test_a_table_of_a_table_is_planned_before_it() -> None:
    kernels = kernels_of(get_strategy("macd_cross").root)
    columns = get_strategy("macd_cross").check_combos({"fast": [3.0, 4.0], "slow": [10.0, 10.0], "signal": [2.0, 5.0]})
    filled: set[tuple[str, bytes]] = set()
    for fill in plan_slab(kernels, columns, 0, 2, 3).fills:
        assert all(read.table in filled or not read.table[1] for read in fill.reads)
        filled.add(fill.key)


@pytest.mark.parametrize("budget", [2 << 30, 8 << 30, 40 << 30])
def test_slabs_fit_into_the_memory_and_use_it(budget: int) -> None:
    slabs, together = plan_slabs(KERNELS, COLUMNS, len(FAST), SIZES, budget)
    assert [slab.start for slab in slabs[1:]] == [slab.stop for slab in slabs[:-1]]
    assert (slabs[0].start, slabs[-1].stop) == (0, len(FAST))
    assert max(slab.lanes for slab in slabs) <= GPU_LANES_MAX
    assert together == SIZES.names or together % GROUP_NAMES == 0
    assert max(slab_bytes(slab, SIZES, together) for slab in slabs) <= budget
    more = min(together + GROUP_NAMES, SIZES.names)
    assert together == more or max(slab_bytes(slab, SIZES, more) for slab in slabs) > budget


def test_names_that_are_compared_stay_together() -> None:
    kernels = kernels_of(get_strategy("short_term_reversal").root)
    columns = {"window": np.arange(1.0, 61.0)}
    slabs, together = plan_slabs(kernels, columns, 60, SIZES, 4 << 30)
    assert together == SIZES.names and len(slabs) > 1


def test_too_little_memory_is_an_error() -> None:
    with pytest.raises(InputError, match="gpu memory=1000: one combination needs"):
        plan_slabs(KERNELS, COLUMNS, len(FAST), SIZES, 1000)
