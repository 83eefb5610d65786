from __future__ import annotations

import math

import pytest
import torch

from spikeformer.neurons import LifNeuron
from spikeformer.research import AdaptiveThresholdNeuron


def test_adaptive_threshold_neuron_is_a_lif_neuron_with_the_present_threshold():
    neuron = AdaptiveThresholdNeuron(1.0, 2.0, target_rate=0.2, reset="zero")
    current = 3 * torch.randn(4, 6, 20)
    spikes = neuron(current)
    assert torch.equal(spikes, LifNeuron(1.0, 2.0, reset="zero")(current))
    threshold = float(neuron.threshold)
    rates = spikes.transpose(0, 1).flatten(1).mean(1).tolist()
    expected, seen = 1.0, []
    for rate in rates:
        seen.append(rate)
        expected *= math.exp(0.1 * (sum(seen) / len(seen) - 0.2))
    assert threshold == pytest.approx(expected, rel=1e-5)
    neuron.eval()
    assert torch.equal(neuron(current), LifNeuron(threshold, 2.0, reset="zero")(current))
    assert float(neuron.threshold) == threshold
    assert neuron.binary
    assert f"threshold={threshold:.4g}" in repr(neuron)


def test_adaptive_threshold_neuron_keeps_its_rate_and_its_explicit_membrane():
    neuron = AdaptiveThresholdNeuron(tau_mem=2.0, target_rate=0.15)
    for scale in (1.0, 10.0):
        for _ in range(150):
            spikes = neuron(scale * torch.randn(8, 4, 200))
        assert float(spikes.mean()) == pytest.approx(0.15, abs=0.02)
    neuron.eval()
    current = torch.randn(2, 6, 3)
    state, parts = neuron.initial_state(current), []
    for part in current.split(2, dim=1):
        fired, state = neuron(part, state)
        parts.append(fired)
    assert torch.equal(torch.cat(parts, 1), neuron(current))
