"""The reference is what the network itself computes."""

from __future__ import annotations

import copy

import numpy as np
import torch

from spikeformer.encoding import DeltaCoding
from spikeformer.hardware import record_reference
from spikeformer.hardware.reference import BATCH, split_signs
from spikeformer.neurons import SpikingNeuron
from tests.hardware.networks import images, vit


def test_record_reference_keeps_outputs_and_spikes():
    net, samples = vit(), images(BATCH + 3)  # in two batches
    found = record_reference(net, samples)
    double = copy.deepcopy(net).double().eval()
    kept = {}
    for path, module in double.named_modules():
        if isinstance(module, SpikingNeuron):
            module.register_forward_hook(
                lambda module, args, out, path=path: kept.update({path: out.flatten(2).numpy()})
            )
    with torch.no_grad():
        outputs = double(samples.double()).mean(dim=1).numpy()
    np.testing.assert_allclose(found.outputs, outputs, atol=1e-12)
    assert set(found.spikes) == set(kept)
    for path, spikes in kept.items():
        assert np.mean(found.spikes[path] != spikes) < 1e-3  # sums of another order, at ties
    assert next(net.parameters()).dtype == torch.float32


def test_split_signs_makes_two_sources_of_signed_spikes():
    code = DeltaCoding(3, 0.2)
    spikes = torch.tensor([[[1.0, -1.0], [0.0, 0.0], [-1.0, 1.0]]])
    found = split_signs(code, spikes)
    assert found["input.up"].tolist() == [[[1, 0], [0, 0], [0, 1]]]
    assert found["input.down"].tolist() == [[[0, 1], [0, 0], [1, 0]]]
