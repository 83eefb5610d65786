from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.instrument import ActivityProbe, NeuronKind, neuron_kind, recognises, watch_spikes
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
