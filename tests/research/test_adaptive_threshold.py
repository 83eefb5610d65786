from __future__ import annotations

import math

import pytest
import torch

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.research import AdaptiveSpikeThreshold


def in_numbers(potentials, theta, rate, window, target):
    """The equations of the docstring for one sequence of layers, in Python numbers."""
    rates, spikes = [], []
    for layer in potentials:
        fired = [float(v >= theta) for v in layer]
        spikes.append(fired)
        rates.append(sum(fired) / len(fired))
        kept = rates[-window:]
        theta *= math.exp(rate * (sum(kept) / len(kept) - target))
    return spikes, theta


@pytest.mark.parametrize("window", [1, 3, 100])
def test_adaptive_spike_threshold_follows_its_equations(window):
    v = 2 * torch.randn(3, 17, 5)
    module = AdaptiveSpikeThreshold(0.7, 0.3, window, target_rate=0.25)
    spikes, threshold = module(v)
    layers = v.transpose(0, 1).flatten(1).tolist()
    expected, theta = in_numbers(layers, 0.7, 0.3, window, 0.25)
    assert spikes.transpose(0, 1).flatten(1).tolist() == expected
    assert float(threshold) == pytest.approx(theta, rel=1e-5)


def test_adaptive_spike_threshold_holds_the_rate_when_the_input_grows_and_shrinks_tenfold():
    module = AdaptiveSpikeThreshold(target_rate=0.1)
    for scale in (1.0, 10.0, 1.0, 0.1):
        with torch.no_grad():
            spikes, threshold = module(scale * torch.randn(4, 1500, 100))
        # The 90 % quantile of the normal distribution is 1.2816.
        assert float(spikes[:, 500:].mean()) == pytest.approx(0.1, abs=0.005)
        assert float(threshold) == pytest.approx(1.2816 * scale, rel=0.1)


def test_adaptive_spike_threshold_silence_does_not_take_the_threshold_to_nothing():
    homeostasis = AdaptiveSpikeThreshold(adaptation_rate=1.0)
    for _ in range(3):
        homeostasis(torch.full((1, 100, 2), -1.0))
    assert float(homeostasis.threshold) == pytest.approx(1e-4)
    v = torch.zeros(1, 1, 2, requires_grad=True)
    spikes, _ = homeostasis(v)
    spikes.sum().backward()
    assert bool(v.grad.isfinite().all())


def test_adaptive_spike_threshold_state_is_explicit_and_a_recording_can_be_cut_anywhere():
    v = torch.randn(2, 12, 4)
    whole, cut = AdaptiveSpikeThreshold(window_size=5), AdaptiveSpikeThreshold(window_size=5)
    spikes, threshold = whole(v)
    state, parts = cut.state, []
    for part in v.split([1, 4, 7], dim=1):
        fired, state = cut(part, state)
        parts.append(fired)
    assert torch.equal(torch.cat(parts, dim=1), spikes)
    assert torch.equal(state.threshold, threshold)
    assert float(cut.threshold) == 1.0  # its own state is left alone


def test_adaptive_spike_threshold_state_is_saved_and_fixed_in_evaluation():
    module, again = AdaptiveSpikeThreshold(window_size=7), AdaptiveSpikeThreshold(window_size=7)
    module(5 * torch.randn(2, 30, 4))
    again.load_state_dict(module.state_dict())
    v = torch.randn(2, 9, 4)
    for mode in (False, True):
        (spikes, threshold), (same, equal) = module.train(mode)(v), again.train(mode)(v)
        assert torch.equal(spikes, same)
        assert torch.equal(threshold, equal)
    module.eval()
    before = float(module.threshold)
    _, threshold = module(100 * v)
    assert float(threshold) == float(module.threshold) == before


def test_adaptive_spike_threshold_gradients_pass_spikes_and_threshold():
    # One neuron, two timesteps, s2 = H(v2 / theta2 - 1) with theta2 = theta1 exp(a (s1 - r)).
    module = AdaptiveSpikeThreshold(1.0, 0.5, 10, target_rate=0.2, surrogate_type="atan")
    v = torch.tensor([[1.2, 0.9]]).view(1, 2, 1).requires_grad_()
    spikes, _ = module(v)
    (gradient,) = torch.autograd.grad(spikes[0, 1, 0], v)

    def surrogate(x):
        return 1.0 / (1.0 + (math.pi * x) ** 2)  # atan with slope 2

    theta = math.exp(0.5 * (1.0 - 0.2))
    outer = surrogate(0.9 / theta - 1)
    assert gradient[0, 1, 0].item() == pytest.approx(outer / theta, rel=1e-5)
    through_threshold = outer * (-0.9 / theta) * 0.5 * surrogate(1.2 - 1)
    assert gradient[0, 0, 0].item() == pytest.approx(through_threshold, rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"initial_threshold": 0.0}, "initial_threshold"),
        ({"adaptation_rate": -1.0}, "adaptation_rate"),
        ({"window_size": 0}, "window_size"),
        ({"target_rate": 1.0}, "target_rate"),
        ({"surrogate_type": "step"}, "surrogate_type"),
    ],
)
def test_adaptive_spike_threshold_refuses_bad_arguments(arguments, match):
    with pytest.raises(ArgumentError, match=match):
        AdaptiveSpikeThreshold(**arguments)


def test_adaptive_spike_threshold_refuses_bad_potentials_and_states():
    module = AdaptiveSpikeThreshold()
    for bad in (torch.randn(3), torch.randn(2, 0, 3), torch.ones(2, 3, 4, dtype=torch.int64)):
        with pytest.raises(SpikingDynamicsError, match="batch, timesteps"):
            module(bad)
    with pytest.raises(SpikingDynamicsError, match="window of 100"):
        module(torch.randn(2, 3, 4), AdaptiveSpikeThreshold(window_size=3).state)
