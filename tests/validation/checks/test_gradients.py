from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import nn

from spikeformer.neurons import LifNeuron, SpikingNeuron
from spikeformer.ops import LifState, spike
from tests.validation.faults import assert_found_from_its_level_on, fault, faults_of
from tests.validation.networks import chain


@fault("warning", "strict", "1.spare", "does not depend on it")
def unused_weights():
    net = chain()
    net[1].spare = nn.Parameter(torch.ones(3))
    return net


@fault("warning", "strict", "0.weight", "Its gradient is zero")
def severed_gradient():
    net = chain(neuron=partial(LifNeuron, surrogate_type="rectangle", surrogate_slope=1.0))
    nn.init.constant_(net[0].bias, -1e4)
    with torch.no_grad():
        net[2].bias.uniform_()
    return net


class Infinite(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * math.inf


class BadSurrogate(LifNeuron):
    def integrate(self, current, state):
        return super().integrate(Infinite.apply(current), state)


@fault("error", "strict", "0.weight", "Its gradient is NaN or Inf")
def broken_surrogate():
    return chain(neuron=BadSurrogate)


class Amplifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x * (1 + (self.gain - self.gain.detach()) * 1e9)


@fault("warning", "strict", "3.gain", "times that of most (exploding)")
def lopsided_gradient():
    return nn.Sequential(*chain(), Amplifier())


@fault("warning", "strict", "1", "vanishing")
def no_gradient_through_time():
    return nn.Sequential(*chain(neuron=partial(LifNeuron, tau_mem=0.08)))


class Steep(SpikingNeuron):
    """Its membrane's gradient grows a thousandfold at every step."""

    def integrate(self, current, state):
        membrane = self.initial_state(current).membrane
        spikes = []
        for x in current.unbind(1):
            membrane = 0.5 * (membrane + (membrane - membrane.detach()) * 1e3) + x
            spikes.append(spike(membrane - self.threshold, "sigmoid"))
        return torch.stack(spikes, 1), LifState(membrane)


@fault("warning", "strict", "1", "on the way to the first timestep")
def exploding_gradient_through_time():
    return chain(neuron=Steep)


@pytest.mark.filterwarnings("ignore:.*overflow.*")
@pytest.mark.parametrize("planted", faults_of(__name__), ids=str)
def test_gradients_faults_are_found(planted):
    assert_found_from_its_level_on(planted)
