"""Products in bytes against float64, and when they are left to float32."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from spikeformer.models.layers import SpikeConv2d
from spikeformer.ops import byte_products, spike_linear
from spikeformer.ops.byte_products import convolve, linear

# Without these instructions two products of bytes are added up in 16 bits, which may not hold them.
needs_bytes = pytest.mark.skipif(
    not (torch.backends.mkldnn.is_available() and torch.cpu._is_vnni_supported()),
    reason="this CPU does not multiply bytes",
)

KINDS = {
    "spikes": lambda shape: (torch.rand(shape) < 0.2).float(),
    "sums": lambda shape: torch.randint(0, 256, shape).float(),
    "graded": lambda shape: torch.randint(0, 9, shape) / 8,
}


def within_float32(result, x, weight, exact):
    """No further from the exact sum than the weights' rounding to 24 bits and that of the sum."""
    largest = weight.abs().amax(dim=tuple(range(1, weight.dim())))
    bound = 2.0**-22 * largest * x.abs().amax() * weight[0].numel()
    bound = bound.view(1, -1, *[1] * (exact.dim() - 2))
    return bool(((result - exact).abs() <= bound).all())


@needs_bytes
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(2049, 257, 300), (1000, 33, 4100)])
def test_a_product(kind, rows, inputs, outputs):
    x, weight = KINDS[kind]((rows, inputs)), torch.randn(outputs, inputs)
    weight[3] = 0
    weight[5] *= 1e-20
    result = linear(x, weight)
    assert within_float32(result, x, weight, x.double() @ weight.double().T)


@needs_bytes
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("stride", "padding"), [((1, 1), (1, 1)), ((2, 1), (0, 2))])
def test_a_convolution(kind, stride, padding):
    x = KINDS[kind]((5, 48, 21, 23)).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(160, 48, 3, 3)
    result = convolve(x, weight, stride, padding)
    plain = {"stride": stride, "padding": padding}
    assert within_float32(result, x, weight, F.conv2d(x.double(), weight.double(), **plain))
    assert result.stride() == F.conv2d(x, weight, **plain).stride()


@needs_bytes
def test_is_nearer_than_float32():
    x, weight = KINDS["spikes"]((2048, 512)), torch.randn(256, 512)
    exact = x.double() @ weight.double().T
    ours, float32 = ((y - exact).abs().mean() for y in (linear(x, weight), F.linear(x, weight)))
    assert ours < float32


@pytest.mark.parametrize("number", [-1.0, 0.3, 256.0, 3e9, float("nan"), float("inf"), 1e-40])
@pytest.mark.parametrize("place", [0, -1])
def test_other_numbers_are_left_to_float32(number, place):
    x = KINDS["spikes"]((2048, 256))
    x.view(-1)[place] = number
    assert linear(x, torch.randn(256, 256)) is None


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_without_units_are_left_to_float32(number):
    weight = torch.randn(256, 256)
    weight[200, 7] = number
    assert linear(KINDS["spikes"]((2048, 256)), weight) is None
    weight[200] = 1e-30
    assert linear(KINDS["spikes"]((2048, 256)), weight) is None


def test_what_is_small_or_lies_otherwise_is_left_to_float32():
    assert linear(torch.zeros(8, 256), torch.randn(256, 256)) is None
    assert linear(torch.zeros(1 << 14, 16), torch.randn(1024, 16)) is None
    pictures = torch.zeros(8, 64, 32, 32)
    assert convolve(pictures, torch.randn(64, 64, 3, 3), (1, 1), (1, 1)) is None


@needs_bytes
def test_a_changed_weight_is_packed_anew():
    x, weight = KINDS["spikes"]((2048, 256)), nn.Parameter(torch.randn(300, 256))
    before = linear(x, weight)
    assert torch.equal(linear(x, weight), before)
    weight.data[0] += 1  # which no version tells
    after = linear(x, weight)
    torch.testing.assert_close(after[:, 0], before[:, 0] + x.sum(1))
    assert torch.equal(after[:, 1:], before[:, 1:])


@needs_bytes
def test_nothing_is_kept_of_a_weight_that_is_gone():
    gc.collect()
    before = len(byte_products._kept)
    weight = nn.Parameter(torch.randn(300, 256))
    linear(KINDS["spikes"]((2048, 256)), weight)
    assert len(byte_products._kept) == before + 1
    del weight
    gc.collect()
    assert len(byte_products._kept) == before


class Follow(TorchFunctionMode):
    """Follows every operation."""

    def __torch_function__(self, function, kinds, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


def test_serves_inference_alone(monkeypatch):
    monkeypatch.setattr(byte_products, "available", lambda: True)
    may_serve = byte_products.may_serve
    x, weight = torch.zeros(4, 8), nn.Parameter(torch.zeros(8, 8))
    assert not may_serve(x, weight)
    with torch.no_grad():
        assert may_serve(x, weight)
        assert not may_serve(x, torch.zeros(8, 8))
        assert not may_serve(x.double(), weight)
        with torch.autocast("cpu", torch.bfloat16):
            assert not may_serve(x, weight)
        with Follow():
            assert not may_serve(x, weight)
    weight.requires_grad_(False)
    assert may_serve(x, weight)
    assert not may_serve(x.requires_grad_(), weight)


@needs_bytes
def test_layers_take_bytes_in_inference(monkeypatch):
    x, weight = KINDS["spikes"]((2, 1024, 256)), nn.Parameter(torch.randn(300, 256))
    bias = torch.randn(300)
    layer = SpikeConv2d(64, 96, 3, padding=1, bias=False)
    pictures = KINDS["spikes"]((8, 64, 24, 24)).contiguous(memory_format=torch.channels_last)
    taken = []
    for available in (False, True):
        monkeypatch.setattr(byte_products, "available", lambda available=available: available)
        with torch.no_grad():
            taken.append((spike_linear(x, weight, bias), layer(pictures)))
    for float32, in_bytes in zip(*taken, strict=True):
        torch.testing.assert_close(in_bytes, float32, rtol=1e-4, atol=1e-4)
        assert not torch.equal(in_bytes, float32)
    trained = spike_linear(x, weight, bias)
    assert torch.equal(trained, taken[0][0])
