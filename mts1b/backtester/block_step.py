"""What one bar of one name adds for a block of jobs by lanes, as vector instructions.

Numba makes no good code of loops over a dozen lanes: it must suppose that any two arrays overlap. Here the instructions
are written out, in LLVM's portable form, for vectors that stay in registers. Addresses are integers, in bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

I1, I16, I32, I64 = ir.IntType(1), ir.IntType(16), ir.IntType(32), ir.IntType(64)
F32, F64 = ir.FloatType(), ir.DoubleType()
CONTRACT = ("contract",)

BLOCKS = 16
"""Blocks side by side, at most: one bit of an int for each."""

EARNED = ("leave", "enter", "stay")
TRADED = ("bought", "resized")
MOVING = ("gross", "begun", "kept")


@dataclass(frozen=True)
class Shape:
    """`lanes` of a block; how many conditions have to hold for `entry` and, in a latch, for `leave`; `count`: what a
    bar in the market is counted as where the weight does not move, 0.0 where it does."""

    lanes: int
    entry: int
    leave: int
    count: float

    @property
    def terms(self) -> tuple[str, ...]:
        return (*EARNED, *TRADED, *(() if self.count else MOVING))

    @property
    def sums(self) -> int:
        return 2 if self.count else 3


def pieces(lanes: int) -> list[tuple[int, int]]:
    """Vectors that cover the lanes: where each begins, and its width, 16 or a smaller power of two."""
    found, start = [], 0
    for width in (16, 8, 4, 2, 1):
        while lanes - start >= width:
            found.append((start, width))
            start += width
    return found


def full(width: int) -> Any:
    """The int of so many bits, all set."""
    return ir.Constant(ir.IntType(width), -1)


def _written(make: Callable[[Writer, Sequence[Sequence[Any]]], Any], result: Any) -> Any:
    """A function of tuples of numbers whose body `make` writes."""

    def typed(kinds: Sequence[Any]) -> tuple[Any, Any]:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pairs = zip(arguments, signature.args, strict=True)
            made = make(
                Writer(builder), [cgutils.unpack_tuple(builder, item, count=kind.count) for item, kind in pairs]
            )
            return context.get_dummy_value() if result is types.void else made

        return result(*kinds), generate

    return typed


@lru_cache(maxsize=64)
def step_of(shape: Shape) -> Any:
    """`step(places, numbers)`: add what the lanes of one block make of a bar, job by job.

    places   of the keys int16 [lanes] and of what each job asks int16 [jobs], for each condition at the bar decided
             on; then, without a latch, the same at the bar that the position before was decided on; of the returns
             float32 [lanes] of the first job, of each sum; in a latch of `held` and of its state; of the terms
    numbers  jobs; elements from job to job of the returns, of the sums, of the state; elements from term to term; in
             a latch whether the position before and the state are 0 or 1 for all, or 2: as stored; and whether the
             bar can be traded
    """
    typed = _written(lambda writer, given: writer.jobs(shape, *given), types.void)

    @intrinsic
    def step(context: Any, places: Any, numbers: Any) -> Any:  # noqa: ARG001
        return typed((places, numbers))

    return step


@lru_cache(maxsize=64)
def agreed_of(shape: Shape) -> Any:
    """`agreed(places, numbers)`: add what blocks make of a bar in which all their lanes do the same.

    places   of the returns float32 [BLOCKS], of each sum, of the terms
    numbers  elements from term to term; bits of the blocks that held before, and that hold now
    """
    typed = _written(lambda writer, given: writer.blocks(shape, *given), types.void)

    @intrinsic
    def agreed(context: Any, places: Any, numbers: Any) -> Any:  # noqa: ARG001
        return typed((places, numbers))

    return agreed


@intrinsic
def below_all(context: Any, keys: Any, least: Any) -> Any:  # noqa: ARG001
    """Bits of the blocks whose greatest key, int16 [BLOCKS] at the place `keys`, is below the least number asked."""
    return _compared("<", keys, least)


@intrinsic
def below_none(context: Any, keys: Any, most: Any) -> Any:  # noqa: ARG001
    """Bits of the blocks whose least key, at the place `keys`, is not below the greatest number asked."""
    return _compared(">=", keys, most)


@lru_cache(maxsize=256)
def compared_of(predicate: str, lanes: int) -> Any:
    """`compared(place, number)`: bits of the lanes, at most 64, whose float64 at a place stand so to the number, by an
    ordered predicate of LLVM's ("<", "<=", ">", ">="): never where either is NaN."""

    @intrinsic
    def compared(context: Any, place: Any, number: Any) -> Any:  # noqa: ARG001
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            writer, pointer = Writer(builder), builder.inttoptr(arguments[0], F64.as_pointer())
            packed = ir.Constant(I64, 0)
            for start, width in pieces(lanes):
                vector = ir.VectorType(F64, width)
                found = writer.load(builder.gep(pointer, [ir.Constant(I64, start)]), vector)
                bits = builder.fcmp_ordered(predicate, found, writer.spread(arguments[1], vector))
                number = builder.zext(builder.bitcast(bits, ir.IntType(width)), I64)
                packed = builder.or_(packed, builder.shl(number, ir.Constant(I64, start)))
            return packed

        return types.int64(place, number), generate

    return compared


@lru_cache(maxsize=64)
def noted_of(lanes: int) -> Any:
    """`noted(place, bits, change, first, buys)`: write one int32 for each lane whose bit is set in `change`, in order,
    to a place: the number of the lane added to `first`, and `buys` too where its bit is set in `bits`. Returns how
    many. Nothing branches on the bits: which lanes change is not to be foreseen. Behind those written, up to 16 more
    hold anything: numbers are packed in a register, since packing them on the way to memory takes some processors a
    hundred cycles.
    """

    @intrinsic
    def noted(context: Any, place: Any, bits: Any, change: Any, first: Any, buys: Any) -> Any:  # noqa: ARG001
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return Writer(builder).notes(lanes, *arguments)

        return types.int64(place, types.int64, types.int64, types.int32, types.int32), generate

    return noted


@lru_cache(maxsize=8)
def extreme_of(which: str, width: int) -> Any:
    """`extreme(place)`: the least ("smin") or greatest ("smax") of `width` numbers int16 at a place."""

    @intrinsic
    def extreme(context: Any, place: Any) -> Any:  # noqa: ARG001
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            vector = ir.VectorType(I16, width)
            found = Writer(builder).load(builder.inttoptr(arguments[0], I16.as_pointer()), vector)
            name = f"llvm.vector.reduce.{which}.v{width}i16"
            reduce = cgutils.get_or_insert_function(builder.module, ir.FunctionType(I16, [vector]), name)
            return builder.call(reduce, [found])

        return types.int16(place), generate

    return extreme


@intrinsic
def ordered(context: Any, account: Any, order: Any) -> Any:  # noqa: ARG001
    """Multiply float64 [4] at the place `account` by the first four at `order`, and add the four behind them."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        writer, vector = Writer(builder), ir.VectorType(F64, 4)
        place, first = writer.pointers(arguments, F64)
        factors, addends = (writer.load(builder.gep(first, [ir.Constant(I64, at)]), vector) for at in (0, 4))
        writer.store(builder.fadd(builder.fmul(writer.load(place, vector), factors), addends), place)
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp), generate


@intrinsic
def first_bit(context: Any, bits: Any) -> Any:  # noqa: ARG001
    """The number of the lowest bit that is set."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(I1, 1))

    return types.int64(bits), generate


def _compared(operator: str, keys: Any, number: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        writer = Writer(builder)
        vector = ir.VectorType(I16, BLOCKS)
        found = writer.load(builder.inttoptr(arguments[0], I16.as_pointer()), vector)
        bits = builder.icmp_signed(operator, found, writer.spread(arguments[1], vector))
        return builder.zext(builder.bitcast(bits, ir.IntType(BLOCKS)), I64)

    return types.int64(keys, number), generate


class Writer:
    """Writes instructions at the end of the block that the builder is in."""

    def __init__(self, builder: Any) -> None:
        self.b = builder

    def constant(self, value: float, lanes: int) -> Any:
        return ir.Constant(ir.VectorType(F32, lanes), [ir.Constant(F32, value)] * lanes)

    def spread(self, value: Any, vector: Any) -> Any:
        """A vector of one value."""
        undefined = ir.Constant(vector, ir.Undefined)
        first = self.b.insert_element(undefined, value, ir.Constant(I32, 0))
        return self.b.shuffle_vector(
            first, undefined, ir.Constant(ir.VectorType(I32, vector.count), [0] * vector.count)
        )

    def load(self, pointer: Any, vector: Any) -> Any:
        found = self.b.load(self.b.bitcast(pointer, vector.as_pointer()))
        found.align = 2 if vector.element == I16 else 4  # float64 too: more is not known of where a row begins
        return found

    def store(self, value: Any, pointer: Any) -> None:
        self.b.store(value, self.b.bitcast(pointer, value.type.as_pointer())).align = 4

    def notes(self, lanes: int, place: Any, bits: Any, change: Any, first: Any, buys: Any) -> Any:
        b, count, (queue,) = self.b, ir.Constant(I64, 0), self.pointers([place], I32)
        for start in range(0, lanes, 16):
            width = 16 if lanes - start > 8 else 8
            mask, vector = ir.VectorType(I1, width), ir.VectorType(I32, width)
            changed, bought = (
                b.trunc(b.lshr(word, ir.Constant(I64, start)), ir.IntType(width)) for word in (change, bits)
            )
            number = b.add(self.spread(first, vector), ir.Constant(vector, list(range(start, start + width))))
            sign = b.select(b.bitcast(bought, mask), self.spread(buys, vector), ir.Constant(vector, [0] * width))
            kind = ir.FunctionType(vector, [vector, mask, vector])
            name = f"llvm.experimental.vector.compress.v{width}i32"
            compress = cgutils.get_or_insert_function(b.module, kind, name)
            noted = [b.add(number, sign), b.bitcast(changed, mask), ir.Constant(vector, ir.Undefined)]
            packed = b.call(compress, noted)
            self.store(packed, b.gep(queue, [count]))
            count = b.add(count, b.zext(b.ctpop(changed), I64))
        return count

    def floats(self, bits: Any) -> Any:
        """1.0 where a bit of the vector is set, else 0.0."""
        return self.b.select(bits, self.constant(1.0, bits.type.count), self.constant(0.0, bits.type.count))

    def multiplied(self, a: Any, b: Any, c: Any) -> Any:
        """a * b + c, in one instruction where the machine has it."""
        return self.b.fadd(self.b.fmul(a, b, flags=CONTRACT), c, flags=CONTRACT)

    def pointers(self, places: Sequence[Any], kind: Any) -> list[Any]:
        return [self.b.inttoptr(place, kind.as_pointer()) for place in places]

    def terms(self, shape: Shape, place: Any, stride: Any, lanes: int) -> dict[str, Any]:
        found = {}
        for number, name in enumerate(shape.terms):
            pointer = self.b.gep(place, [self.b.mul(stride, ir.Constant(I64, number))])
            found[name] = self.spread(self.b.load(pointer), ir.VectorType(F32, lanes))
        return found

    def blocks(self, shape: Shape, places: Sequence[Any], numbers: Sequence[Any]) -> None:
        net, *sums, terms = self.pointers(places, F32)
        before, now = (
            self.floats(self.b.bitcast(self.b.trunc(bits, ir.IntType(BLOCKS)), ir.VectorType(I1, BLOCKS)))
            for bits in numbers[1:]
        )
        self.add(shape, before, now, net, sums, self.terms(shape, terms, numbers[0], BLOCKS))

    def jobs(self, shape: Shape, places: Sequence[Any], numbers: Sequence[Any]) -> None:
        b, lanes = self.b, ir.VectorType(I16, shape.lanes)
        shorts = 2 * (shape.entry + shape.leave) * (1 if shape.leave else 2)
        keys = [self.load(pointer, lanes) for pointer in self.pointers(places[:shorts:2], I16)]
        asked = self.pointers(places[1:shorts:2], I16)
        net, *rest, last = self.pointers(places[shorts:], F32)
        terms = self.terms(shape, last, numbers[4], shape.lanes)
        entry, loop, done = b.block, b.append_basic_block("job"), b.append_basic_block("jobs_done")
        b.branch(loop)
        b.position_at_end(loop)
        j = b.phi(I64)
        j.add_incoming(ir.Constant(I64, 0), entry)
        pairs = zip(keys, asked, strict=True)
        bits = [b.icmp_signed("<", key, self.spread(b.load(b.gep(place, [j])), lanes)) for key, place in pairs]
        sums = [b.gep(place, [b.mul(j, numbers[2])]) for place in rest[: shape.sums]]
        if shape.leave:
            memory = [b.gep(place, [b.mul(j, numbers[3])]) for place in rest[shape.sums :]]
            before, now = self.latched(shape, bits, memory, numbers[5:])
        else:
            now, before = (self.floats(self.all_of(part)) for part in (bits[: shape.entry], bits[shape.entry :]))
        self.add(shape, before, now, b.gep(net, [b.mul(j, numbers[1])]), sums, terms)
        following = b.add(j, ir.Constant(I64, 1))
        j.add_incoming(following, b.block)
        b.cbranch(b.icmp_signed("<", following, numbers[0]), loop, done)
        b.position_at_end(done)

    def all_of(self, bits: Sequence[Any]) -> Any:
        found = bits[0]
        for bit in bits[1:]:
            found = self.b.and_(found, bit)
        return found

    def latched(
        self, shape: Shape, bits: Sequence[Any], memory: Sequence[Any], numbers: Sequence[Any]
    ) -> tuple[Any, Any]:
        """The position before and now; `memory` [held, state] follows."""
        b = self.b
        was, on = (
            self.remembered(number, place, shape.lanes) for number, place in zip(numbers[:2], memory, strict=True)
        )
        one, zero = self.constant(1.0, shape.lanes), self.constant(0.0, shape.lanes)
        entered = b.select(self.all_of(bits[: shape.entry]), one, on)
        on = b.select(self.all_of(bits[shape.entry :]), zero, entered)
        now = b.select(b.icmp_signed("!=", numbers[2], ir.Constant(I64, 0)), on, was)
        self.store(now, memory[0])
        self.store(on, memory[1])
        return was, now

    def remembered(self, number: Any, place: Any, lanes: int) -> Any:
        stored = self.b.icmp_signed("==", number, ir.Constant(I64, 2))
        vector = ir.VectorType(F32, lanes)
        return self.b.select(stored, self.load(place, vector), self.spread(self.b.sitofp(number, F32), vector))

    def add(self, shape: Shape, before: Any, now: Any, net: Any, sums: Sequence[Any], terms: dict[str, Any]) -> None:
        b, lanes = self.b, before.type.count
        ints = ir.VectorType(I32, lanes)
        both = b.bitcast(b.and_(b.bitcast(before, ints), b.bitcast(now, ints)), before.type)

        def added(place: Any, *parts: tuple[Any, Any]) -> None:
            total = self.load(place, before.type)
            for held, factor in parts:
                total = self.multiplied(held, factor, total)
            self.store(total, place)

        added(net, (before, terms["leave"]), (now, terms["enter"]), (both, terms["stay"]))
        added(sums[0], (now, terms["bought"]), (both, terms["resized"]))
        if shape.count:
            added(sums[1], (now, self.constant(shape.count, lanes)), (both, self.constant(1.0, lanes)))
        else:
            added(sums[1], (now, terms["gross"]))
            added(sums[2], (now, terms["begun"]), (both, terms["kept"]))
