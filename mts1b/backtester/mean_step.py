"""Means of windows that follow each other, as vector instructions: the sums stay in registers over all bars."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from mts1b.backtester.block_step import F64, I64, Writer, pieces


@lru_cache(maxsize=64)
def means_of(lanes: int, streams: int = 1) -> Any:
    """`means(places, bars, stride)`: go on with means of `lanes` windows over bars that are all known.

    Places of float64, for each of the `streams`, which do not wait for each other: `values` of the first bar; `past` of
    the value that leaves the first window there, those of the longer windows behind it, and of the bar after before
    it; `total` and `lost` [lanes]; `out` of the first bar, whose rows are `stride` elements apart. Last `windows`
    [lanes]. The arithmetic is that of `indicators.rolling_sum`, in its order.
    """

    @intrinsic
    def means(context: Any, places: Any, bars: Any, stride: Any) -> Any:  # noqa: ARG001
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            writer = Writer(builder)
            unpacked = cgutils.unpack_tuple(builder, arguments[0], count=signature.args[0].count)
            *given, windows = writer.pointers(unpacked, F64)
            parts = [
                _Stream(writer, ir.VectorType(F64, width), start, given[5 * i : 5 * i + 5], windows)
                for i in range(streams)
                for start, width in pieces(lanes)
            ]
            _write(writer, parts, *arguments[1:])
            return context.get_dummy_value()

        return types.void(places, types.intp, types.intp), generate

    return means


class _Stream:
    """Windows of one series, side by side from number `start` on, on their way through the bars."""

    def __init__(self, writer: Writer, vector: Any, start: int, places: Sequence[Any], windows: Any) -> None:
        self.writer, self.vector = writer, vector
        self.values = places[0]
        offset = [ir.Constant(I64, start)]
        self.past, total, lost, self.out, sizes = (writer.b.gep(place, offset) for place in (*places[1:], windows))
        self.memory = [writer.load(total, vector), writer.load(lost, vector)]
        self.windows = writer.load(sizes, vector)

    def begin(self, entry: Any) -> None:
        self.phis = [self.writer.b.phi(self.vector) for _ in self.memory]
        for phi, first in zip(self.phis, self.memory, strict=True):
            phi.add_incoming(first, entry)

    def step(self, t: Any, stride: Any) -> None:
        b, (total, lost) = self.writer.b, self.phis
        x = self.writer.spread(b.load(b.gep(self.values, [t])), self.vector)
        leaving = self.writer.load(b.gep(self.past, [b.neg(t)]), self.vector)
        gone = b.fadd(leaving, lost)  # the change is its opposite, as exactly
        moved = b.fsub(total, gone)
        left = b.fadd(b.fsub(moved, total), gone)
        change = b.fsub(x, left)
        grown = b.fadd(moved, change)
        over = b.fsub(b.fsub(grown, moved), change)
        self.writer.store(b.fdiv(grown, self.windows), b.gep(self.out, [b.mul(t, stride)]))
        self.memory = [grown, over]

    def end(self, loop: Any) -> None:
        for phi, value in zip(self.phis, self.memory, strict=True):
            phi.add_incoming(value, loop)


def _write(writer: Writer, series: Sequence[_Stream], bars: Any, stride: Any) -> None:
    b = writer.b
    entry, loop, done = b.block, b.append_basic_block("bar"), b.append_basic_block("bars_done")
    b.branch(loop)
    b.position_at_end(loop)
    t = b.phi(I64)
    t.add_incoming(ir.Constant(I64, 0), entry)
    for stream in series:
        stream.begin(entry)
    for stream in series:
        stream.step(t, stride)
    following = b.add(t, ir.Constant(I64, 1))
    t.add_incoming(following, loop)
    for stream in series:
        stream.end(loop)
    b.cbranch(b.icmp_signed("<", following, bars), loop, done)
    b.position_at_end(done)
