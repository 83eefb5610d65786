from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.neurons import AdLifNeuron, LifNeuron, ParametricLifNeuron
from spikeformer.profiling import LayerCounts, OperationCounter
from tests.profiling.brute_force import spikes_like


class Call(nn.Module):
    """A module that calls a function."""

    def __init__(self, function, *children):
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(children)

    def forward(self, *inputs):
        return self.function(*self.parts, *inputs)


def counted(model, *inputs, samples=None) -> dict[str, LayerCounts]:
    with torch.no_grad(), OperationCounter() as counter:
        model(*inputs)
    (work,) = counter.works
    assert work.samples == (samples or inputs[0].shape[0])
    return {f"{layer.name}:{layer.kind}": layer for layer in work.counts().layers}


@pytest.mark.parametrize("dimensions", [1, 3])
def test_convolutions_of_other_dimensions_are_unit_weights(dimensions):
    kind = {1: nn.Conv1d, 3: nn.Conv3d}[dimensions]
    layer = kind(3, 4, 3, stride=2, padding=1, bias=False)
    nn.init.ones_(layer.weight)
    x = spikes_like(2, 3, *[5] * dimensions)
    counts = counted(nn.Sequential(layer), x)["0:conv"]
    assert counts.acs == layer(x).sum().item()
    assert counts.dense == layer(torch.ones_like(x)).sum().item()


def test_a_transposed_convolution_is_unit_weights():
    layer = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1, bias=False)
    nn.init.ones_(layer.weight)
    x = spikes_like(2, 3, 4, 5)
    counts = counted(nn.Sequential(layer), x)["0:conv"]
    assert counts.acs == layer(x).sum().item()
    assert counts.dense == layer(torch.ones_like(x)).sum().item()


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("kind", [LifNeuron, ParametricLifNeuron, AdLifNeuron])
def test_neurons_are_updated_at_each_timestep(kind, backend):
    neuron, current = kind(backend=backend), torch.rand(2, 3, 4, 5) * 2
    spikes = neuron(current)
    counts = counted(nn.Sequential(neuron), current)["0:neuron"]
    assert (counts.neuron_updates, counts.spikes) == (120, spikes.sum())
    assert counts.timeline == tuple(spikes.sum((0, 2, 3)).tolist())
    assert counts.steps == 3
    assert counts.membranes == (40 if kind is AdLifNeuron else 20)


def test_the_ways_to_write_a_product_count_alike():
    a, b = torch.randn(2, 3, 4), torch.randn(2, 4, 5)
    ways = [
        torch.bmm,
        torch.matmul,
        lambda x, y: torch.einsum("bij,bjk->bik", x, y),
        lambda x, y: torch.baddbmm(torch.zeros(2, 3, 5), x, y),
    ]
    assert {counted(Call(way), a, b)["Call:matmul"].macs for way in ways} == {120}
    assert counted(Call(torch.mv), a[0], b[0, :, 0], samples=3)["Call:matmul"].macs == 12


def test_norms_and_embeddings():
    model = nn.Sequential(nn.Embedding(10, 6), nn.LayerNorm(6))
    layers = counted(model, torch.randint(10, (2, 3)))
    table, norm = layers["0:embedding"], layers["1:norm"]
    assert (table.weight_reads, table.activation_writes, table.weights, table.macs) == (
        36,
        36,
        60,
        0,
    )
    assert (norm.macs, norm.acs, norm.foldable_macs) == (72, 36, 0)
    batch = counted(nn.Sequential(nn.BatchNorm2d(3)), torch.randn(2, 3, 4, 4))["0:norm"]
    assert (batch.macs, batch.foldable_macs) == (0, 96)
