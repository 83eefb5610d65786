"""`norm_lif` inside torch: operator checks, torch.compile, torch.export."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.ops import norm_lif
from spikeformer.ops.norm_lif.operator import norm_lif_backward_op, norm_lif_op
from tests.ops.devices import device_of
from tests.ops.norm_lif.cases import NEURON, random_input

KERNELS = ["cpu", "triton"]


def operator_arguments(backend):
    device = device_of(backend)

    def rand(*shapes):
        return tuple(torch.rand(shape, device=device, requires_grad=True) for shape in shapes)

    options = ([], "subtract", False, "fast_sigmoid", 4.0, 0, backend, 3, 1e-5)
    return rand((2, 3, 12), (4,), (4,)), rand((2, 12), (2, 12), (4,)), options


@pytest.mark.parametrize("backend", KERNELS)
@pytest.mark.parametrize("from_batch", [True, False])
def test_operators_pass_opcheck(from_batch, backend):
    tensors, neuron, options = operator_arguments(backend)
    moments = (torch.zeros_like(neuron[-1]).detach(), torch.ones_like(neuron[-1]).detach())
    given = (None, None) if from_batch else moments
    torch.library.opcheck(norm_lif_op, (*tensors, *given, *neuron, *options, True))
    tensors, neuron = ([x.detach() for x in group] for group in (tensors, neuron))
    grads = (tensors[0], neuron[0], neuron[1])
    arguments = (*tensors, *moments, *neuron, *options, from_batch, *grads)
    torch.library.opcheck(norm_lif_backward_op, arguments)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(6, 6, bias=False), nn.BatchNorm1d(6)

    def forward(self, x):
        return norm_lif(
            self.linear(x),
            weight=self.norm.weight,
            bias=self.norm.bias,
            running_mean=self.norm.running_mean,
            running_var=self.norm.running_var,
            training=self.training,
            **NEURON,
        )[0]


def test_compiles_to_the_same():
    x = random_input(2, 3, 5, 6)
    outcomes = []
    for compiled in (False, True):
        torch.manual_seed(0)
        network = Network()
        run = torch.compile(network, fullgraph=True, backend="aot_eager") if compiled else network
        spikes = run(x)
        grads = torch.autograd.grad(spikes.square().sum(), list(network.parameters()))
        outcomes.append([spikes, network.norm.running_mean, network.norm.running_var, *grads])
    for eager, fast in zip(*outcomes, strict=True):
        torch.testing.assert_close(fast, eager)


def test_exports():
    network, x = Network().eval(), random_input(2, 3, 5, 6)
    assert torch.equal(torch.export.export(network, (x,)).module()(x), network(x))
