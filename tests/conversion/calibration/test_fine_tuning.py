from __future__ import annotations

import torch

from spikeformer.conversion import SpikeformerConverter
from tests.conversion.calibration.data import loader, quick


def test_fine_tuning_brings_the_outputs_closer(network):
    converter = SpikeformerConverter(2, neuron_model="IF", levels=2)
    pipeline = quick(converter=converter, learning_rate=3e-4)
    snn = pipeline.convert(network, fine_tune_epochs=4)
    losses = pipeline.losses
    assert min(losses) < 0.95 * losses[0]
    pipeline.losses = []
    same = quick(converter=converter).convert(network, fine_tune_epochs=0)
    better, before = (
        pipeline.evaluate_conversion(each, loader(), ["agreement"]).last.agreement
        for each in (snn, same)
    )
    assert better >= before


def test_fine_tuning_that_does_harm_is_taken_back(network):
    pipeline = quick(converter=SpikeformerConverter(2, levels=2), learning_rate=10.0)
    snn = pipeline.convert(network, fine_tune_epochs=2)
    assert pipeline.losses[-1] > pipeline.losses[0]
    assert len(pipeline.losses) == 2
    weights = zip(snn.original.named_parameters(), network.parameters(), strict=True)
    assert all(torch.equal(a, b) for (name, a), b in weights if name.endswith("weight"))
