from __future__ import annotations

import copy
import pickle
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.models import SpikingAttention, SpikingSelfAttention, sparsity_loss
from spikeformer.neurons import IntegerLifNeuron, LifNeuron
from tests.models.firing import calibrate, recorded
from tests.models.test_mechanisms import MECHANISMS

mechanisms = pytest.mark.parametrize("mechanism", MECHANISMS)
norms = pytest.mark.parametrize("norm", ["batch", "layer"])
soft = partial(LifNeuron, tau_mem=2.0, surrogate_type="atan")


def spikes(*shape, rate=0.4):
    return (torch.rand(*shape) < rate).float()


@mechanisms
@norms
def test_is_projection_mechanism_projection(mechanism, norm):
    x = spikes(2, 3, 5, 12)
    layer = SpikingAttention(
        12, 3, 3, 0.0, mechanism=mechanism, neuron=soft, norm=norm, threshold=0.5
    )
    calibrate(layer, x)
    with recorded(layer, LifNeuron) as seen:
        out = layer(x)
    current, projected = seen["qkv_neuron"]
    # The neuron takes the projection and normalises it on the way.
    torch.testing.assert_close(current, layer.qkv(x))
    assert torch.equal(projected, layer.qkv_neuron(layer.qkv_norm(current)))
    # Channels are cut first into q, k (and v), then into heads.
    parts = projected.chunk(layer.mechanism.num_projections, dim=-1)
    heads = tuple(torch.stack(part.split(4, dim=-1), dim=3) for part in parts)
    attended = torch.cat(layer.mechanism(heads).unbind(3), dim=-1)
    assert 0 < attended.mean() < 1
    expected = F.linear(attended, layer.out.weight, layer.out.bias)
    torch.testing.assert_close(out, layer.out_norm(expected))


@mechanisms
def test_heads_do_not_mix(mechanism):
    x = spikes(1, 2, 4, 8)
    layer = SpikingAttention(8, 2, 2, 0.0, mechanism=mechanism, neuron=soft, threshold=0.5)
    calibrate(layer, x)
    layer.out, layer.out_norm = nn.Identity(), _PassNorm()
    before = layer(x)
    with torch.no_grad():  # new weights for the second head alone
        for part in range(layer.mechanism.num_projections):
            layer.qkv.weight[part * 8 + 4 : part * 8 + 8] *= -1
    after = layer(x)
    assert torch.equal(before[..., :4], after[..., :4])
    assert not torch.equal(before[..., 4:], after[..., 4:])


class _PassNorm(nn.Module):
    def forward(self, x, mask=None):
        return x


def test_sparsity_loss_is_the_squared_distance_of_the_rate_from_its_target():
    x = spikes(2, 3, 5, 8)
    layer = SpikingAttention(8, 2, 3, sparsity_target=0.3, neuron=soft).train()
    with pytest.raises(SpikingDynamicsError, match="training"):
        _ = layer.sparsity_loss
    layer.eval()(x)
    with pytest.raises(SpikingDynamicsError, match="training"):
        _ = layer.sparsity_loss
    with recorded(layer, LifNeuron) as seen:
        layer.train()(x)
    rate = seen["qkv_neuron"][1].mean()
    assert rate > 0
    torch.testing.assert_close(layer.sparsity_loss.detach(), (rate - 0.3) ** 2)


def test_padding_does_not_count_as_sparsity():
    x = spikes(2, 3, 5, 8)
    layer = SpikingAttention(8, 2, 3, 0.0, neuron=soft, norm="layer", threshold=0.5).train()
    layer(x)
    expected = layer.sparsity_loss
    padded = torch.cat([x, spikes(2, 3, 6, 8)], dim=2)
    layer(padded, torch.arange(11).expand(2, -1) < 5)
    torch.testing.assert_close(layer.sparsity_loss, expected)


@pytest.mark.parametrize("target", [0.05, 0.6])
def test_lowering_the_loss_moves_the_rate_to_the_target(target):
    x = spikes(4, 4, 6, 16)
    layer = SpikingAttention(16, 2, 4, 0.0, target, neuron=soft)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)

    def rate():
        with recorded(layer, LifNeuron) as seen:
            layer(x)
        return seen["qkv_neuron"][1].mean().item()

    before = rate()
    for _ in range(40):
        optimizer.zero_grad()
        layer(x)
        sparsity_loss(layer).backward()
        optimizer.step()
    assert abs(rate() - target) < 0.2 * abs(before - target)


def test_sparsity_loss_of_a_model_is_the_mean_over_its_layers():
    x = spikes(2, 3, 4, 8)
    layers = nn.ModuleList(SpikingAttention(8, 2, 3, sparsity_target=s) for s in (0.1, 0.9))
    for layer in layers:
        layer(x)
    expected = (layers[0].sparsity_loss + layers[1].sparsity_loss) / 2
    torch.testing.assert_close(sparsity_loss(layers), expected)
    assert sparsity_loss(nn.Linear(2, 2)) is None


def test_a_layer_in_training_can_be_copied_and_pickled():
    layer = SpikingAttention(8, 2, 3)
    layer(spikes(2, 3, 4, 8))
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        x = spikes(2, 3, 4, 8)
        assert torch.equal(copied.eval()(x), layer.eval()(x))
    assert layer.sparsity_loss.requires_grad


@norms
def test_a_mask_of_numbers_is_a_mask(norm):
    x, mask = spikes(2, 3, 4, 8), torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    layer = SpikingAttention(8, 2, 3, 0.0, neuron=soft, norm=norm)
    real = mask.bool()
    expected, out = layer(x, real), layer(x, mask)
    assert torch.equal(out.transpose(1, 2)[real], expected.transpose(1, 2)[real])


def test_dropout_acts_in_training_only():
    layer, x = SpikingAttention(8, 2, 3, dropout=1.0, norm="layer"), spikes(2, 3, 4, 8)
    assert layer(x).abs().sum() == 0
    expected = SpikingAttention(8, 2, 3, dropout=0.0, norm="layer")
    expected.load_state_dict(layer.state_dict())
    assert torch.equal(layer.eval()(x), expected(x))
    assert expected(x).abs().sum() > 0


@pytest.mark.parametrize("shape", [(2, 3, 8), (2, 4, 5, 8), (2, 3, 5, 7)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(SpikingDynamicsError, match=r"timesteps=3, tokens, embed_dim=8"):
        SpikingAttention(8, 2, 3)(torch.zeros(shape))


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(SpikingDynamicsError, match=r"mask of shape.*\(2, 5\).*got \(2, 4\)"):
        SpikingAttention(8, 2, 3)(torch.zeros(2, 3, 5, 8), torch.ones(2, 4, dtype=torch.bool))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_heads": 3}, "`embed_dim` to be divisible by num_heads=3"),
        ({"num_heads": 0}, "`num_heads`"),
        ({"timesteps": 0}, "`timesteps`"),
        ({"dropout": 1.5}, "`dropout`"),
        ({"sparsity_target": -0.1}, "`sparsity_target`"),
        ({"norm": "group"}, "`norm`"),
        ({"threshold": 0.0}, "`threshold`"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        SpikingAttention(**{"embed_dim": 8, "num_heads": 2, **arguments})


def test_an_unknown_sparsity_loss_is_an_absent_attribute():
    layer = SpikingAttention(8, 2, timesteps=2)
    assert not hasattr(layer, "sparsity_loss")
    with pytest.raises(SpikingDynamicsError, match="after a forward pass in training mode"):
        _ = layer.sparsity_loss


@pytest.mark.parametrize("neuron", [LifNeuron, partial(IntegerLifNeuron, max_spikes=2)])
@pytest.mark.parametrize("tokens", [2, 9])
def test_values_may_be_wider(neuron, tokens):
    mechanism = partial(SpikingSelfAttention, scale=2.0, by_channels=True)
    layer = SpikingAttention(
        6, 2, 3, 0.0, mechanism=mechanism, neuron=neuron, threshold=0.5, value_ratio=4
    )
    x = (torch.rand(2, 3, tokens, 6) < 0.5).float()
    calibrate(layer, x)
    fired = layer.qkv_neuron(layer.qkv_norm(layer.qkv(x)))
    query, key, value = fired[..., :6], fired[..., 6:12], fired[..., 12:]
    current = torch.zeros(2, 3, tokens, 2, 12)
    for head in range(2):
        q, k = (part[..., 3 * head : 3 * head + 3] for part in (query, key))
        v = value[..., 12 * head : 12 * head + 12]
        current[..., head, :] = q @ k.mT @ v * 2 / 3**0.5
    attended = layer.mechanism.neuron(current).flatten(3)
    assert 0 < attended.mean() < 1
    torch.testing.assert_close(layer(x), layer.out_norm(layer.out(attended)))
