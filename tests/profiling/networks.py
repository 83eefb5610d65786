"""Small networks, and what is counted and measured of them."""

from __future__ import annotations

import torch
from torch import nn

from spikeformer.neurons import LifNeuron
from spikeformer.profiling import LayerCounts, OperationCounter

CURRENT = torch.rand(5, 4, 6) * 2


def spiking() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 20), LifNeuron(), nn.Linear(20, 4))


def measured(profiler, model, *batches):
    with torch.no_grad(), profiler.measure() as recording:
        for batch in batches:
            model(batch)
    return recording


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
