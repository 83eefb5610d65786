"""Vector instructions on spikes in bits, which LLVM does not find in loops by itself.

A word is the uint32 of 32 spikes, the first in its lowest bit, and a row is 32 float32 that lie
side by side. Written for vectors of 32 lanes, these become whatever the processor has: two
registers of AVX-512, four of AVX or eight of SSE and NEON. Arrays are one-dimensional, every
argument beside them is an index or a stride in elements, and nothing checks the bounds.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from spikeformer.ops.memory import CACHE_LINE

LANES = 32

GROUP = 4
"""Rows of a group in a table of subset sums."""

TABLE = LANES // GROUP * (1 << GROUP) * LANES
"""Elements of such a table."""

_INT, _WORD, _FLOAT = ir.IntType(64), ir.IntType(32), ir.FloatType()
_WORDS, _ROW = ir.VectorType(_WORD, LANES), ir.VectorType(_FLOAT, LANES)
_LANE_BITS = ir.Constant(_WORDS, [1 << lane for lane in range(LANES)])
_ZEROS = ir.Constant(_WORDS, [0] * LANES)
_SILENCE = ir.Constant(_ROW, [0.0] * LANES)


class _Emitter:
    """Writes the instructions of one call, with arrays by the position of their argument."""

    def __init__(self, context: Any, builder: Any, signature: Any, values: Any) -> None:
        self.builder = builder
        self._data = {
            position: context.make_array(kind)(context, builder, value).data
            for position, (kind, value) in enumerate(zip(signature.args, values, strict=True))
            if isinstance(kind, types.Array)
        }

    def load(self, position: int, index: Any, kind: Any) -> Any:
        """What lies at `index`: a number or a vector."""
        return self.builder.load(self._pointer(position, index, kind), align=_alignment(kind))

    def store(self, value: Any, position: int, index: Any) -> None:
        pointer = self._pointer(position, index, value.type)
        self.builder.store(value, pointer, align=_alignment(value.type))

    def ask(self, position: int, first: Any, count: Any, *, write: bool) -> None:
        """Have the cache lines of `count` elements fetched, which may lie past the end."""
        builder = self.builder
        pointer, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        prefetch = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [pointer, flag, flag, flag]),
            "llvm.prefetch.p0",
        )
        start = self._pointer(position, first, ir.IntType(8))
        per_line = CACHE_LINE // _bytes(self._data[position].type.pointee)
        lines = builder.udiv(builder.add(count, _INT(per_line - 1)), _INT(per_line))
        with cgutils.for_range(builder, lines, intp=_INT) as loop:
            line = builder.gep(start, [builder.mul(loop.index, _INT(CACHE_LINE))])
            # Into all caches, and data rather than instructions.
            builder.call(prefetch, [line, flag(int(write)), flag(3), flag(1)])

    def at(self, start: Any, *steps: Any) -> Any:
        """`start` plus every step; a pair is a product."""
        for step in steps:
            amount = self.builder.mul(*step) if isinstance(step, tuple) else step
            start = self.builder.add(start, amount)
        return start

    def splat(self, number: Any) -> Any:
        """A vector with this number in every lane."""
        kind = ir.VectorType(number.type, LANES)
        undefined = ir.Constant(kind, ir.Undefined)
        one = self.builder.insert_element(undefined, number, _WORD(0))
        lanes = ir.Constant(ir.VectorType(_WORD, LANES), [0] * LANES)
        return self.builder.shuffle_vector(one, undefined, lanes)

    def has(self, word: Any) -> Any:
        """Which bits of a word are set."""
        bits = self.builder.and_(self.splat(word), _LANE_BITS)
        return self.builder.icmp_unsigned("!=", bits, _ZEROS)

    def pick(self, word: Any, row: Any) -> Any:
        """The numbers of a row whose bit is set in a word, and zeros between them."""
        return self.builder.select(self.has(word), row, _SILENCE)

    def _pointer(self, position: int, index: Any, kind: Any) -> Any:
        element = self.builder.gep(self._data[position], [index])
        return self.builder.bitcast(element, kind.as_pointer())


def _alignment(kind: Any) -> int:
    return _bytes(kind.element if isinstance(kind, ir.VectorType) else kind)


def _bytes(element: Any) -> int:
    return 4 if element in (_FLOAT, _WORD) else element.width // 8


def _instruction(*kinds: Any) -> Callable[[Callable[..., None]], Any]:
    """Let kernels call a function that emits instructions and has no result.

    Args:
        *kinds: Types of its arguments behind the emitter; None for an array.
    """

    def decorate(emit: Callable[..., None]) -> Any:
        def typed(context: Any, *given: Any) -> tuple[Any, Any]:
            expected = (kind or array for kind, array in zip(kinds, given, strict=True))

            def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                emit(_Emitter(context, builder, signature, values), *values)
                return context.get_dummy_value()

            return types.none(*expected), generate

        # Numba reads the names of the arguments, with the emitter in place of its context.
        typed.__signature__ = inspect.signature(emit)  # type: ignore[attr-defined]
        typed.__name__, typed.__doc__ = emit.__name__, emit.__doc__
        return intrinsic(typed)

    return decorate


@intrinsic
def fired(context: Any, elements: Any, index: Any) -> Any:
    """Word of the 32 elements from `index`: which of them are not zero.

    Elements are float32, or 16-bit floats as their bits.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        emitter = _Emitter(context, builder, signature, values)
        if elements.dtype == types.float32:
            numbers = emitter.load(0, values[1], _ROW)
            spikes = builder.fcmp_unordered("!=", numbers, _SILENCE)
        else:
            kind = ir.VectorType(ir.IntType(16), LANES)
            magnitude = ir.Constant(kind, [0x7FFF] * LANES)
            bits = builder.and_(emitter.load(0, values[1], kind), magnitude)
            spikes = builder.icmp_unsigned("!=", bits, ir.Constant(kind, [0] * LANES))
        return builder.bitcast(spikes, _WORD)

    return types.uint32(elements, types.int64), generate


@intrinsic
def popcount(context: Any, word: Any) -> Any:
    """Number of spikes in a word."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.ctpop(values[0])

    return types.uint32(types.uint32), generate


@_instruction(types.uint32, None, types.int64, None, types.int64)
def pick(e: _Emitter, word: Any, _source: Any, first: Any, _out: Any, to: Any) -> None:
    """Write a row with the numbers of another whose bit is set in `word`, and zeros between."""
    e.store(e.pick(word, e.load(1, first, _ROW)), 3, to)


AHEAD = 1024
"""Elements by which loops ask for memory before they come to it.

Processors foresee what is read and written front to back, but only up to the end of a page, 4 KiB.
"""


@_instruction(None, types.int64, types.int64)
def will_read(e: _Emitter, _numbers: Any, first: Any, count: Any) -> None:
    """Have the memory of some elements fetched, which is soon read."""
    e.ask(0, first, count, write=False)


@_instruction(None, types.int64, types.int64)
def will_write(e: _Emitter, _numbers: Any, first: Any, count: Any) -> None:
    """Have the memory of some elements fetched, which is soon written."""
    e.ask(0, first, count, write=True)


@intrinsic
def sum_picked(context: Any, word: Any, source: Any, first: Any) -> Any:
    """Sum of the numbers of a row whose bit is set in `word`."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        e = _Emitter(context, builder, signature, values)
        total = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(_FLOAT, [_FLOAT, _ROW]),
            f"llvm.vector.reduce.fadd.v{LANES}f32",
        )
        picked = e.pick(values[0], e.load(1, values[2], _ROW))
        # By halves, in an order that the processor decides, not the number of threads.
        return builder.call(total, [_FLOAT(0.0), picked], fastmath=("reassoc",))

    return types.float32(types.uint32, source, types.int64), generate


@_instruction(types.uint32, None, types.int64, None, types.int64)
def add_picked(e: _Emitter, word: Any, _source: Any, first: Any, _sums: Any, to: Any) -> None:
    """Add to a row the numbers of another whose bit is set in `word`."""
    picked = e.pick(word, e.load(1, first, _ROW))
    e.store(e.builder.fadd(e.load(3, to, _ROW), picked), 3, to)


@_instruction(None, types.int64, types.int64, None, types.int64)
def transpose_words(e: _Emitter, _words: Any, first: Any, stride: Any, _out: Any, to: Any) -> None:
    """Transpose 32 words from `first`, `stride` apart: bit i of word j becomes bit j of word i."""
    builder = e.builder
    columns = _ZEROS
    for j in range(LANES):
        has = e.has(e.load(0, e.at(first, (stride, _INT(j))), _WORD))
        here = ir.Constant(_WORDS, [1 << j] * LANES)
        columns = builder.or_(columns, builder.select(has, here, _ZEROS))
    e.store(columns, 3, to)


@_instruction(None, types.int64, None, types.int64, types.int64, types.int64, None, types.int64)
def count_matches(
    e: _Emitter,
    _one: Any,
    first: Any,
    _others: Any,
    start: Any,
    stride: Any,
    count: Any,
    _out: Any,
    to: Any,
) -> None:
    """Spikes that a neuron has in common with each of 32 others, as a row.

    `count` words of the neuron lie at `first`, `stride` apart, and those of the others, side by
    side, at `start` with the same stride.
    """
    builder = e.builder
    popcount = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_WORDS, [_WORDS]), f"llvm.ctpop.v{LANES}i32"
    )
    total = cgutils.alloca_once_value(builder, _ZEROS)
    with cgutils.for_range(builder, count, intp=_INT) as loop:
        word = e.splat(e.load(0, e.at(first, (stride, loop.index)), _WORD))
        words = e.load(2, e.at(start, (stride, loop.index)), _WORDS)
        common = builder.call(popcount, [builder.and_(word, words)])
        builder.store(builder.add(builder.load(total), common), total)
    e.store(builder.uitofp(builder.load(total), _ROW), 6, to)


@_instruction(None, types.int64, types.int64, None)
def subset_sums(e: _Emitter, _rows: Any, first: Any, stride: Any, _table: Any) -> None:
    """Fill a table with the sums of all subsets of each four of 32 rows, `stride` apart.

    With it `sum_selected` adds up any of the rows in eight steps, however many there are.
    """
    groups = _INT(LANES // GROUP)
    with cgutils.for_range(e.builder, groups, intp=_INT) as loop:
        row = e.at(first, (stride, e.builder.mul(loop.index, _INT(GROUP))))
        entry = e.builder.mul(loop.index, _INT(LANES << GROUP))
        sums = [_SILENCE]
        for i in range(GROUP):
            new = e.load(0, e.at(row, (stride, _INT(i))), _ROW)
            sums += [new, *(e.builder.fadd(known, new) for known in sums[1:])]
        for subset, total in enumerate(sums):
            e.store(total, 3, e.at(entry, _INT(subset * LANES)))


@_instruction(None, types.uint32, None, types.int64)
def sum_selected(e: _Emitter, _table: Any, word: Any, _out: Any, to: Any) -> None:
    """Add to a row those of 32 rows whose bit is set in `word`; see `subset_sums`."""
    builder = e.builder
    sums = [e.load(2, to, _ROW)]
    for group in range(LANES // GROUP):
        bits = builder.lshr(word, _WORD(group * GROUP))
        subset = builder.zext(builder.and_(bits, _WORD((1 << GROUP) - 1)), _INT)
        start = _INT((group << GROUP) * LANES)
        sums.append(e.load(0, e.at(start, (subset, _INT(LANES))), _ROW))
    # By pairs: fewer roundings than one after the other, and no waiting in line.
    known, *sums = sums
    while len(sums) > 1:
        sums = [builder.fadd(*sums[i : i + 2]) for i in range(0, len(sums), 2)]
    e.store(builder.fadd(known, sums[0]), 2, to)


_ROWS = 4
"""Rows that `multiply_rows` works on at a time."""


@_instruction(None, types.int64, types.int64, None, None, types.int64, types.int64)
def multiply_rows(
    e: _Emitter,
    _rows: Any,
    first: Any,
    stride: Any,
    _matrix: Any,
    _out: Any,
    to: Any,
    out_stride: Any,
) -> None:
    """Add to four rows of `out` the product of four of `rows` with a matrix of 32 rows."""
    builder = e.builder
    places = [e.at(to, (out_stride, _INT(i))) for i in range(_ROWS)]
    totals = [cgutils.alloca_once_value(builder, e.load(4, place, _ROW)) for place in places]
    with cgutils.for_range(builder, _INT(LANES), intp=_INT) as loop:
        row = e.load(3, builder.mul(loop.index, _INT(LANES)), _ROW)
        for i, total in enumerate(totals):
            factor = e.load(0, e.at(first, (stride, _INT(i)), loop.index), _FLOAT)
            product = builder.fmul(e.splat(factor), row, flags=("contract",))
            product = builder.fadd(builder.load(total), product, flags=("contract",))
            builder.store(product, total)
    for place, total in zip(places, totals, strict=True):
        e.store(builder.load(total), 4, place)


_ROWS_AHEAD = 8
"""Rows by which `copy_rows` asks for memory before it writes."""


@_instruction(None, types.int64, types.int64, None, types.int64, types.int64, types.int64)
def _copy_block(
    e: _Emitter,
    _source: Any,
    first: Any,
    stride: Any,
    _target: Any,
    to: Any,
    to_stride: Any,
    count: Any,
) -> None:
    """Copy `count` rows of 32."""
    with cgutils.for_range(e.builder, count, intp=_INT) as loop:
        row = e.load(0, e.at(first, (stride, loop.index)), _ROW)
        e.store(row, 3, e.at(to, (to_stride, loop.index)))
        ahead = e.at(to, (to_stride, e.at(loop.index, _INT(_ROWS_AHEAD))))
        e.ask(3, ahead, _INT(LANES), write=True)


@register_jitable
def copy_rows(
    source: Any,
    first: int,
    stride: int,
    target: Any,
    to: int,
    to_stride: int,
    count: int,
    length: int,
) -> None:
    """Copy `count` rows of `length`, where a loop over each would call memcpy for a few bytes."""
    whole = length // LANES * LANES
    for j in range(0, whole, LANES):
        _copy_block(source, first + j, stride, target, to + j, to_stride, count)
    if whole < length:
        for i in range(count):
            for j in range(whole, length):
                target[to + i * to_stride + j] = source[first + i * stride + j]


@_instruction(types.float32, None, types.int64)
def fill(e: _Emitter, number: Any, _out: Any, to: Any) -> None:
    """Write a row of one number."""
    e.store(e.splat(number), 1, to)


@intrinsic
def load_word(context: Any, bits: Any, byte: Any) -> Any:
    """The word that four bytes are, the first of them the lowest, as in all that we run on."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        four = ir.VectorType(ir.IntType(8), 4)
        loaded = _Emitter(context, builder, signature, values).load(0, values[1], four)
        return builder.bitcast(loaded, _WORD)

    return types.uint32(bits, types.int64), generate


@_instruction(types.uint32, None, types.int64)
def store_word(e: _Emitter, word: Any, _bits: Any, byte: Any) -> None:
    """Write a word as four bytes, the first of them the lowest."""
    e.store(e.builder.bitcast(word, ir.VectorType(ir.IntType(8), 4)), 1, byte)


@register_jitable
def read_word(bits: Any, start: int, length: int) -> Any:
    """Word of the `length` spikes, at most 32, from bit `start` of an array of bytes."""
    byte, shift = start >> 3, np.uint64(start & 7)
    word = np.uint64(0)
    for i in range((int(shift) + length + 7) >> 3):
        word |= np.uint64(bits[byte + i]) << np.uint64(8 * i)
    mask = (np.uint64(1) << np.uint64(length)) - np.uint64(1)
    return np.uint32((word >> shift) & mask)


@register_jitable
def read_words(bits: Any, start: int, length: int, words: Any, first: int) -> None:
    """Words of the `length` spikes from bit `start`, in full ones and what remains."""
    whole = length // LANES
    for i in range(whole):
        if start & 7:
            words[first + i] = read_word(bits, start + i * LANES, LANES)
        else:
            words[first + i] = load_word(bits, (start >> 3) + 4 * i)
    if whole * LANES < length:
        words[first + whole] = read_word(bits, start + whole * LANES, length - whole * LANES)
