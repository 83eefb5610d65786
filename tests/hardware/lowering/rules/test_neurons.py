"""Spiking neurons become populations."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from spikeformer.encoding import DirectCoding, EventCoding
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import lower
from spikeformer.neurons import CubaLifNeuron, IntegerLifNeuron, ParametricLifNeuron
from tests.hardware.lowering.layers import Function, net_of
from tests.hardware.lowering.test_lower import assert_equal
from tests.hardware.networks import HARD, images, vit


def test_learned_decays():
    net = vit(neuron=partial(ParametricLifNeuron, reset="zero", tau_mem=3.0))
    for module in net.modules():
        if isinstance(module, ParametricLifNeuron):
            module.decay_logit.data.normal_()
    assert_equal(net, images(4))


@pytest.mark.parametrize("encoding", [None, EventCoding(5)])
def test_currents_that_last(encoding):
    """Biases of layers and constant inputs are parts of the current, too."""
    neuron = partial(CubaLifNeuron, tau_mem=2.0, tau_syn=3.0, reset="zero")
    if encoding is None:
        net, samples = vit(neuron=neuron, threshold=1.5), images(4)
    else:
        net = nn.Sequential(encoding, nn.Linear(4, 6), neuron(0.6), nn.Linear(6, 3), neuron(0.4))
        samples = (torch.rand(4, 5, 4) < 0.5).double()
    graph = assert_equal(net, samples)
    decays = {(p.decay, p.current_decay) for p in graph.neurons if p.decay}
    assert decays == {(neuron().decay, neuron().current_decay)}


@pytest.mark.parametrize(
    ("neuron", "rule", "levels"),
    [(HARD(0.3), "threshold", 1), (IntegerLifNeuron(0.3, 2.0, max_spikes=5), "count", 5)],
)
def test_lif_population_has_the_numbers_of_its_neurons(neuron, rule, levels):
    (found,) = assert_equal(net_of(nn.Linear(4, 6), neuron), images(3, (4,))).neurons
    assert (found.shape, found.threshold, found.decay) == ((6,), 0.3, float(neuron.decay))
    assert (found.rule, found.levels) == (rule, levels)


def test_lif_with_a_state_of_its_own_is_refused():
    class Carried(nn.Module):
        def __init__(self):
            super().__init__()
            self.neuron = HARD()

        def forward(self, x):
            return self.neuron(x, self.neuron.initial_state(torch.zeros(1, 3, 4)))

    net = nn.Sequential(DirectCoding(3), Function(lambda x: x), Carried())
    with pytest.raises(HardwareCompatibilityError, match=r"neuron.*state"):
        lower(net, (4,))
