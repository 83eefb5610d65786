"""Memory of a training step, against counts by hand."""

from __future__ import annotations

import torch
from torch import nn

from spikeformer.models import SpikingViT, recompute_currents
from spikeformer.training.memory import saved_bytes, step_bytes


def test_a_chain_keeps_what_each_layer_needs():
    # Linear keeps its input, Sigmoid its output, which is the next layer's input and counts once.
    net = nn.Sequential(nn.Linear(3, 5), nn.Sigmoid(), nn.Linear(5, 2))
    assert saved_bytes(net, torch.ones(7, 3)) == 4 * 7 * (3 + 5)


def test_named_inputs():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 1, bias=False)

        def forward(self, x, mask):
            return self.layer(x) * mask

    inputs = {"x": torch.ones(2, 3), "mask": torch.ones(2, 1)}
    assert saved_bytes(Net(), inputs) == 4 * (2 * 3 + 2)


def test_nothing_of_the_network_changes():
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))
    before = {key: value.clone() for key, value in net.state_dict().items()}
    inputs, state = torch.rand(4, 3), torch.random.get_rng_state()
    saved_bytes(net.eval(), inputs)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not net.training
    assert all(p.grad is None for p in net.parameters())


def test_a_step_grows_with_the_batch():
    net = nn.Linear(100, 10, bias=False)
    inputs = torch.ones(8, 100)
    weights = 4 * 4 * 1000
    one, thousand = step_bytes(net, inputs, 1), step_bytes(net, inputs, 1000)
    # Each sample keeps its 400 bytes.
    assert one == weights + 2 * 400
    assert thousand == weights + 2 * 400 * 1000


def test_currents_that_come_back_take_a_layers_memory_at_once():
    net, images = SpikingViT(3, 8, d_model=16, nhead=2, num_layers=3), torch.rand(4, 3, 8, 8)
    kept = step_bytes(net, images, 64)
    recompute_currents(net)
    weights = 16 * sum(p.numel() for p in net.parameters())
    hidden = 4 * 64 * net.timesteps * 4 * (4 * 16)  # floats of 4 tokens
    assert weights + 4 * hidden < step_bytes(net, images, 64) < kept
