from __future__ import annotations

import math

import pytest
import torch

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.research import MetaplasticSynapses


def test_metaplastic_synapses_step_follows_the_equation():
    synapses = MetaplasticSynapses(5, 3, metaplastic_rate=0.002)
    with torch.no_grad():
        synapses.hidden.mul_(100)
    synapses.consolidated.copy_(synapses.hidden)
    before, step = synapses.hidden.detach().clone(), 0.3 * torch.randn(3, 5)
    with torch.no_grad():
        synapses.hidden.add_(step)
    synapses.consolidate()
    for h, delta, now in zip(
        before.flatten().tolist(),
        step.flatten().tolist(),
        synapses.hidden.flatten().tolist(),
        strict=True,
    ):
        held = 1 - math.tanh(0.002 * abs(h) / 0.001) ** 2 if delta * h < 0 else 1
        assert now == pytest.approx(h + held * delta, abs=1e-6)
    again = synapses.hidden.detach().clone()
    synapses.consolidate()  # without a step there is nothing to hold back
    assert torch.equal(synapses.hidden, again)


def test_metaplastic_synapses_rate_zero_leaves_the_optimizers_steps_alone():
    synapses = MetaplasticSynapses(4, 4, metaplastic_rate=0.0)
    step = torch.randn(4, 4)
    expected = synapses.hidden.detach() + step
    with torch.no_grad():
        synapses.hidden.add_(step)
    synapses.consolidate()
    assert torch.allclose(synapses.hidden, expected)


def test_metaplastic_synapses_computes_with_scaled_signs_and_passes_the_gradient_straight():
    synapses = MetaplasticSynapses(9, 4)
    x = torch.randn(2, 3, 9)
    sign = torch.where(synapses.hidden.detach() >= 0, 1.0, -1.0)
    assert torch.allclose(synapses(x), x @ sign.T / 3, atol=1e-6)
    (out := synapses(x)).sum().backward()
    expected = (torch.ones_like(out).flatten(0, 1).T @ x.flatten(0, 1)) / 3
    assert torch.allclose(synapses.hidden.grad, expected, atol=1e-5)


def test_metaplastic_synapses_what_was_agreed_on_long_resists():
    plain, meta = MetaplasticSynapses(1, 1, 0.0), MetaplasticSynapses(1, 1)
    for synapses in (plain, meta):
        with torch.no_grad():
            synapses.hidden.fill_(0.005)
        synapses.consolidated.fill_(0.005)
        for direction in [0.02] * 20 + [-0.02] * 22:
            with torch.no_grad():
                synapses.hidden.add_(direction)
            synapses.consolidate()
    assert plain.weight.item() == -1.0
    assert meta.weight.item() == 1.0


def test_metaplastic_synapses_optimizer_lets_it_consolidate_and_a_checkpoint_has_it():
    synapses = MetaplasticSynapses(6, 2, metaplastic_rate=1.0)
    optimizer = torch.optim.Adam(synapses.parameters(), lr=0.1)
    optimizer.register_step_post_hook(lambda *_: synapses.consolidate())
    for _ in range(3):
        optimizer.zero_grad()
        synapses(torch.randn(4, 6)).square().sum().backward()
        optimizer.step()
        assert torch.equal(synapses.hidden, synapses.consolidated)
    again = MetaplasticSynapses(6, 2, metaplastic_rate=1.0)
    again.load_state_dict(synapses.state_dict())
    assert torch.equal(again.consolidated, synapses.hidden)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((0, 3), "input_size"),
        ((3, 0), "output_size"),
        ((3, 3, -0.1), "metaplastic_rate"),
        ((3, 3, math.nan), "metaplastic_rate"),
    ],
)
def test_metaplastic_synapses_refuses_bad_arguments(arguments, match):
    with pytest.raises(ArgumentError, match=match):
        MetaplasticSynapses(*arguments)


def test_metaplastic_synapses_refuses_another_shape():
    with pytest.raises(SpikingDynamicsError, match="input_size=4"):
        MetaplasticSynapses(4, 2)(torch.rand(3, 5))
