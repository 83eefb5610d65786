from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.instrument import (
    ActivityProbe,
    NeuronKind,
    looks_like_neurons,
    neuron_kind,
    recognises,
    watch_spikes,
)
from spikeformer.instrument.recognition import States
from spikeformer.neurons import AdLifNeuron, LifNeuron
from tests.instrument import libraries as lib

X = torch.rand(4, 2, 3) * 2  # (timesteps, batch, features), or whatever a library takes


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (LifNeuron(), (4, 2, 3)),
        (lib.BaseNode("m"), (2, 4, 3)),
        (lib.BaseNode("s"), (4, 1, 2, 3)),
        (lib.MyNode("m"), (2, 4, 3)),
        (lib.Synaptic(), (4, 1, 2, 3)),
        (lib.SNNCell(), (4, 1, 2, 3)),
        (lib.SNN(), (2, 4, 3)),
        (lib.StatefulLayer(), (4, 2, 3)),
        (lib.IAFSqueeze(2), (2, 2, 2, 3)),
    ],
)
def test_spikes_come_batch_first_with_their_timesteps(module, shape):
    seen = []
    with watch_spikes(nn.Sequential(module), lambda path, spikes: seen.append((path, spikes))):
        out = module(X)
    ((path, spikes),) = seen
    assert (path, spikes.shape) == ("0", shape)
    assert spikes.sum() == (out[0] if isinstance(out, tuple) else out).sum() > 0


@pytest.mark.parametrize(
    ("module", "states"),
    [(AdLifNeuron(), 2), (LifNeuron(), 1), (lib.BaseNode("m"), 1), (lib.Synaptic(), 2)],
)
def test_states_are_counted(module, states):
    kind, output = neuron_kind(module), module(X)
    assert kind.num_states(module, output, kind.batch_first(module, output)) == states


@pytest.mark.parametrize("module", [lib.LI(), lib.NonSpikingLIFNode("m")])
def test_a_readout_integrates_and_does_not_fire(module):
    assert not neuron_kind(module).does_fire(module)
    with ActivityProbe(nn.Sequential(module)) as probe:
        module(X)
    assert not probe.layers


def test_other_modules_are_no_neurons():
    class Node(nn.Module):
        """A name alone is not enough."""

    assert neuron_kind(Node()) is None
    assert neuron_kind(nn.RNN(2, 2)) is None


def test_silent_neurons_of_a_loop_over_time():
    node = lib.BaseNode("s")
    net = nn.Sequential(node)
    x = torch.tensor([[[0.0, 0.0]], [[2.0, 0.0]]])  # the first neuron fires in the second step
    with ActivityProbe(net) as probe:
        for step in x:
            net(step)
    assert probe.summary()["silent"] == {"0": 0.5}
    assert probe.firing_rate == 0.25


def test_the_last_registration_of_a_pattern_holds():
    cls = lib.library("a_lab.neurons")(type("Lif", (nn.Identity,), {}))
    assert neuron_kind(cls()) is None
    recognises("a_lab.*", kind=NeuronKind(time_axis=1))
    recognises("a_lab.*.Lif", kind=NeuronKind(time_axis=None))
    assert neuron_kind(cls()).axis(cls()) is None
    recognises("a_lab.*", kind=NeuronKind(time_axis=0))
    assert neuron_kind(cls()).axis(cls()) == 0


def test_states_tell_a_sample_that_goes_on_from_one_that_begins():
    states, node, x = States(), lib.BaseNode(), torch.zeros(2, 3)
    assert not states.go_on(node, (x,))
    states.keep(node, node(x))
    assert states.go_on(node, (x,))  # at zero, but left behind by the call before
    node.reset()
    assert not states.go_on(node, (x,))
    cell = lib.SNNCell()
    output = cell(x)
    states.keep(cell, output)
    assert states.go_on(cell, (x, output[1]))
    assert not states.go_on(cell, (x, None))
    assert not states.go_on(cell, (x, (torch.zeros(2, 3),)))


class Stateless(nn.Module):
    """A step without memory; its threshold, one for each feature, is a setting."""

    def __init__(self):
        super().__init__()
        self.register_buffer("threshold", torch.ones(3))

    def forward(self, x):
        return (x > self.threshold).float()


class Keeps(Stateless):
    """Keeps the membrane to itself, under a name of its own."""

    def forward(self, x):
        self._kept = {"membrane": x.mean(self.time) if hasattr(self, "time") else x - 1}
        return super().forward(x)


class Returns(Stateless):
    """Returns the membrane beside the spikes."""

    def forward(self, x):
        return super().forward(x), x - 1


@pytest.mark.parametrize("time", [None, 0, 1])
def test_neurons_of_nobody_are_noticed_by_spikes_and_state(time):
    x = 2 * torch.rand(4, 3) if time is None else 2 * torch.rand(4, 2, 3)
    keeps = Keeps()
    if time is not None:
        keeps.time = time
    assert looks_like_neurons(keeps, keeps(x))
    assert looks_like_neurons(Returns(), Returns()(x))
    assert not looks_like_neurons(Stateless(), Stateless()(x))
    assert not looks_like_neurons(keeps, 0.5 * keeps(x))  # real values
    assert not looks_like_neurons(keeps, keeps(-x))  # silence shows nothing
    assert not looks_like_neurons(keeps, keeps(x) > 0)
    dropout = nn.Dropout()
    dropout.mask = x
    assert not looks_like_neurons(dropout, keeps(x))  # torch's own
