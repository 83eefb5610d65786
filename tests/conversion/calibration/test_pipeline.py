from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.conversion import ConversionPipeline, SpikeformerConverter
from spikeformer.error_handling import ArgumentError, ConversionError
from tests.conversion.calibration.data import X, loader, quick
from tests.conversion.networks import bert_classifier, mlp, relative, sentences, vit


def test_calibration_makes_it_faithful(network):
    pipeline = quick()
    snn = pipeline.convert(network, calibration_samples=256)
    result = pipeline.evaluate_conversion(snn, loader())
    assert result.last.agreement >= 0.99
    assert result.last.error < 0.01
    assert snn.timesteps <= 8
    assert snn.confidence is None


@pytest.mark.parametrize("mode", ["layer_wise", "channel_wise"])
def test_modes(mode):
    network = mlp()
    snn = quick(conversion_mode=mode).convert(network, fine_tune_epochs=0)
    untuned = SpikeformerConverter(8).convert(network, X)
    ratios = snn.thresholds.by_site()["3"] / untuned.thresholds.by_site()["3"]
    calibrated = 6 if mode == "channel_wise" else 16
    assert ratios.numel() == 16
    with torch.no_grad():
        assert relative(snn(X), network(X)) < 0.02
    assert calibrated


@pytest.mark.parametrize("encoding", ["radix", "binary"])
def test_other_encodings(encoding, network):
    converter = SpikeformerConverter(32 if encoding == "binary" else 8, spike_encoding=encoding)
    pipeline = quick(converter=converter, optimization_target="latency")
    snn = pipeline.convert(network, fine_tune_epochs=0)
    assert pipeline.evaluate_conversion(snn, loader()).last.agreement > 0.95


def test_networks_without_classes():
    batches = [{"pixel_values": torch.randn(4, 3, 16, 16)} for _ in range(2)]
    pipeline = ConversionPipeline(
        batches, progress=False, converter=SpikeformerConverter(4), learning_rate=1e-4
    )
    snn = pipeline.convert(vit(), fine_tune_epochs=1)
    result = pipeline.evaluate_conversion(snn, batches)
    assert result.last.accuracy is None
    assert result.last.agreement is None
    assert result.last.error < 0.05
    assert len(pipeline.losses) == 2


def test_sentences_of_different_lengths():
    batches = [{**sentences(3, length), "labels": torch.zeros(3).long()} for length in (7, 5, 9)]
    snn = ConversionPipeline(batches, progress=False).convert(bert_classifier(), 100, 0)
    longer = sentences(2, 12)
    with torch.no_grad():
        assert snn(**longer).logits.shape == (2, 3)


def test_only_so_many_samples_are_taken():
    seen = []

    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp()

        def forward(self, x):
            seen.append(len(x))
            return self.net(x)

    pipeline = ConversionPipeline(loader(batch_size=16), progress=False, evaluation_samples=16)
    pipeline._choose = lambda *_: None
    pipeline._tune = lambda *_: None
    pipeline._is_perfect = lambda *_: True
    pipeline.convert(Watched(), calibration_samples=40)
    assert seen[:3] == [16, 16, 16]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "at least one sample"),
        ([torch.randn(4, 7)], "cannot run on this example or calibration input"),
        (["text"], "batches of tensors"),
        ([torch.full((4, 6), float("nan"))], "NaN or Inf"),
    ],
)
def test_data_that_does_not_fit(data, says):
    with pytest.raises((ArgumentError, ConversionError), match=says):
        ConversionPipeline(data, progress=False).convert(mlp())


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"conversion_mode": "x"}, "conversion_mode"),
        ({"optimization_target": "x"}, "optimization_target"),
        ({"quantile": 2.0}, "quantile"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"evaluation_samples": 0}, "evaluation_samples"),
    ],
)
def test_arguments_are_checked(arguments, name):
    with pytest.raises(ArgumentError, match=name):
        ConversionPipeline(loader(), **arguments)


def test_arguments_of_convert_are_checked():
    with pytest.raises(ArgumentError, match="calibration_samples"):
        quick().convert(mlp(), 0)
    with pytest.raises(ArgumentError, match="fine_tune_epochs"):
        quick().convert(mlp(), fine_tune_epochs=-1)
    with pytest.raises(ArgumentError, match="calibration_data"):
        ConversionPipeline("folder")
