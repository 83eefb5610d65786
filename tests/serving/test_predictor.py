"""What outputs mean and cost."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer import SpikeformerConverter, SpikingNetwork
from spikeformer.conversion import evaluate_conversion
from spikeformer.data.batch import call
from spikeformer.error_handling import ConfigurationError
from spikeformer.profiling import EnergyProfiler
from spikeformer.serving import Predictor, load_predictor
from spikeformer.serving.predictor import Readouts
from tests.conversion.networks import vit_classifier


@pytest.fixture(scope="module")
def digits():
    return load_predictor("digits")


def test_a_bundled_network_knows_its_classes_and_shape(digits):
    assert list(digits.class_names) == [str(digit) for digit in range(10)]
    assert digits.shape == (1, 8, 8)
    assert digits.data is not None


def test_nothing_is_there_by_that_name():
    with pytest.raises(ConfigurationError, match="nowhere"):
        load_predictor("nowhere")


def test_the_leading_class_is_that_of_the_mean_over_time():
    outputs = torch.tensor([[[0.0, 1.0, 0.0], [4.0, 0.0, 0.0]]])
    predictor = Predictor("x", nn.Identity(), class_names=["a", "b", "c"])
    (found,) = predictor.predictions(outputs)
    probabilities = outputs.mean(dim=1).softmax(dim=-1)[0].tolist()
    assert (found["class"], found["timesteps"]) == ("a", 2)
    assert [x["probability"] for x in found["top"]] == pytest.approx(
        sorted(probabilities, reverse=True)
    )


def test_a_confident_output_is_read_early():
    outputs = torch.tensor([[[0.0, 3.0], [9.0, 0.0]], [[0.1, 0.0], [0.1, 0.0]]])
    predictor = Predictor("x", nn.Identity(), class_names=["a", "b"])
    sure, unsure = predictor.predictions(outputs, confidence=0.9)
    assert (sure["class"], sure["timesteps"]) == ("b", 1)
    assert sure["probability"] == pytest.approx(torch.tensor([0.0, 3.0]).softmax(-1)[1].item())
    assert (unsure["class"], unsure["timesteps"]) == ("a", 2)


def test_outputs_that_are_no_classes_are_given_as_they_are():
    outputs = torch.tensor([[[1.0], [3.0]]])
    assert Predictor("x", nn.Identity()).predictions(outputs) == [
        {"outputs": [2.0], "timesteps": 2}
    ]


def test_energy_is_the_profiler_s(digits):
    images = torch.rand(2, 1, 8, 8)
    net = SpikingNetwork.from_pretrained("digits")
    profiler = EnergyProfiler("simulation").attach(net)
    with torch.no_grad(), profiler.measure() as recording:
        call(net, images)
    found = digits.energy(images)
    metrics = recording.get_metrics()
    assert found["energy_per_sample_uj"] == pytest.approx(metrics["energy_per_sample_uj"])
    assert found["kind"] == "estimate"
    assert digits.energy(images) == found  # the copy is counted anew


def test_a_converted_network_has_outputs_over_time():
    snn = SpikeformerConverter(timesteps=4).convert(vit_classifier())
    images = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        outputs = Readouts(snn, nn.Identity())(images)
        read = torch.stack([x.logits for x in snn.readouts(pixel_values=images)], dim=1)
        last = snn(pixel_values=images).logits
    means = outputs.cumsum(dim=1) / torch.arange(1, 5).view(1, -1, 1)
    torch.testing.assert_close(means, read)
    torch.testing.assert_close(means[:, -1], last)


def test_energy_of_a_converted_network_is_that_of_its_evaluation():
    snn = SpikeformerConverter(timesteps=4).convert(vit_classifier())
    images = torch.rand(2, 3, 16, 16)
    found = Predictor("x", Readouts(snn, nn.Identity())).energy(images)
    expected = evaluate_conversion(snn, [images], ["energy", "events"])
    keys = ("energy_per_sample_low_uj", "energy_per_sample_uj", "energy_per_sample_high_uj")
    assert [found[key] for key in keys] == pytest.approx(expected.last.energy_uj)
    assert found["firing_rate"] == pytest.approx(1 - expected.sparsity)
    assert (found["kind"], found["uncovered_operations"]) == ("estimate", 0)
