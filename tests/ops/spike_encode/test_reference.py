"""The random numbers of `spike_encode`: published words, their places, how they spread."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from numba import njit

from spikeformer.ops.spike_encode import cpu, spike_encode
from spikeformer.ops.spike_encode.reference import philox, uniform
from tests.ops.devices import DEVICE, device_of

BACKENDS = ["reference", "cpu", "triton"]
backends = pytest.mark.parametrize("backend", BACKENDS)

# Random123's kat_vectors for philox4x32-10: counter, key, words.
KNOWN_WORDS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


def poisson(x, timesteps, backend, **options):
    x = x.to(device_of(backend))
    return spike_encode(x, timesteps, code="poisson", backend=backend, **options).cpu()


def words_of(text):
    return [int(word, 16) for word in text.split()]


def scalar_philox(counter, key):
    """Philox-4x32-10 in Python's integers, as in the paper."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        even, odd = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (odd >> 32) ^ c1 ^ k0, odd % 2**32, (even >> 32) ^ c3 ^ k1, even % 2**32
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return [c0, c1, c2, c3]


def reference_philox(counter, key):
    seed = torch.from_numpy(np.array(key, np.uint32).view(np.int64))[0]
    return [int(word) for word in philox(tuple(map(torch.tensor, counter)), seed)]


def numba_philox(counter, key):
    words = np.zeros((4, cpu.BLOCK), np.uint32)
    words[:, 3] = counter
    njit(lambda *arguments: cpu.philox(*arguments))(words.reshape(-1), 4, *map(np.uint32, key))
    return words[:, 3].tolist()


@triton.jit
def _philox_kernel(counter: tl.tensor, seed: tl.tensor, words: tl.tensor) -> None:
    c0, c1, c2, c3 = (tl.load(counter), tl.load(counter + 1), tl.load(counter + 2),
                      tl.load(counter + 3))  # fmt: skip
    w0, w1, w2, w3 = tl.philox(tl.load(seed), c0, c1, c2, c3)
    tl.store(words, w0)
    tl.store(words + 1, w1)
    tl.store(words + 2, w2)
    tl.store(words + 3, w3)


def triton_philox(counter, key):
    counter, seed = np.array(counter, np.uint32), np.array(key, np.uint32).view(np.int64)
    words = torch.zeros(4, dtype=torch.int32, device=DEVICE)
    arguments = (torch.from_numpy(array).to(DEVICE) for array in (counter.view(np.int32), seed))
    _philox_kernel[(1,)](*arguments, words)
    return (words.cpu().long() % 2**32).tolist()


@pytest.mark.parametrize(
    "implementation", [scalar_philox, reference_philox, numba_philox, triton_philox]
)
@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_WORDS)
def test_philox_gives_the_published_words(implementation, counter, key, words):
    assert implementation(words_of(counter), words_of(key)) == words_of(words)


@backends
def test_each_place_has_its_own_counter(backend):
    seed, stream, shape = -12345678901234567, 7, (2, 6, 3)
    x = torch.rand(shape)
    spikes = poisson(x, None, backend, max_probability=0.9, seed=seed, stream=stream)
    scale = np.float32(0.9)
    key = seed % 2**32, (seed >> 32) % 2**32
    for b, t, f in np.ndindex(*shape):
        u = (scalar_philox((f, t // 4, b, stream), key)[t % 4] >> 8) / 2**24
        assert spikes[b, t, f] == (u < np.float32(x[b, t, f].item()) * scale)


@backends
def test_a_number_depends_on_its_place_alone(backend):
    x = torch.rand(3, 4, 5)
    spikes = poisson(x, 7, backend, seed=3)
    assert torch.equal(poisson(x[:2], 5, backend, seed=3), spikes[:2, :5])
    assert torch.equal(poisson(x.mT.contiguous().mT, 7, backend, seed=3), spikes)
    assert torch.equal(poisson(x.flatten(1), 7, backend, seed=3).view(spikes.shape), spikes)


@backends
def test_zero_never_fires_and_one_always_may(backend):
    x = torch.tensor([0.0, 1.0]).repeat(1, 200)
    spikes = poisson(x, 30, backend, seed=9)
    assert spikes[..., ::2].sum() == 0
    assert spikes[..., 1::2].mean() == 1


def test_numbers_are_uniform_and_uncorrelated():
    shape = (20, 50, 200)
    u = uniform(torch.tensor([1, 2]), shape)
    assert 0 <= u.min() < 1e-4
    assert 1 - 1e-4 < u.max() < 1
    # 5 standard deviations: of a mean, of a bin's count, of a correlation's estimate.
    n = u.numel()
    assert abs(u.mean() - 0.5) < 5 / math.sqrt(12 * n)
    bins = torch.histc(u, 64, 0, 1)
    assert (bins - n / 64).abs().max() < 5 * math.sqrt(n / 64)
    centred = (u - 0.5) * math.sqrt(12)
    for axis, lag in ((0, 1), (1, 1), (1, 4), (2, 1)):
        length = shape[axis] - lag
        pairs = centred.narrow(axis, 0, length) * centred.narrow(axis, lag, length)
        assert abs(pairs.mean()) < 5 / math.sqrt(pairs.numel())
    other = (uniform(torch.tensor([1, 3]), shape) - 0.5) * math.sqrt(12)
    assert abs((centred * other).mean()) < 5 / math.sqrt(n)


@backends
def test_the_rate_is_the_probability(backend):
    x = torch.full((4, 250), 0.5)
    spikes = poisson(x, 20, backend, max_probability=0.6, seed=4)
    assert abs(spikes.mean() - 0.3) < 5 * math.sqrt(0.3 * 0.7 / spikes.numel())
