"""Faults planted in networks are found, by the right check, at the right level."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import nn

from spikeformer.encoding import DirectCoding
from spikeformer.neurons import LifNeuron, ParametricLifNeuron, SpikingNeuron
from spikeformer.ops import LifState, spike
from spikeformer.validation import ComprehensiveValidator, ValidationLevel
from spikeformer.validation.probe import make_probe
from tests.validation.networks import HARD, OverTime, chain, silence, vit

FAULTS = {}


def fault(severity, level, location, message):
    """Register a network with a fault, and the finding that must come of it.

    Args:
        severity: Of the finding.
        level: At which validators find it, and below which they do not.
        location: Where the finding must point to, or a part of that.
        message: Part of what it must say.
    """

    def register(make):
        FAULTS[make.__name__] = (make, severity, level, location, message)
        return make

    return register


@fault("critical", "basic", "head", "values are NaN")
def nan_weights():
    net = vit()
    with torch.no_grad():
        net.head.readout.weight[0, 0] = math.nan
    return net


@fault("critical", "basic", "blocks.0.mlp.expand.weight", "values are Inf")
def infinite_weights():
    net = vit()
    with torch.no_grad():
        net.backbone.blocks.blocks[0].mlp.expand.weight[0, 0] = math.inf
    return net


@fault("critical", "basic", "running_mean", "NaN")
def nan_statistics():
    net = vit()
    net.backbone.blocks.blocks[0].mlp.expand_norm.running_mean.fill_(math.nan)
    return net


@fault("error", "basic", "expand_norm", "A running variance is -1")
def negative_variance():
    net = vit()
    net.backbone.blocks.blocks[0].mlp.expand_norm.running_var[3] = -1.0
    return net


@fault("warning", "basic", "expand_norm", "1 of 64 channels have never varied")
def channel_that_never_varied():
    net = vit()
    norm = net.backbone.blocks.blocks[0].mlp.expand_norm
    norm.num_batches_tracked += 5
    norm.running_var[3] = 0.0
    return net


@fault("critical", "basic", "0.weight", "no values")
def meta_parameters():
    return nn.Sequential(nn.Linear(4, 4, device="meta"), HARD(threshold=1.0))


@fault("error", "basic", "", "several devices")
def two_devices():
    return nn.Sequential(nn.Linear(4, 4, device="meta"), HARD(threshold=1.0), nn.Linear(4, 4))


@fault("warning", "basic", "", "several precisions")
def mixed_precision():
    net = chain()
    net.append(nn.Linear(3, 3).double())
    return net


@fault("warning", "basic", "", "All parameters are frozen")
def frozen():
    return chain().requires_grad_(False)


@fault("warning", "basic", "2", "All weights are zero")
def zero_weights():
    net = chain()
    nn.init.zeros_(net[2].weight)
    return net


@fault("warning", "basic", "0", "All outputs have the same weights")
def constant_weights():
    net = chain()
    nn.init.constant_(net[0].weight, 0.5)
    return net


@fault("warning", "basic", "2", "Weights reach 5e+04")
def huge_weights():
    net = chain()
    with torch.no_grad():
        net[2].weight[0, 0] = 5e4
    return net


@fault("warning", "basic", "contract_norm", "scales all channels by zero")
def zero_norm():
    net = vit()
    nn.init.zeros_(net.backbone.blocks.blocks[0].mlp.contract_norm.weight)
    return net


@fault("error", "basic", "", "has no spiking layer")
def ordinary_network():
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))


@fault("error", "basic", "1", "Its threshold is -1")
def negative_threshold():
    net = chain()
    net[1].threshold = -1.0
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


@fault("warning", "strict", "1", "no running statistics")
def norm_of_each_batch():
    net = vit()
    stem = nn.BatchNorm2d(1, track_running_stats=False)
    net.backbone = nn.Sequential(nn.Identity(), stem, net.backbone)
    net.backbone.image_shape = (1, 8, 8)
    return net


@fault("info", "strict", "expand_norm", "no chip can run it")
def layer_norm():
    return vit(norm="layer")


@fault("info", "basic", "", "membranes carry nothing on")
def one_timestep():
    return vit(timesteps=1)


def found(make, level):
    # A network is made anew: a check must not depend on what another one left behind.
    return ComprehensiveValidator(level).validate_model(make())


@pytest.mark.filterwarnings("ignore:.*overflow.*")
@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_found_from_its_level_on(name):
    make, severity, level, location, message = FAULTS[name]
    levels = ["basic", "standard", "strict"]
    for each in levels:
        hits = [
            result
            for result in found(make, each)
            if result.level.value == severity
            and location in result.location
            and message in result.message
        ]
        assert bool(hits) == (levels.index(each) >= levels.index(level)), (each, found(make, each))
        for result in hits:
            assert result.remedy or severity == "info"


def test_there_are_many_different_faults():
    assert len(FAULTS) >= 35


@pytest.mark.parametrize("make", [vit, chain])
def test_a_healthy_network_has_none(make):
    assert ComprehensiveValidator("comprehensive").validate_model(make()) == []


def test_the_network_is_not_changed():
    net = vit()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    state = torch.random.get_rng_state()
    ComprehensiveValidator("comprehensive").validate_model(net)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert net.training
    assert all(p.grad is None for p in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


def test_a_critical_finding_ends_the_checks():
    results = found(nan_weights, "comprehensive")
    assert results[-1].level is ValidationLevel.CRITICAL
    assert len(results) == 1


def test_what_does_not_say_what_it_takes_needs_a_probe():
    net = nn.Sequential(nn.Conv1d(2, 3, 1), HARD(threshold=1.0))
    (result,) = ComprehensiveValidator().validate_model(net)
    assert "Pass a batch" in result.remedy
    results = ComprehensiveValidator().validate_model(net, probe=torch.rand(2, 2, 9))
    assert "Pass a batch" not in str(results)


def test_probes_repeat():
    for model in (vit(), chain()):
        assert torch.equal(make_probe(model), make_probe(model))


def test_statistics_that_have_not_settled_do_not_silence_a_network():
    net = vit()
    norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.num_batches_tracked += 2
        norm.running_var.fill_(1e4)
    assert ComprehensiveValidator().validate_model(net) == []
    for norm in norms:
        norm.num_batches_tracked += 100
    assert "never fires" in str(ComprehensiveValidator().validate_model(net))
