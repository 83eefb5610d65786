"""Texts that go on: token by token, they are what they are as a whole."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.models import (
    QKTokenAttention,
    SpikeDrivenAttention,
    SpikingAttention,
    SpikingSelfAttention,
    SpikingTransformer,
    TokenMemory,
)
from spikeformer.neurons import IntegerLifNeuron, LifNeuron, ParametricLifNeuron

MECHANISMS = {
    "qk_token": QKTokenAttention,
    "sdsa": SpikeDrivenAttention,
    "ssa": SpikingSelfAttention,
    "ssa_odd_scale": partial(SpikingSelfAttention, scale=0.3),
}


def model(mechanism="sdsa", **options):
    torch.manual_seed(2)
    attention = partial(SpikingAttention, mechanism=MECHANISMS[mechanism])
    settings = {"d_model": 12, "nhead": 3, "num_layers": 2, "timesteps": 3, "threshold": 0.4}
    settings |= {"max_length": 12, "norm": "layer", "causal": True, "attention": attention}
    return SpikingTransformer(40, **{**settings, **options}).eval()


def in_pieces(net, ids, *pieces):
    memory = TokenMemory()
    features = [net(piece, memory=memory) for piece in ids.split(pieces, dim=1)]
    return torch.cat(features, dim=2), memory


@pytest.mark.parametrize(
    ("mechanism", "residual", "neuron"),
    [
        *((mechanism, "membrane", LifNeuron) for mechanism in MECHANISMS),
        ("sdsa", "sew", LifNeuron),
        ("sdsa", "membrane", ParametricLifNeuron),
        ("sdsa", "membrane", IntegerLifNeuron),
        ("ssa", "sew", IntegerLifNeuron),
    ],
)
@torch.no_grad()
def test_pieces_of_a_text_give_what_the_whole_gives(mechanism, residual, neuron):
    net = model(mechanism, residual=residual, neuron=neuron)
    ids = torch.randint(40, (2, 9))
    whole = net(ids)
    assert whole.any()
    assert torch.equal(in_pieces(net, ids, 4, 1, 3, 1)[0], whole)
    assert torch.equal(in_pieces(net, ids, *[1] * 9)[0], whole)


@pytest.mark.parametrize(("mechanism", "values"), [("qk_token", 0), ("sdsa", 12), ("ssa", 48)])
@torch.no_grad()
def test_memory_does_not_grow(mechanism, values):
    ids = torch.randint(40, (2, 9))
    sizes = {in_pieces(model(mechanism), ids[:, :n], n)[1].num_bytes for n in (1, 4, 9)}
    # Two layers, two texts, three timesteps, four bytes.
    assert sizes == {2 * 2 * 3 * values * 4}


@torch.no_grad()
def test_a_copy_starts_another_continuation():
    net, ids = model(), torch.randint(40, (1, 5))
    _, memory = in_pieces(net, ids, 5)
    other, sentence = memory.copy(), torch.tensor([[7, 8]])
    first = net(sentence, memory=memory)
    assert torch.equal(net(sentence, memory=other), first)
    assert torch.equal(net(torch.cat([ids, sentence], 1))[:, :, 5:], first)
    assert memory.length == other.length == 7


@torch.no_grad()
def test_there_are_only_so_many_positions():
    _, memory = in_pieces(model(), torch.randint(40, (1, 11)), 11)
    with pytest.raises(SpikingDynamicsError, match="max_length=12 tokens, but got 2 after 11"):
        model()(torch.tensor([[1, 2]]), memory=memory)
    assert memory.length == 11


def test_tokens_that_see_later_ones_cannot_come_one_by_one():
    with pytest.raises(ArgumentError, match="causal"):
        model(causal=False)(torch.tensor([[1]]), memory=TokenMemory())
