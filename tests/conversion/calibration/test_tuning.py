from __future__ import annotations

import torch

from spikeformer.conversion import ConversionPipeline, SpikeformerConverter
from tests.conversion.calibration.data import loader, quick
from tests.conversion.networks import mlp


def test_layer_by_layer_tuning_lessens_the_error():
    network = mlp()
    errors = []
    for tuned in (False, True):
        pipeline = quick(converter=SpikeformerConverter(3, neuron_model="IF", levels=3))
        if not tuned:
            pipeline._tune = lambda *_: None
        snn = pipeline.convert(network, fine_tune_epochs=0)
        snn.timesteps = 3
        errors.append(pipeline.evaluate_conversion(snn, loader(), ["error"]).last.error)
    assert errors[1] < 0.8 * errors[0]


def test_biases_make_up_for_mean_errors():
    network = mlp()
    converter = SpikeformerConverter(1, neuron_model="IF", levels=1)
    snn = ConversionPipeline(loader(batch_size=256), converter=converter, progress=False).convert(
        network, fine_tune_epochs=0
    )
    changed = [
        not torch.equal(a, b)
        for (name, a), b in zip(snn.original.named_parameters(), network.parameters(), strict=True)
        if name in ("3.bias", "5.bias")
    ]
    assert all(changed)
    assert torch.equal(snn.original[0].bias, network[0].bias)
