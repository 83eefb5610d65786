"""`norm_pool` against its reference: outputs, gradients, running statistics, what it keeps."""

from __future__ import annotations

import math

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.ops import norm_pool

SHAPES = [(3, 5, 7, 6), (2, 16, 8, 8), (1, 1, 1, 5), (2, 3, 1, 1), (2, 40, 2, 3)]


def tensors(shape, dtype=torch.float32):
    """Pictures full of ties and, as the first three channels allow, factors of every sign."""
    x = (torch.randn(shape) * 2).round() / 2 + 3
    weight, bias = torch.randn(shape[1]), torch.randn(shape[1])
    weight[: min(3, shape[1])] = torch.tensor([-1.0, 0.0, 2.0])[: min(3, shape[1])]
    return x.to(dtype), weight, bias


def outcome(given, backend, training, grad_seed=1):
    given = [x.clone().requires_grad_() for x in given]
    mean, var = torch.full_like(given[1], 2.5).detach(), torch.full_like(given[1], 1.5).detach()
    out = norm_pool(*given, mean, var, training=training, momentum=0.3, backend=backend)
    upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(grad_seed))
    grads = torch.autograd.grad(out, given, upstream.to(out.dtype))
    return [out.detach(), *grads, mean, var]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_cpu_equals_reference(shape, last, training):
    x, weight, bias = tensors(shape)
    if last:
        x = x.to(memory_format=torch.channels_last)
    expected = outcome((x, weight, bias), "reference", training)
    found = outcome((x, weight, bias), "cpu", training)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-5)


def test_half_precision_is_rounded_once():
    dtype = torch.bfloat16
    given = tensors((2, 6, 5, 8), dtype)
    wide = [x.float() for x in given]
    expected, found = outcome(wide, "reference", True), outcome(given, "cpu", True)
    assert found[0].dtype == found[1].dtype == dtype
    tolerance = 2 * torch.finfo(dtype).eps
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.float(), b, rtol=tolerance, atol=8 * tolerance)


def test_nan_reaches_every_window_that_sees_it():
    x, weight, bias = tensors((1, 3, 6, 6))
    x[0, 2, 3, 3] = math.nan
    results = [
        norm_pool(x, weight, bias, torch.zeros(3), torch.ones(3), training=False, backend=backend)
        for backend in ("reference", "cpu")
    ]
    assert results[0].isnan().sum() == 4
    assert torch.equal(*(out.isnan() for out in results))


def test_backward_keeps_the_input_alone():
    x, weight, bias = (x.requires_grad_() for x in tensors((2, 16, 8, 8)))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        norm_pool(x, weight, bias, torch.zeros(16), torch.ones(16), training=True, backend="cpu")
    assert sum(tensor.numel() for tensor in kept) == x.numel() + 3 * 16


def test_running_statistics_may_move_between_forward_and_backward():
    x, weight, bias = tensors((2, 4, 4, 4))
    x.requires_grad_()
    mean, var = torch.zeros(4), torch.ones(4)
    out = norm_pool(x, weight, bias, mean, var, training=False, backend="cpu")
    expected = torch.autograd.grad(out.sum(), x, retain_graph=True)[0]
    norm_pool(x, weight, bias, mean, var, training=True, backend="cpu")
    assert torch.equal(torch.autograd.grad(out.sum(), x)[0], expected)


def test_compiles_whole():
    given = [x.requires_grad_() for x in tensors((2, 4, 4, 4))]

    def run(*given):
        return norm_pool(*given, torch.zeros(4), torch.ones(4), training=False)

    fast = torch.compile(run, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(fast(*given), run(*given))


@pytest.mark.parametrize(
    ("shape", "channels", "message"),
    [
        ((2, 3, 4), 3, "`x` to be a floating-point tensor"),
        ((2, 3, 4, 4), 4, r"`weight` to be of shape \(3,\)"),
        ((1, 3, 1, 1), 3, "more than one value a channel"),
    ],
)
def test_bad_arguments(shape, channels, message):
    vectors = (torch.ones(channels) for _ in range(4))
    with pytest.raises(ArgumentError, match=message):
        norm_pool(torch.zeros(shape), *vectors, training=True)
