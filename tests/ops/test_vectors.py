"""Vector instructions on bits against NumPy, at odd places of their arrays."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from spikeformer.ops import vectors
from spikeformer.ops.vectors import LANES

rng = np.random.default_rng(0)


def random_words(count):
    return rng.integers(0, 1 << 32, count, dtype=np.uint32)


def random_rows(count):
    # Small whole numbers, whose sums are exact in any order.
    return rng.integers(-9, 9, count * LANES).astype(np.float32)


def spikes_of(words):
    """(words, 32) spikes."""
    return (words[:, None] >> np.arange(LANES, dtype=np.uint32)) & np.uint32(1)


def selected(word, row):
    return np.where(spikes_of(np.array([word]))[0], row, np.float32(0))


@njit
def everything(words, rows, elements, table, floats, integers):
    vectors.transpose_words(words, 1, 2, integers, 3)
    vectors.count_matches(words, 1, words, 2, LANES, 2, floats, 0)
    vectors.subset_sums(rows, 5, LANES, table)
    vectors.sum_selected(table, words[0], floats, LANES + 1)
    vectors.pick(words[1], rows, 7, floats, 2 * LANES + 1)
    vectors.add_picked(words[2], rows, 9, floats, 3 * LANES + 1)
    vectors.fill(np.float32(2.5), floats, 4 * LANES + 1)
    total = vectors.sum_picked(words[3], rows, 11)
    return total, vectors.fired(elements, 3), vectors.popcount(words[4])


@njit
def copy(source, target, length):
    vectors.copy_rows(source, 3, 100, target, 5, 90, 4, length)


@njit
def read(bits, start, length, words):
    vectors.read_words(bits, start, length, words, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
def test_instructions(dtype):
    words, rows = random_words(3 * LANES), random_rows(40)
    elements = rng.integers(0, 2, 2 * LANES).astype(dtype)
    # Zero with a sign is no spike, and NaN is one.
    elements[3:5] = (0x8000, 0x7FC0) if dtype == np.uint16 else (-0.0, np.nan)
    table, integers = np.full(vectors.TABLE, np.nan, np.float32), np.zeros(2 * LANES, np.uint32)
    floats = random_rows(5 + 1)
    before = floats.copy()
    total, fired, count = everything(words, rows, elements, table, floats, integers)

    bits = spikes_of(words)
    assert (spikes_of(integers[3 : 3 + LANES]) == spikes_of(words[1 : 1 + 2 * LANES : 2]).T).all()
    one, others = bits[[1, 1 + LANES]], bits[np.add.outer([2, 2 + LANES], np.arange(LANES))]
    assert (floats[:LANES] == (one[:, None] & others).sum((0, 2))).all()

    summed, picked, added, filled = (slice(n * LANES + 1, (n + 1) * LANES + 1) for n in range(1, 5))
    chosen = (bits[0][:, None] * rows[5 : 5 + LANES * LANES].reshape(LANES, LANES)).sum(0)
    assert (floats[summed] == before[summed] + chosen).all()
    assert (floats[picked] == selected(words[1], rows[7 : 7 + LANES])).all()
    assert (floats[added] == before[added] + selected(words[2], rows[9 : 9 + LANES])).all()
    assert (floats[filled] == 2.5).all()
    assert total == selected(words[3], rows[11 : 11 + LANES]).sum()
    spikes = (elements.view(np.uint16) & 0x7FFF if dtype == np.uint16 else elements) != 0
    assert (spikes_of(np.array([fired], np.uint32))[0] == spikes[3 : 3 + LANES]).all()
    assert count == bits[4].sum()


def test_products_of_rows():
    @njit
    def multiply(rows, matrix, out):
        vectors.multiply_rows(rows, 2, 3 * LANES, matrix, out, 1, 2 * LANES)

    rows, matrix, out = random_rows(12), random_rows(LANES), random_rows(9)
    expected = out.copy()
    for i in range(4):
        to, row = 1 + i * 2 * LANES, rows[2 + i * 3 * LANES :][:LANES]
        expected[to : to + LANES] += row @ matrix.reshape(LANES, LANES)
    multiply(rows, matrix, out)
    assert (out == expected).all()


@pytest.mark.parametrize("length", [1, 31, 32, 33, 64, 77])
def test_rows_of_any_length(length):
    source, target = random_rows(14), np.zeros(14 * LANES, np.float32)
    copy(source, target, length)
    expected = np.zeros_like(target)
    for i in range(4):
        expected[5 + 90 * i :][:length] = source[3 + 100 * i :][:length]
    assert (target == expected).all()


def test_words_are_written_as_bytes():
    @njit
    def write(words, bits):
        vectors.store_word(words[0], bits, 3)

    words, bits = random_words(1), np.zeros(8, np.uint8)
    write(words, bits)
    assert (np.unpackbits(bits[3:7], bitorder="little") == spikes_of(words)[0]).all()
    assert not bits[[0, 1, 2, 7]].any()


@pytest.mark.parametrize("start", [0, 3, 8, 13])
@pytest.mark.parametrize("length", [1, 7, 32, 40, 96])
def test_words_at_any_bit(start, length):
    spikes = rng.integers(0, 2, start + length, dtype=np.uint8)
    words = np.zeros(1 + -(-length // LANES), np.uint32)
    # No byte behind the last spike's, so that a read past it is a read past the array.
    read(np.packbits(spikes, bitorder="little"), start, length, words)
    read_back = spikes_of(words[1:]).ravel()
    assert (read_back[:length] == spikes[start:]).all()
    assert not read_back[length:].any()
    assert words[0] == 0
