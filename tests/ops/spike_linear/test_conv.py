"""`spike_conv2d` against torch's convolution, and what it saves for backward."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from spikeformer.error_handling import ArgumentError
from spikeformer.ops import spike_conv2d
from spikeformer.ops.spike_linear.conv import spike_conv2d_op

CASES = [
    {"stride": (1, 1), "padding": (1, 1), "groups": 1},
    {"stride": (2, 2), "padding": (1, 1), "groups": 1},
    {"stride": (1, 2), "padding": (0, 1), "groups": 4},
]


def make(groups, dtype=torch.float32, memory_format=torch.channels_last):
    spikes = (torch.rand(3, 4, 5, 7) < 0.3).to(dtype).contiguous(memory_format=memory_format)
    weight = torch.randn(8, 4 // groups, 3, 3, dtype=dtype).contiguous(memory_format=memory_format)
    return spikes.requires_grad_(), weight.requires_grad_()


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("options", CASES)
def test_is_a_convolution(options, memory_format):
    spikes, weight = make(options["groups"], memory_format=memory_format)
    out, expected = spike_conv2d(spikes, weight, **options), F.conv2d(spikes, weight, **options)
    assert torch.equal(out, expected)
    assert out.stride() == expected.stride()
    grad = torch.randn_like(expected)
    ours = torch.autograd.grad(out, [spikes, weight], grad)
    theirs = torch.autograd.grad(expected, [spikes, weight], grad)
    for got, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(got, wanted)


def test_saves_bits_alone():
    spikes, weight = make(1)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
        spike_conv2d(spikes, weight)
    sizes = {tensor.dtype: tensor.numel() for tensor in saved if tensor is not weight}
    assert sizes == {torch.uint8: -(-spikes.numel() // 8)}


def test_follows_autocast():
    spikes, weight = make(1)
    with torch.autocast("cpu", torch.bfloat16):
        out, expected = spike_conv2d(spikes, weight), F.conv2d(spikes, weight)
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, expected)


def test_an_empty_batch_and_a_constant_input():
    spikes, weight = make(1)
    empty = spike_conv2d(spikes[:0].detach().requires_grad_(), weight)
    empty.sum().backward()
    assert torch.count_nonzero(weight.grad) == 0
    (grad,) = torch.autograd.grad(spike_conv2d(spikes.detach(), weight).sum(), weight)
    assert grad.abs().sum() > 0


@pytest.mark.parametrize("options", CASES)
def test_operator_passes_opcheck(options):
    arguments = make(options["groups"])
    torch.library.opcheck(
        spike_conv2d_op, (*arguments, *map(list, list(options.values())[:2]), options["groups"])
    )


def test_compiles_and_exports():
    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(make(1)[1].detach())

        def forward(self, spikes):
            return spike_conv2d(2 * spikes - spikes, self.weight, padding=(1, 1))

    module, spikes = Module(), make(1)[0].detach()
    expected = module(spikes)
    (gradient,) = torch.autograd.grad(expected.square().sum(), module.weight)
    out = torch.compile(module, fullgraph=True, backend="aot_eager")(spikes)
    torch.testing.assert_close(out, expected)
    (compiled,) = torch.autograd.grad(out.square().sum(), module.weight)
    torch.testing.assert_close(compiled, gradient)
    assert torch.equal(torch.export.export(module, (spikes,)).module()(spikes), expected)


def test_needs_pictures():
    with pytest.raises(ArgumentError, match="batch, in_channels"):
        spike_conv2d(torch.ones(2, 3), torch.ones(1, 1, 1, 1))
