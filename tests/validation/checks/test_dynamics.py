from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from spikeformer.neurons import LifNeuron, SpikingNeuron
from spikeformer.ops import LifState
from tests.validation.faults import assert_found_from_its_level_on, fault, faults_of
from tests.validation.networks import HARD, OverTime, chain, silence, vit


@fault("critical", "standard", "", "It does not run")
def layers_that_do_not_fit():
    return nn.Sequential(nn.Linear(4, 5), HARD(threshold=1.0), nn.Linear(6, 2))


@fault("critical", "standard", "", "outputs are NaN or Inf")
def overflowing():
    net = chain()
    with torch.no_grad():
        net[2].weight.fill_(3e38)
    return net


@fault("warning", "standard", "", "without an axis of timesteps")
def no_time_axis():
    return nn.Sequential(*chain(), OverTime())


@fault("error", "standard", "", "Every input gets the same output")
def deaf():
    net = chain()
    silence(net[0])
    return net


@fault("warning", "standard", "1", "never fires (dead)")
def dead_layer():
    net = chain()
    silence(net[0])
    return net


@fault("warning", "standard", "mlp.neuron", "never fires (dead)")
def dead_layer_deep_inside():
    net = vit()
    silence(net.backbone.blocks.blocks[0].mlp.expand_norm)
    return net


@fault("warning", "standard", "1", "fires in 100.0% of all timesteps (saturated)")
def saturated_layer():
    net = chain()
    nn.init.constant_(net[0].bias, 100.0)
    return net


@fault("warning", "strict", "1", "A membrane reaches")
def exploding_membrane():
    net = chain(neuron=partial(LifNeuron, reset="subtract"))
    nn.init.constant_(net[0].bias, 300.0)
    return net


class Liar(LifNeuron):
    @property
    def binary(self):
        return True

    def integrate(self, current, state):
        spikes, state = super().integrate(current, state)
        return spikes * 3, state


@fault("error", "strict", "1", "Liar says that its spikes are 0 or 1")
def neuron_that_is_not_binary():
    return chain(neuron=partial(Liar, tau_mem=2.0))


class Forgetless(SpikingNeuron):
    """Keeps its membrane from call to call, as a `reset_net` that was forgotten."""

    def __init__(self, threshold=1.0):
        super().__init__(threshold)
        self.kept = None

    def integrate(self, current, state):
        membrane = torch.zeros_like(current[:, 0]) if self.kept is None else self.kept
        spikes = []
        for x in current.unbind(1):
            membrane = membrane + x
            spikes.append((membrane > self.threshold).to(x))
            membrane = membrane - spikes[-1]
        self.kept = membrane.detach()
        return torch.stack(spikes, 1), LifState(membrane)


@fault("error", "strict", "", "another output the second time")
def hidden_state():
    return chain(neuron=Forgetless)


@pytest.mark.filterwarnings("ignore:.*overflow.*")
@pytest.mark.parametrize("planted", faults_of(__name__), ids=str)
def test_dynamics_faults_are_found(planted):
    assert_found_from_its_level_on(planted)
