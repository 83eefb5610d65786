"""A recording in parts gives what the whole gives, in PyTorch and as a spike graph."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from spikeformer.encoding import EventCoding, FrameCoding, RateCoding
from spikeformer.error_handling import ArgumentError, HardwareCompatibilityError
from spikeformer.hardware import Loihi2Deployer, SimulationDeployer, lower
from spikeformer.models import (
    ClassificationHead,
    QKTokenAttention,
    SpikeDrivenAttention,
    SpikformerStem,
    SpikingAttention,
    SpikingNetwork,
    SpikingSelfAttention,
    SpikingViT,
    Stream,
)
from spikeformer.neurons import AdLifNeuron, IntegerLifNeuron, LifNeuron

HARD = partial(LifNeuron, reset="zero")


def network(timesteps: int, mechanism=QKTokenAttention, neuron=HARD, **options) -> SpikingNetwork:
    """A network with the same weights for any timesteps, whose norms have seen something."""
    torch.manual_seed(0)
    attention = partial(SpikingAttention, mechanism=mechanism)
    options = {"stem_strides": [2], "encoding": EventCoding(timesteps), **options}
    backbone = SpikingViT(
        2, (6, 4), 16, 2, 1, timesteps, 0.2, neuron=neuron, attention=attention, **options
    )
    net = SpikingNetwork(backbone, ClassificationHead(16, 3))
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.05, 0.2)
    return net.eval()


@pytest.fixture
def recording() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(2, 11, 2, 6, 4, generator=generator) < 0.3).float()


@pytest.mark.parametrize("timesteps", [1, 3, 11, 16])
def test_parts_of_any_length_give_the_whole(recording, timesteps):
    with torch.no_grad():
        whole = network(11)(recording)
    assert len(whole[0].unique(dim=0)) > 3
    torch.testing.assert_close(Stream(network(timesteps)).run(recording), whole)


@pytest.mark.parametrize("mechanism", [SpikeDrivenAttention, SpikingSelfAttention])
@pytest.mark.parametrize("neuron", [LifNeuron, AdLifNeuron, IntegerLifNeuron])
def test_every_mechanism_and_neuron_goes_on(recording, mechanism, neuron):
    with torch.no_grad():
        whole = network(11, mechanism, neuron)(recording)
    torch.testing.assert_close(Stream(network(4, mechanism, neuron)).run(recording), whole)


def test_residual_of_spikes_and_a_stem_that_fires(recording):
    options = {"residual": "sew", "stem": partial(SpikformerStem, patch_size=2)}
    with torch.no_grad():
        whole = network(11, **options)(recording)
    torch.testing.assert_close(Stream(network(4, **options)).run(recording), whole)


def test_a_part_alone_starts_from_rest_and_reset_forgets(recording):
    net = network(4)
    stream = Stream(net)
    parts = [stream(recording[:, :4]), stream(recording[:, 4:8])]
    with torch.no_grad():
        torch.testing.assert_close(parts[0], net(recording[:, :4]))
        assert not torch.equal(parts[1], net(recording[:, 4:8]))
        stream.reset()
        torch.testing.assert_close(stream(recording[:, 4:8]), net(recording[:, 4:8]))


def test_the_network_stays_as_it_is_and_shares_its_weights(recording):
    net = network(4).train()
    stream = Stream(net)
    before = stream.run(recording)
    with torch.no_grad():
        net.head.readout.bias += 1
    torch.testing.assert_close(stream.run(recording), before + 1)
    assert net.training
    assert "forward" not in vars(net.backbone.blocks.neuron)


def test_frames_stream_too():
    net = nn.Sequential(FrameCoding(2), LifNeuron(threshold=1.0))
    assert Stream(net).run(torch.full((1, 5, 1), 0.4)).flatten().tolist() == [0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Sequential(RateCoding(3), LifNeuron()), "RateCoding"),
        (nn.Sequential(nn.Linear(2, 2), LifNeuron()), "timesteps"),
    ],
)
def test_networks_without_a_time_of_their_own_are_refused(net, message):
    with pytest.raises(ArgumentError, match=message):
        Stream(net)


def test_an_empty_recording_is_refused():
    with pytest.raises(ArgumentError, match="recording"):
        Stream(network(4)).run(torch.zeros(2, 0, 2, 6, 4))


@pytest.mark.parametrize("deployer", [SimulationDeployer(), Loihi2Deployer()])
def test_a_chip_keeps_its_state_for_a_longer_recording(recording, deployer):
    """In float64 PyTorch in parts, and the graph in one, fire the same spikes."""
    net = network(4)
    compiled = deployer.compile(lower(net, (4, 2, 6, 4)).lasting(11))
    assert compiled.graph.timesteps == 11
    with SimulationDeployer().deploy(SimulationDeployer().compile(net)) as short:
        part = short.run(recording[:, :4]).outputs
    simulated = SimulationDeployer().compile(lower(net, (4, 2, 6, 4)).lasting(11))
    with SimulationDeployer().deploy(simulated) as deployed:
        outputs = deployed.run(recording).outputs
    streamed = Stream(net.double()).run(recording.double()).mean(dim=1).numpy()
    np.testing.assert_allclose(outputs, streamed, atol=1e-12)
    assert np.abs(outputs - part).max() > 1e-3


def test_a_rate_code_cannot_last_longer():
    net = nn.Sequential(RateCoding(3), nn.Linear(2, 2), HARD())
    with pytest.raises(HardwareCompatibilityError, match="encoding=events"):
        lower(net, (2,)).lasting(5)
