from __future__ import annotations

from functools import partial

import pytest
from torch import nn

from spikeformer.encoding import DirectCoding
from spikeformer.neurons import IntegerLifNeuron, LifNeuron, ParametricLifNeuron
from spikeformer.validation import ComprehensiveValidator
from tests.validation.faults import assert_found_from_its_level_on, fault, faults_of
from tests.validation.networks import chain, vit


@fault("error", "basic", "", "has no spiking layer")
def ann():
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))


@fault("error", "basic", "1", "Its threshold is -1")
def negative_threshold():
    net = chain()
    net[1].threshold = -1.0
    return net


@fault("error", "basic", "1", "Its threshold is nan")
def threshold_that_is_no_number():
    net = chain()
    net[1].threshold = float("nan")
    return net


@fault("error", "basic", "1", "multiplied by nan")
def membrane_times_what_is_no_number():
    net = chain()
    net[1]._decay = float("nan")
    return net


@fault("error", "basic", "1", "multiplied by 1.2")
def growing_membrane():
    net = chain()
    net[1]._decay = 1.2
    return net


@fault("warning", "basic", "1", "remembers nothing")
def forgetful_membrane():
    return chain(neuron=partial(LifNeuron, tau_mem=0.01))


@fault("warning", "basic", "1", "remembers nothing")
def forgetful_learned_membrane():
    net = chain(neuron=ParametricLifNeuron)
    nn.init.constant_(net[1].decay_logit, -30.0)
    return net


@fault("warning", "basic", "", "Resets differ")
def mixed_resets():
    net = chain()
    return nn.Sequential(*net, LifNeuron(reset="subtract"))


@fault("error", "basic", "", "Timesteps differ")
def mixed_timesteps():
    net = vit()
    net.backbone.encoding = DirectCoding(7)
    return net


@fault("error", "basic", "2", "drops everything")
def total_dropout():
    net = chain()
    return nn.Sequential(*net[:2], nn.Dropout(1.0), net[2])


@fault("info", "basic", "", "membranes carry nothing on")
def one_timestep():
    return vit(timesteps=1)


@pytest.mark.parametrize("planted", faults_of(__name__), ids=str)
def test_structure_faults_are_found(planted):
    assert_found_from_its_level_on(planted)


def test_integer_neurons_need_no_second_timestep():
    net = vit(timesteps=1, neuron=IntegerLifNeuron)
    results = ComprehensiveValidator("strict").validate_model(net)
    assert not [result for result in results if "timestep" in result.message]
