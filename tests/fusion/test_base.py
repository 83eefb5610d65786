"""What every fusion shares."""

from __future__ import annotations

import pytest
import torch

from spikeformer.instrument import ActivityProbe
from tests.fusion.networks import fusion, spikes


@pytest.mark.parametrize(
    ("fusion_type", "gates"), [("cross_attention", "mechanism.neuron"), ("gated", "gate_neuron")]
)
def test_a_higher_temperature_opens_more_gates(fusion_type, gates):
    shares = []
    inputs = spikes(16)
    for temperature in (0.1, 0.5, 1.0, 4.0):
        torch.manual_seed(1)
        model = fusion(fusion_type, inputs, temperature=temperature)
        with ActivityProbe(model) as probe, torch.no_grad():
            model(inputs)
        layers = [a for name, a in probe.layers.items() if name.endswith(gates)]
        assert layers
        shares.append(sum(a.firing_rate.compute().item() for a in layers))
    assert shares == sorted(shares)
    assert shares[0] < shares[1] < shares[3]
