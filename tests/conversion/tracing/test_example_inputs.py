from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.conversion import SpikeformerConverter
from spikeformer.error_handling import ConversionError
from tests.conversion.networks import bert, mlp, vit


class Strange(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x, y, z):
        return self.layer(x + y + z)


def test_made_up_inputs_that_do_not_run_ask_for_real_ones():
    with pytest.raises(ConversionError, match=r"Strange.*example_inputs="):
        SpikeformerConverter().convert(Strange())


@pytest.mark.parametrize(
    "network",
    [
        mlp(),
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)),
        nn.Sequential(nn.Embedding(20, 8), nn.LayerNorm(8), nn.Linear(8, 3)),
        nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Conv1d(4, 4, 3)),
        nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8)),
        vit(),
        bert(),
    ],
    ids=lambda network: type(network).__name__,
)
def test_inputs_are_made_up_for_many_networks(network):
    if any(isinstance(module, nn.LazyLinear) for module in network.modules()):
        network(torch.zeros(1, 1, 28, 28))
    assert SpikeformerConverter(timesteps=2).convert(network).plan.operations
