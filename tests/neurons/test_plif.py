from __future__ import annotations

import importlib
import math

import pytest
import torch
from torch.func import functional_call

from spikeformer.neurons import LifNeuron, LifState, ParametricLifNeuron


@pytest.mark.parametrize("tau_mem", [1e-3, 0.5, 2.0, 20.0, 1e4])
def test_starts_at_its_time_constant(tau_mem):
    neuron = ParametricLifNeuron(tau_mem=tau_mem)
    assert neuron.decay.item() == pytest.approx(math.exp(-1 / tau_mem), rel=1e-5)
    assert neuron.learned_tau_mem == pytest.approx(tau_mem, rel=1e-3)


def test_starts_as_a_lif_neuron():
    current = (torch.randn(3, 25, 4) * 4).round() / 4
    expected = LifNeuron(0.9, 3.0, "zero")(current)
    assert torch.equal(ParametricLifNeuron(0.9, 3.0, reset="zero")(current), expected)


def test_learns_its_time_constant():
    # Membranes of a neuron that never fires, so that the loss is smooth in the decay.
    current = torch.rand(8, 20, 3)
    rest = LifState(torch.zeros(8, 3))
    _, target = LifNeuron(threshold=1e6, tau_mem=10.0)(current, rest)
    neuron = ParametricLifNeuron(threshold=1e6, tau_mem=2.0)
    optimizer = torch.optim.Adam(neuron.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        _, state = neuron(current, rest)
        (state.membrane - target.membrane).square().mean().backward()
        optimizer.step()
    assert neuron.learned_tau_mem == pytest.approx(10.0, rel=0.02)


def test_spikes_have_a_gradient_in_the_decay():
    neuron = ParametricLifNeuron(tau_mem=2.0, surrogate_type="atan")
    neuron(torch.rand(4, 10, 3)).sum().backward()
    # More memory, more spikes.
    assert neuron.decay_logit.grad.item() > 0


def test_gradcheck_with_a_smooth_spike(monkeypatch):
    smooth = lambda x, surrogate, slope: torch.sigmoid(4 * x)  # noqa: E731
    monkeypatch.setattr(importlib.import_module("spikeformer.ops.lif.reference"), "spike", smooth)
    neuron = ParametricLifNeuron(0.8, 3.0).double()

    def run(current, logit):
        return functional_call(neuron, {"decay_logit": logit}, (current,))

    logit = neuron.decay_logit.detach().clone().requires_grad_()
    current = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(run, (current, logit))


def test_the_decay_is_saved():
    neuron, other = ParametricLifNeuron(tau_mem=3.0), ParametricLifNeuron(tau_mem=20.0)
    other.load_state_dict(neuron.state_dict())
    assert other.learned_tau_mem == pytest.approx(3.0, rel=1e-4)
