from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.conversion import SpikeformerConverter
from spikeformer.error_handling import ConversionError
from tests.conversion.networks import images, vit_classifier


@pytest.fixture
def snn():
    return SpikeformerConverter(timesteps=6).convert(vit_classifier())


def test_early_exit_takes_each_sample_when_it_is_sure(snn):
    example = images(8)
    with torch.no_grad():
        steps = torch.stack([output.logits for output in snn.readouts(**example)])
        sure = steps.softmax(-1).amax(-1)
        snn.confidence = float(sure[1].median())
        output = snn(**example)
    clear = sure >= snn.confidence
    clear[-1] = True
    leave = clear.int().argmax(0)
    assert leave.unique().numel() > 1
    expected = steps[leave, torch.arange(8)]
    torch.testing.assert_close(output.logits, expected, atol=1e-4, rtol=1e-3)


def test_early_exit_saves_timesteps(snn):
    fired = []

    class Watch:
        def on_fire(self, site, first_step, fired_):
            fired.append(first_step)

        def on_operation(self, *_):
            pass

        def on_evaluation(self, *_):
            pass

    snn.confidence, snn.chunk = 0.01, 2
    with torch.no_grad(), snn.recording(Watch()):
        snn(**images(2))
    assert set(fired) == {1}


def test_early_exit_needs_classes():
    snn = SpikeformerConverter(timesteps=2).convert(
        nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4))
    )
    snn.confidence = 0.9
    with pytest.raises(ConversionError, match="logits"):
        snn(torch.zeros(2, 3, dtype=torch.long))


def test_unreadable_outputs_are_told():
    class Cache:
        pass

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            return self.layer(x), Cache()

    with pytest.raises(ConversionError, match="returns a Cache"):
        SpikeformerConverter().convert(Net())
