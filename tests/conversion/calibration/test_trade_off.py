from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from spikeformer.conversion import ConversionPipeline
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


def test_targets_make_different_choices(network):
    choices = {}
    for target in ("accuracy", "energy", "latency"):
        pipeline = quick(optimization_target=target)
        snn = pipeline.convert(network, fine_tune_epochs=0)
        choices[target] = snn.choice
        row = {key: snn.choice[key] for key in snn.trade_off[0]}
        assert row in snn.trade_off
        assert (snn.timesteps, snn.coding.levels) == (row["timesteps"], row["levels"])
        assert pipeline.report().choice == snn.choice
        assert pipeline.report().trade_off
        assert pipeline.evaluate_conversion(snn, loader()).last.agreement >= 0.98
    assert choices["energy"]["energy_uj"] < choices["accuracy"]["energy_uj"]
    assert choices["latency"]["timesteps"] < choices["accuracy"]["timesteps"]
    assert choices["energy"]["levels"] < 8 or choices["energy"]["timesteps"] < 8
