from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from spikeformer.conversion import ConversionPipeline, SpikeformerConverter
from tests.conversion.networks import mlp

X = torch.randn(256, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.zeros(256, dtype=torch.long)


def loader(x=X, batch_size=64):
    return DataLoader(TensorDataset(x, LABELS[: len(x)]), batch_size=batch_size)


def quick(**options):
    return ConversionPipeline(loader(), progress=False, **options)


@pytest.fixture
def network():
    """Weights that tell classes well apart, as training leaves them."""
    net = mlp()
    with torch.no_grad():
        net[-1].weight.mul_(10)
    return net


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
