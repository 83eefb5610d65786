from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import nn

from spikeformer.error_handling import ArgumentError
from spikeformer.models import (
    ClassificationHead,
    ConvEmbedding,
    ConvMerging,
    ConvMLP,
    HierarchicalViT,
    PointwiseMixing,
    RepLinear,
    SpikeDrivenAttention,
    SpikingAttention,
    SpikingMLP,
    SpikingNetwork,
    SpikingSelfAttention,
    unrolled,
)
from spikeformer.neurons import IntegerLifNeuron, LifNeuron
from spikeformer.profiling import EnergyProfiler
from tests.hardware.lowering.test_lower import assert_equal
from tests.models.firing import calibrate

HARD = partial(LifNeuron, tau_mem=1.4427, reset="zero")


def seen(layer, *shape):
    """Let its batch norms see data, so that they do something in evaluation mode."""
    for module in layer.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    layer.train()(torch.rand(shape, dtype=next(layer.parameters()).dtype))
    return layer


def spikes(*shape):
    return (torch.rand(shape) < 0.4).double()


@pytest.mark.parametrize("training", [True, False])
def test_each_output_is_two_convolutions_with_batch_norms(training):
    layer = seen(RepLinear(6, [4, 5]).double(), 3, 2, 7, 6)
    pairs = []
    for index, rows in enumerate((slice(0, 4), slice(4, 9))):
        width, inside = rows.stop - rows.start, slice(9 * index, 9 * index + 9)
        pair = nn.Sequential(
            nn.Conv1d(6, 9, 1, bias=False),
            nn.BatchNorm1d(9),
            nn.Conv1d(9, width, 1, bias=False),
            nn.BatchNorm1d(width),
        ).double()
        pair[0].weight.data = layer.expand.weight[inside].unsqueeze(2).clone()
        pair[2].weight.data = layer.contract[index].weight.unsqueeze(2).clone()
        for own, norm, part in (
            (pair[1], layer.expand_norm, inside),
            (pair[3], layer.contract_norm, rows),
        ):
            state = {k: v[part] if v.ndim else v for k, v in norm.state_dict().items()}
            own.load_state_dict(state)
        pairs.append(pair.train(training))
    x = spikes(3, 2, 7, 6)
    found = layer.train(training)(x)
    expected = torch.cat([pair(x.flatten(0, 1).mT).mT for pair in pairs], -1).unflatten(0, (3, 2))
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    gradients = torch.cat([pair[0].weight.grad.squeeze(2) for pair in pairs])
    torch.testing.assert_close(layer.expand.weight.grad, gradients)
    for own, pair in zip(layer.contract, pairs, strict=True):
        torch.testing.assert_close(own.weight.grad, pair[2].weight.grad.squeeze(2))


def test_padding_takes_no_part():
    layer = RepLinear(4, [3]).double()
    alone = copy.deepcopy(layer)
    x, mask = spikes(2, 3, 5, 4), torch.ones(2, 5, dtype=torch.bool)
    mask[:, 3:] = False
    torch.testing.assert_close(layer(x, mask)[:, :, :3], alone(x[:, :, :3]))
    torch.testing.assert_close(layer.contract_norm.running_mean, alone.contract_norm.running_mean)


def matrix_of(layer):
    """Weights and bias of the one affine map that a layer is in evaluation mode."""
    width = layer.expand.in_features
    bias = layer(torch.zeros(1, 1, 1, width))[0, 0, 0]
    return (layer(torch.eye(width)[None, None])[0, 0] - bias).mT, bias


@torch.no_grad()
def test_trained_projections_are_one_matrix():
    options = {"dropout": 0.0, "neuron": HARD, "threshold": 0.5}
    pair = SpikingAttention(8, 2, 3, projection_ratio=1.5, **options)
    calibrate(seen(pair, 4, 3, 5, 8), (torch.rand(4, 3, 5, 8) < 0.4).float())
    one = SpikingAttention(8, 2, 3, **options)
    for name in ("qkv", "out"):
        norm = getattr(pair, f"{name}_norm").state_dict()
        weight, bias = matrix_of(getattr(pair.eval(), name))
        getattr(one, name).weight.copy_(weight)
        norm["running_mean"] = norm["running_mean"] - bias
        getattr(one, f"{name}_norm").load_state_dict(norm)
    x = (torch.rand(4, 3, 5, 8) < 0.4).float()
    found = pair(x)
    torch.testing.assert_close(found, one.eval()(x), rtol=1e-4, atol=1e-4)
    assert found.std(dim=2).mean() > 1e-3  # tokens differ: attention fires


def network(attention, neuron, timesteps):
    """A network as Spike-driven Transformer V3's large ones, of two stages."""
    return HierarchicalViT(
        1,
        9,
        16,
        (1, 2),
        (1, 2),
        timesteps,
        widths=(8, 16),
        neuron=neuron,
        residual="membrane",
        output="pooled",
        embedding=ConvEmbedding,
        merging=ConvMerging,
        mixers=[None, partial(attention, dropout=0.0, projection_ratio=1.5)],
        local_mixers=[None, PointwiseMixing],
        mlps=[ConvMLP, SpikingMLP],
    )


def test_integer_networks_with_it_are_their_unit_spikes_and_every_operation_is_counted():
    ssa = partial(SpikingAttention, mechanism=SpikingSelfAttention)
    net = network(ssa, partial(IntegerLifNeuron, max_spikes=2), 1)
    images = torch.rand(4, 1, 9, 9)
    calibrate(net, images)
    assert 0 < net(images).mean() < 1
    torch.testing.assert_close(unrolled(net)(images).unflatten(1, (1, 2)).mean(2), net(images))
    with EnergyProfiler().measure() as recording, torch.no_grad():
        SpikingNetwork(net, ClassificationHead(16, 3)).eval()(images)
    assert recording.get_metrics()["uncounted"] == {}
    net.train()(images).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_it_runs_on_chips_as_one_matrix():
    sdsa = partial(SpikingAttention, mechanism=SpikeDrivenAttention)
    net = SpikingNetwork(network(sdsa, HARD, 2), ClassificationHead(16, 3))
    calibrate(net, torch.rand(8, 1, 9, 9))
    assert assert_equal(net, torch.rand(3, 1, 9, 9)) is not None


def test_tokens_do_not_see_each_other():
    layer = seen(PointwiseMixing(6, 2, 2), 3, 2, 7, 6).eval()
    x = spikes(3, 2, 7, 6).float()
    torch.testing.assert_close(layer(x)[:, :, 2], layer(x[:, :, 2:3])[:, :, 0])
    torch.testing.assert_close(layer(x, neuron=(neuron := HARD())), neuron(layer(x)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RepLinear(4, [4], 0.0), "ratio"),
        (lambda: PointwiseMixing(4, 2, 2, norm="layer"), "norm"),
        (lambda: SpikingAttention(4, 2, 2, norm="layer", projection_ratio=2.0), "projection_ratio"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
