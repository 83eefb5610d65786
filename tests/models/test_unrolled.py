"""The unrolled network against the integer network, layer by layer."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from spikeformer.encoding import RateCoding
from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.models import (
    ClassificationHead,
    QKTokenAttention,
    SpikeDrivenAttention,
    SpikformerStem,
    SpikingAttention,
    SpikingNetwork,
    SpikingSelfAttention,
    SpikingTransformer,
    SpikingViT,
    unrolled,
)
from spikeformer.neurons import IntegerLifNeuron, LifNeuron, SpikingNeuron, unit_spikes

MECHANISMS = (QKTokenAttention, SpikeDrivenAttention, partial(SpikingSelfAttention, scale=0.5))


def settled(net):
    """Batch norms with statistics of their own, so that layers fire a little of everything."""
    torch.manual_seed(0)
    for module in net.modules():
        if hasattr(module, "running_var"):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.02, 0.1)
            module.bias.data.uniform_(-0.3, 0.9)
    return net.eval().double()


def vit(mechanism=QKTokenAttention, timesteps=2, max_spikes=4, **options):
    neuron = partial(IntegerLifNeuron, tau_mem=2.0, max_spikes=max_spikes)
    backbone = SpikingViT(
        2,
        8,
        d_model=16,
        nhead=2,
        num_layers=2,
        timesteps=timesteps,
        attention=partial(SpikingAttention, mechanism=mechanism),
        neuron=neuron,
        **{"stem_strides": (1, 2), **options},
    )
    return settled(SpikingNetwork(backbone, ClassificationHead(16, 5)))


def transformer(mechanism=SpikeDrivenAttention, timesteps=2, causal=False):
    neuron = partial(IntegerLifNeuron, tau_mem=2.0)
    backbone = SpikingTransformer(
        20,
        d_model=16,
        nhead=2,
        num_layers=2,
        timesteps=timesteps,
        attention=partial(SpikingAttention, mechanism=mechanism),
        neuron=neuron,
        causal=causal,
    )
    return settled(SpikingNetwork(backbone, ClassificationHead(16, 5)))


def recorded(net, *inputs, **kwargs):
    """The output, and by layer the currents that came in and the spikes that left."""
    currents, spikes, handles = {}, {}, []
    for path, module in net.named_modules():
        if isinstance(module, SpikingNeuron):

            def hook(module, args, kwargs, output, path=path):
                norm = kwargs.get("norm")
                current = args[0]
                if norm is not None and not isinstance(norm, partial):
                    current = norm(current)
                currents[path], spikes[path] = current, output

            handles.append(module.register_forward_hook(hook, with_kwargs=True))
    with torch.no_grad():
        output = net(*inputs, **kwargs)
    for handle in handles:
        handle.remove()
    return output, currents, spikes


def assert_equal_in_every_current(net, *inputs, max_spikes=4, **kwargs):
    output, currents, spikes = recorded(net, *inputs, **kwargs)
    unit_output, unit_currents, units = recorded(unrolled(net), *inputs, **kwargs)
    assert spikes.keys() == units.keys()
    for path, fired in spikes.items():
        if path.endswith("mechanism.neuron") and "SelfAttention" in repr(net):
            # Inside products of integers there are no unit spikes.
            assert torch.equal(units[path], fired)
            torch.testing.assert_close(unit_currents[path], currents[path])
            continue
        assert torch.equal(units[path], unit_spikes(fired, max_spikes)), path
        assert units[path].max() <= 1
        means = unit_currents[path].unflatten(1, (-1, max_spikes)).mean(2)
        torch.testing.assert_close(means, currents[path], rtol=1e-10, atol=1e-12)
    means = unit_output.unflatten(1, (-1, max_spikes)).mean(2)
    torch.testing.assert_close(means, output, rtol=1e-10, atol=1e-12)
    # Every number of spikes occurs, in the gates too.
    assert len(torch.cat([x.flatten() for x in spikes.values()]).unique()) == max_spikes + 1
    gates = [x for path, x in spikes.items() if path.endswith("mechanism.neuron")]
    assert 0 < torch.cat([x.flatten() for x in gates]).mean() < 1


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("timesteps", [1, 3])
@pytest.mark.parametrize("residual", ["membrane", "sew"])
def test_vision(mechanism, timesteps, residual):
    net = vit(mechanism, timesteps, residual=residual)
    assert_equal_in_every_current(net, torch.rand(3, 2, 8, 8, dtype=torch.float64))


def test_another_number_of_spikes():
    net = vit(SpikeDrivenAttention, max_spikes=3)
    assert_equal_in_every_current(net, torch.rand(3, 2, 8, 8, dtype=torch.float64), max_spikes=3)


def test_spikes_of_an_encoder_are_held():
    net = vit(encoding=RateCoding(2))
    assert_equal_in_every_current(net, torch.rand(3, 2, 8, 8, dtype=torch.float64))


def test_layer_norm_sees_the_mean():
    net = vit(norm="layer", residual="sew", dropout=0.1)
    assert_equal_in_every_current(net, torch.rand(3, 2, 8, 8, dtype=torch.float64))
    net = vit(norm="layer")
    assert_equal_in_every_current(net, torch.rand(3, 2, 8, 8, dtype=torch.float64))


def test_a_stem_that_fires():
    stem = partial(SpikformerStem, patch_size=1)
    net = vit(stem=stem, residual="sew")
    assert_equal_in_every_current(net, torch.rand(3, 2, 8, 8, dtype=torch.float64))


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("causal", [False, True])
def test_tokens(mechanism, causal):
    net, mask = transformer(mechanism, causal=causal), torch.ones(3, 6, dtype=torch.bool)
    mask[0, 4:] = False
    assert_equal_in_every_current(net, torch.randint(20, (3, 6)), mask=mask)


def test_weights_are_shared_and_the_network_stays_as_it_is():
    net = vit().train()
    binary = unrolled(net)
    ours, theirs = dict(net.named_parameters()), dict(binary.named_parameters())
    assert ours.keys() == theirs.keys()
    assert all(ours[name] is theirs[name] for name in ours)
    assert net.training
    assert not binary.training
    assert all(type(m) is IntegerLifNeuron for m in net.modules() if isinstance(m, SpikingNeuron))


def test_currents_of_another_length_are_refused():
    net = unrolled(nn.Sequential(nn.Linear(3, 2), IntegerLifNeuron()), timesteps=2)
    assert net(torch.rand(1, 2, 3).repeat_interleave(4, dim=1)).shape == (1, 8, 2)
    with pytest.raises(SpikingDynamicsError, match=r"8 steps, 4 for each.*got 4"):
        net(torch.rand(1, 4, 3))


def test_training_is_refused():
    net = unrolled(vit()).train()
    with pytest.raises(SpikingDynamicsError, match=r"for inference.*eval\(\)"):
        net(torch.rand(3, 2, 8, 8, dtype=torch.float64))


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Linear(3, 2), "`net`.*IntegerLifNeuron"),
        (nn.Sequential(IntegerLifNeuron(), LifNeuron()), "all are IntegerLifNeuron.*LifNeuron"),
        (nn.Sequential(IntegerLifNeuron(), IntegerLifNeuron(max_spikes=2)), "`max_spikes`"),
        (nn.Sequential(IntegerLifNeuron()), "`timesteps`"),
        (vit(residual="sew", stem=SpikformerStem), r"stem\.convs\..\.pool: MaxPool2d"),
        (nn.Sequential(nn.ReLU(), IntegerLifNeuron()), "0: ReLU"),
    ],
)
def test_what_is_not_equal_is_refused(net, message):
    with pytest.raises(ArgumentError, match=message):
        unrolled(net, timesteps=None if "timesteps" in message else 2)
