from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.conversion import SpikeformerConverter
from spikeformer.error_handling import ConversionError
from tests.conversion.networks import relative


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 8)
        self.rnn = nn.LSTM(8, 8, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, ids):
        return self.head(self.rnn(self.embed(ids))[0][:, -1])


class Spectral(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(8, 8), nn.Linear(5, 2)

    def forward(self, x):
        return self.outer(torch.fft.rfft(self.inner(x)).abs())


def test_an_unknown_function_is_refused_with_its_module_and_a_remedy():
    with pytest.raises(
        ConversionError, match=r"`rnn` \(LSTM\) calls lstm.*attention.*strict=False"
    ):
        SpikeformerConverter().convert(Recurrent(), torch.randint(10, (2, 5)))
    with pytest.raises(ConversionError, match=r"the Spectral calls fft_rfft.*strict=False"):
        SpikeformerConverter().convert(Spectral(), torch.randn(2, 8))


def test_unless_it_may_stay_in_floating_point():
    network, example = Spectral().eval(), torch.randn(4, 8)
    converter = SpikeformerConverter(timesteps=16, neuron_model="IF", strict=False)
    snn = converter.convert(network, example)
    with torch.no_grad():
        assert relative(snn(example), network(example)) < 0.02
    (refused,) = [module for module in converter.report().modules if module.status == "refused"]
    assert refused.type == "Spectral"
    assert "fft_rfft" in refused.reason
    assert "1 refused" in str(converter.report())
