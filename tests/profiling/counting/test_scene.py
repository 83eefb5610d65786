from __future__ import annotations

import torch
from torch import nn

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


def counted(model, *inputs, **time) -> dict[str, LayerCounts]:
    with torch.no_grad(), OperationCounter(**time) as counter:
        model(*inputs)
    (work,) = counter.works
    assert work.samples == inputs[0].shape[0]
    return {f"{layer.name}:{layer.kind}": layer for layer in work.counts().layers}


def test_a_network_that_is_stepped_through_time_has_a_timeline():
    layer, x = nn.Linear(4, 2), spikes_like(3, 5, 4)
    model = Call(
        lambda linear, x: torch.stack([linear(x[:, t]) for t in range(x.shape[1])], 1), layer
    )
    counts = counted(model, x, timesteps=5)["parts.0:linear"]
    assert counts.steps == 5
    assert counts.timeline == tuple(2 * x.sum((0, 2)))
    assert counts.acs == 2 * x.sum()
