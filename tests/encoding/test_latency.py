from __future__ import annotations

import pytest
import torch

from spikeformer.encoding import LatencyCoding


@pytest.mark.parametrize("timesteps", [1, 2, 9, 32])
def test_the_only_spike_comes_at_its_closed_form(timesteps):
    x = torch.linspace(0, 1, 65)
    spikes = LatencyCoding(timesteps).encode(x)
    assert spikes[0].sum() == 0  # zero never fires
    assert bool((spikes[1:].sum(1) == 1).all())
    # Halves round to even, in Python as in torch; multiples of 1/64 keep the product exact.
    expected = [round((1 - value) * (timesteps - 1)) for value in x[1:].tolist()]
    assert spikes[1:].argmax(1).tolist() == expected


def test_the_bounds():
    spikes = LatencyCoding(8).encode(torch.tensor([1.0, 1e-6]))
    assert spikes[0].nonzero().item() == 0
    assert spikes[1].nonzero().item() == 7
