from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.profiling import OperationCounter
from tests.profiling.brute_force import spikes_like


def test_counts_of_batches_add_up():
    model, x = nn.Sequential(nn.Linear(4, 2)), spikes_like(600, 4)
    with OperationCounter() as counter:
        for row in x:
            model(row[None])
    counts = counter.works[0].counts()
    assert counts.samples == 600
    assert counts.per_sample("acs") == pytest.approx(2 * x.sum().item() / 600)
    assert counts.layers[0].weights == 8


def test_losses_are_no_networks_and_layers_unknown_are_named():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))

        def forward(self, x):
            return x * self.scale

    model, loss = nn.Sequential(nn.Linear(3, 3), Odd()), nn.MSELoss()
    with OperationCounter() as counter:
        loss(model(torch.randn(2, 3)), torch.zeros(2, 3))
    (work,) = counter.works
    assert list(work.uncounted()) == ["1"]


def test_samples_go_on_when_counting_stops():
    model = nn.Linear(3, 3)
    with OperationCounter(passes=1) as counter:
        for _ in range(3):
            model(torch.randn(2, 3))
    work = counter.works[0]
    assert (work.samples, work.counted_samples, work.counts().per_sample("macs")) == (6, 2, 9)
