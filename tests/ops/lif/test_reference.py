"""The gradients of the reference of `lif`."""

from __future__ import annotations

import importlib

import pytest
import torch

from spikeformer.ops import SURROGATES, LifState, lif
from spikeformer.ops.lif import Dynamics
from spikeformer.ops.lif.reference import lif_reference
from tests.ops.lif.cases import random_current

resets = pytest.mark.parametrize("reset", ["subtract", "zero"])


@resets
@pytest.mark.parametrize("adaptive", [False, True])
def test_reference_passes_gradcheck_with_a_smooth_spike(reset, adaptive, monkeypatch):
    smooth = lambda x, surrogate, slope: torch.sigmoid(4.0 * x)  # noqa: E731
    monkeypatch.setattr(importlib.import_module("spikeformer.ops.lif.reference"), "spike", smooth)

    def run(current, membrane, adaptation, decay, threshold, adaptation_decay, strength):
        parameters = (decay, threshold, adaptation_decay, strength)
        dynamics = Dynamics(parameters, reset, False, "sigmoid", 4.0, 0, "reference")
        state = LifState(membrane, adaptation if adaptive else None)
        spikes, final = lif_reference(current, state, dynamics)
        return (spikes, *final) if adaptive else (spikes, final.membrane)

    current = random_current(2, 4, 3, dtype=torch.float64).requires_grad_()
    state = [random_current(2, 3, dtype=torch.float64, seed=s).requires_grad_() for s in (1, 2)]
    numbers = [torch.tensor(p, dtype=torch.float64, requires_grad=True) for p in (0.9, 1, 0.7, 0.2)]
    assert torch.autograd.gradcheck(run, (current, *state, *numbers))


def test_reference_with_a_surrogate_is_the_smooth_one_wherever_spikes_are_known():
    # Same surrogate, step replaced by its primitive: with one timestep the gradients agree.
    x = torch.linspace(-1, 1, 21, dtype=torch.float64).view(1, 1, -1).requires_grad_()
    for name, surrogate in SURROGATES.items():
        spikes, _ = lif(x, decay=0.5, threshold=0.25, surrogate=name)
        (grad,) = torch.autograd.grad(spikes.sum(), x)
        expected = surrogate.derivative(x.detach() - 0.25, surrogate.default_slope)
        torch.testing.assert_close(grad, expected)
