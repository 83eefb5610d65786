"""The contract that every target keeps, on the one that needs no toolchain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from spikeformer.encoding import EventCoding
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import (
    HardwareModel,
    NeuromorphicDeployer,
    Population,
    SimulationDeployer,
    SpikeGraph,
    Target,
)
from spikeformer.profiling import TECHNOLOGIES, Chip, Cost, EnergyProfiler, Range
from tests.hardware.networks import HARD, images, sentences, text, vit


def test_abstract_base_has_both_steps():
    assert NeuromorphicDeployer.__abstractmethods__ == {"compile", "deploy"}


def test_deploy_takes_a_network_or_a_compiled_one():
    net, samples = vit(), images(6)
    expected = net(samples).mean(dim=1).argmax(dim=-1).numpy()
    deployer = SimulationDeployer()
    for model in (net, deployer.compile(net)):
        with deployer.deploy(model) as deployed:
            np.testing.assert_array_equal(deployed.predict(samples), expected)


def test_run_returns_spikes_and_outputs():
    net, samples = vit(), images(4)
    deployed = SimulationDeployer().deploy(net)
    recording = deployed.run(samples)
    outputs = net.double()(samples.double()).mean(dim=1).detach().numpy()
    np.testing.assert_allclose(recording.outputs, outputs, atol=1e-12)
    last = recording.spikes["backbone.blocks.neuron"]
    assert (last.shape, last.dtype) == ((4, 3, 72), np.uint8)
    assert recording.seconds > 0
    encoded = deployed.run(deployed.compiled.encode(samples))
    np.testing.assert_array_equal(encoded.outputs, recording.outputs)


def test_benchmark_counts():
    deployed = SimulationDeployer().deploy(vit())
    numbers = deployed.benchmark(images(4))
    assert numbers["samples"] == 4
    assert numbers["latency_steps"] == deployed.compiled.graph.depth + 3
    spikes = deployed.run(images(4)).spikes
    assert 0 < numbers["spikes_per_sample"] < sum(s[0].size for s in spikes.values())
    assert numbers["synaptic_events_per_sample"] > numbers["packets_per_sample"]


def test_samples_of_another_shape_are_refused():
    deployed = SimulationDeployer().deploy(vit())
    with pytest.raises(HardwareCompatibilityError, match=r"\(samples, 1, 6, 6\).*\(4, 1, 5, 6\)"):
        deployed.run(torch.rand(4, 1, 5, 6))


def test_samples_that_are_not_finite_are_refused():
    """A neuron would take what is no number for a very large one."""
    samples = images(2)
    samples[1, 0, 2, 3] = float("nan")
    with pytest.raises(HardwareCompatibilityError, match="Expected finite numbers in 'input'"):
        SimulationDeployer().compile(vit()).encode(samples)


def test_samples_with_a_time_axis():
    events = (torch.rand(3, 2, 4, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    net = nn.Sequential(EventCoding(2), nn.Linear(4, 3), HARD())
    compiled = SimulationDeployer().compile(net, input_shape=(2, 4))
    (train,) = compiled.encode(events).values()
    np.testing.assert_array_equal(train, events.numpy())
    with pytest.raises(HardwareCompatibilityError, match=r"\(samples, 2, 4\).*\(3, 4\)"):
        compiled.encode(events[:, 0])


def test_token_ids_are_checked():
    deployed, samples = SimulationDeployer().deploy(text()), sentences([3, 7])
    assert deployed.predict(samples).shape == (2,)
    with pytest.raises(HardwareCompatibilityError, match=r"'mask' of shape \(samples, 7\).*none"):
        deployed.run({"input_ids": samples["input_ids"]})
    with pytest.raises(HardwareCompatibilityError, match=r"\(samples, 7\).*\(2, 5\)"):
        deployed.run({name: x[:, :5] for name, x in samples.items()})
    with pytest.raises(HardwareCompatibilityError, match="from 0 to 30 - 1"):
        deployed.run(dict(samples, input_ids=samples["input_ids"] + 30))


def test_network_that_does_not_know_its_input_is_told():
    net = nn.Sequential(vit(), nn.Identity())
    assert SimulationDeployer().compile(net).graph.sources[0].shape == (1, 6, 6)
    from spikeformer.encoding import DirectCoding

    plain = nn.Sequential(DirectCoding(2), nn.Linear(3, 2), HARD())
    with pytest.raises(HardwareCompatibilityError, match="input_shape="):
        SimulationDeployer().compile(plain)
    assert SimulationDeployer().compile(plain, input_shape=(3,)).graph.num_neurons == 2


def test_prices_of_a_target_are_known_to_profilers(own_technologies):
    price = Chip("own chip", synaptic_operation=Cost(Range.exactly(2.0), "measured"))

    class OwnDeployer(SimulationDeployer):
        target = Target("own", "Own", prices=(price,))

    assert TECHNOLOGIES["own chip"] is OwnDeployer.target.prices[0]
    assert EnergyProfiler("own chip").backend == "own chip"


def test_network_compiled_for_another_target_is_refused():
    graph = SpikeGraph(1, {"a": Population("a", (1,), "spikes")}, ())
    with pytest.raises(HardwareCompatibilityError, match=r"'loihi2'.*'simulation'"):
        SimulationDeployer().deploy(HardwareModel("loihi2", graph))
