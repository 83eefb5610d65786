"""A spiking language model goes on with a text as its logits say."""

from __future__ import annotations

import pytest
import torch

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.models import (
    CausalLMHead,
    ClassificationHead,
    SpikingNetwork,
    SpikingTransformer,
    generate,
)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    backbone = SpikingTransformer(
        30, 12, 3, 1, timesteps=3, threshold=0.4, max_length=14, norm="layer", causal=True
    )
    return SpikingNetwork(backbone, CausalLMHead(12, 30)).eval()


PROMPTS = torch.tensor([[3, 1, 4, 1], [5, 9, 2, 6]])


def text(tokens):
    return torch.stack(list(tokens), dim=1)


def test_the_likeliest_token_comes_next(net):
    found = text(generate(net, PROMPTS, 10))
    whole = torch.cat([PROMPTS, found], dim=1)
    with torch.no_grad():
        again = net(whole).mean(dim=1).argmax(dim=-1)
    assert torch.equal(again[:, 3:-1], found)


def test_draws_are_those_of_the_probabilities(net):
    with torch.no_grad():
        logits = net(PROMPTS[:1])[:, :, -1].mean(dim=1)[0]
    many = PROMPTS[:1].expand(4000, -1)
    generator = torch.Generator().manual_seed(1)
    (drawn,) = generate(net, many, 1, temperature=2.0, generator=generator)
    shares = drawn.bincount(minlength=30) / 4000
    assert (shares - (logits / 2).softmax(0)).abs().max() < 0.03
    (drawn,) = generate(net, many, 1, temperature=2.0, top_k=3, generator=generator)
    assert set(drawn.tolist()) == set(logits.topk(3).indices.tolist())


def test_it_stops_where_every_text_has_ended(net):
    greedy = text(generate(net, PROMPTS[:1], 10))[0].tolist()
    end = greedy[4]
    stopped = text(generate(net, PROMPTS[:1], 10, end=end))[0].tolist()
    assert stopped == greedy[: greedy.index(end) + 1]


def test_the_mode_of_the_network_comes_back(net):
    net.train()
    try:
        assert len(list(generate(net, PROMPTS, 2))) == 2
        assert net.training
    finally:
        net.eval()


def test_mistakes_are_told(net):
    with pytest.raises(SpikingDynamicsError, match=r"with 12 new tokens.*max_length=14"):
        next(generate(net, PROMPTS, 12))
    with pytest.raises(ArgumentError, match="temperature"):
        next(generate(net, PROMPTS, 2, temperature=-1.0))
    with pytest.raises(ArgumentError, match="top_k"):
        next(generate(net, PROMPTS, 2, top_k=0))
    other = SpikingNetwork(net.backbone, ClassificationHead(12, 3))
    with pytest.raises(ArgumentError, match="SpikingTransformer with ClassificationHead"):
        next(generate(other, PROMPTS))
