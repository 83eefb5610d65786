"""The reference of `norm_lif`: its gradients, and the equation by torch's own batch norm."""

from __future__ import annotations

import torch

from spikeformer.ops import norm_lif
from spikeformer.ops.lif import Dynamics
from spikeformer.ops.lif.reference import lif_reference
from spikeformer.ops.norm_lif.reference import norm_lif_reference
from tests.ops.norm_lif.cases import random_input


def test_reference_gradients_are_those_of_its_equation():
    """Finite differences through the batch's statistics; spikes are constant nearby."""
    x = random_input(2, 3, 4).double().requires_grad_()
    weight = torch.rand(4, dtype=torch.float64).add(0.5).requires_grad_()
    bias = torch.rand(4, dtype=torch.float64).requires_grad_()
    mean, variance = torch.zeros(4).double(), torch.ones(4).double()

    def membrane(x, weight, bias):
        # The rectangle is zero away from the threshold, as the step's derivative is.
        _, state = norm_lif(
            x,
            weight=weight,
            bias=bias,
            running_mean=mean,
            running_var=variance,
            training=True,
            decay=0.7,
            surrogate="rectangle",
            slope=1e6,
        )
        return state.membrane

    torch.autograd.gradcheck(membrane, (x, weight, bias))


def test_norm_lif_reference_is_torchs_batch_norm_before_lif():
    x = random_input(3, 4, 6, 5).double()
    weight, bias = torch.rand(6).double() + 0.5, torch.rand(6).double()
    dynamics = Dynamics((0.8, 1.0, 0.0, 0.0), "zero", False, "atan", 2.0, 0, "reference")
    options = {"weight": weight, "bias": bias, "eps": 1e-3, "channel_axis": 2}
    spikes, state, (mean, variance) = norm_lif_reference(
        x, (None, None), dynamics, moments=None, **options
    )
    torch.testing.assert_close(mean, x.mean((0, 1, 3)))
    torch.testing.assert_close(variance, x.var((0, 1, 3), correction=0))
    moved = torch.nn.functional.batch_norm(
        x.movedim(2, 1), None, None, weight, bias, training=True, eps=1e-3
    )
    expected, expected_state = lif_reference(moved.movedim(1, 2), (None, None), dynamics)
    assert 0 < spikes.mean() < 1
    torch.testing.assert_close(spikes, expected)
    torch.testing.assert_close(state.membrane, expected_state.membrane)
    again, _, _ = norm_lif_reference(x, (None, None), dynamics, moments=(mean, variance), **options)
    assert torch.equal(again, spikes)
