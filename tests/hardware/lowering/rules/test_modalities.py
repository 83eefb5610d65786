"""Several modalities on a spike graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.fusion import ConfidenceAverage, confidence_weights
from spikeformer.hardware import (
    HardwareModel,
    SimulationDeployer,
    compare,
    lower,
    record_reference,
    reference_spikes,
    simulate,
)
from spikeformer.multimodal import LogMelFrames
from tests.hardware.networks import HARD, multimodal, seen_and_heard


def shapes(samples):
    return {name: tuple(x.shape[1:]) for name, x in samples.items()}


@pytest.mark.parametrize("fusion_type", ["cross_attention", "concat", "gated", "late"])
@pytest.mark.parametrize(
    "modalities", [("vision", "audio"), ("text", "audio", "vision"), ("text",)]
)
def test_every_fusion_fires_as_the_network_does(fusion_type, modalities):
    torch.manual_seed(3)
    net, samples = multimodal(fusion_type, modalities), seen_and_heard(5, modalities)
    lowered = lower(net, shapes(samples))
    assert {function.argument for function in lowered.host.values()} == {*modalities} - {"vision"}
    reference = record_reference(net, samples)
    spikes = simulate(lowered.graph, reference.inputs)
    found = compare(lowered.graph, reference_spikes(lowered.graph, reference), spikes)
    assert found.mismatches == 0
    assert set(reference.spikes) <= {layer.population for layer in found.layers}
    assert 0 < sum(layer.expected for layer in found.layers) < found.compared
    outputs = lowered.graph.outputs({**reference.inputs, **spikes})
    np.testing.assert_allclose(outputs, reference.outputs, atol=1e-12)


@pytest.mark.parametrize("fusion_type", ["cross_attention", "late"])
def test_a_compiled_network_takes_the_samples_themselves_and_comes_back(fusion_type, tmp_path):
    torch.manual_seed(4)
    net, samples = multimodal(fusion_type), seen_and_heard(4)
    deployer = SimulationDeployer()
    compiled = deployer.compile(net, input_shape=shapes(samples))
    compiled.save(tmp_path)
    expected = record_reference(net, samples).outputs
    for model in (compiled, HardwareModel.load(tmp_path)):
        np.testing.assert_allclose(deployer.deploy(model).run(samples).outputs, expected, atol=1e-6)
    with pytest.raises(HardwareCompatibilityError, match=r"'audio' of shape \(samples, 500\)"):
        compiled.encode({**samples, "audio": torch.randn(4, 400)})
    with pytest.raises(HardwareCompatibilityError, match=r"'audio' of shape .* got none"):
        compiled.encode({"vision": samples["vision"]})


class Averages(nn.Module):
    """Late fusion of two dense layers, and something behind it."""

    def __init__(self, behind: nn.Module | None = None) -> None:
        super().__init__()
        self.neuron, self.average = HARD(), ConfidenceAverage(0.3)
        self.heads = nn.ModuleList([nn.Linear(4, 3), nn.Linear(4, 3)])
        self.behind = behind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, 4)."""
        spikes = self.neuron(x[:, None].expand(-1, 2, -1))
        averaged = self.average(torch.stack([head(spikes) for head in self.heads]))
        return averaged if self.behind is None else self.behind(averaged)


def test_late_fusion_weighs_the_outputs_averaged_over_time():
    torch.manual_seed(0)
    net, x = Averages(), 2 * torch.rand(6, 4, dtype=torch.float64)
    graph = lower(net, (4,)).graph
    assert (graph.readout.branches, graph.readout.temperature) == (2, 0.3)
    inputs = {"input": x.numpy()}
    spikes = simulate(graph, inputs)
    rates = torch.from_numpy(spikes["neuron"]).double().mean(dim=1)
    logits = torch.stack([head(rates) for head in net.double().heads])
    weights = confidence_weights(logits[:, :, None], 0.3)
    expected = (weights[..., None] * logits).sum(dim=0).detach().numpy()
    np.testing.assert_allclose(graph.outputs(spikes), expected, atol=1e-12)


@pytest.mark.parametrize("behind", [nn.Linear(6, 3), HARD()])
def test_what_changes_the_average_is_refused(behind):
    with pytest.raises(HardwareCompatibilityError, match="average of late fusion"):
        lower(Averages(behind), (4,))


def test_frames_of_something_else_than_waveforms_are_refused():
    net = nn.Sequential(LogMelFrames(n_fft=64, num_mels=4), HARD())
    with pytest.raises(HardwareCompatibilityError, match="log-mel frames of something else"):
        lower(nn.Sequential(nn.ZeroPad1d(3), net), (500,))
