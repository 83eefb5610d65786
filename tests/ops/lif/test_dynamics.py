"""The arguments of neurons, checked, and handed through operators."""

from __future__ import annotations

import pytest
import torch

from spikeformer.error_handling import ArgumentError
from spikeformer.ops import LifState
from spikeformer.ops.lif import Dynamics
from spikeformer.ops.lif.dynamics import zero_state

CURRENT = torch.zeros(2, 3, 4, dtype=torch.bfloat16)


def test_dynamics_fill_in_the_defaults():
    dynamics, state = Dynamics.of("lif", CURRENT, None, decay=0.5, backend="reference")
    assert dynamics.parameters == (0.5, 1.0, 0.0, 0.0)
    assert dynamics[1:] == ("subtract", False, "fast_sigmoid", 25.0, 0, "reference")
    assert state == (None, None)


def test_dynamics_start_the_adaptation_from_zero_and_widen_the_state():
    membrane = torch.full((2, 4), 0.5, dtype=torch.bfloat16)
    _, state = Dynamics.of("lif", CURRENT, LifState(membrane), decay=0.5, adaptation_decay=0.9)
    assert state[0].dtype == torch.float32
    assert torch.equal(state[0], membrane.float())
    assert torch.equal(state[1], zero_state(CURRENT))


@pytest.mark.parametrize(
    "decay", [0.5, torch.tensor(0.5), torch.tensor(0.5, dtype=torch.float64, requires_grad=True)]
)
def test_dynamics_come_through_an_operator(decay):
    dynamics, _ = Dynamics.of("lif", CURRENT, None, decay=decay, reset="zero", surrogate="atan")
    handed = dynamics.for_operator(CURRENT.device)
    again = Dynamics.of_operator(*handed)
    assert again[1:] == dynamics[1:]
    numbers = torch.as_tensor(again.parameters)
    torch.testing.assert_close(numbers, torch.tensor([0.5, 1.0, 0.0, 0.0]))
    if isinstance(decay, torch.Tensor) and decay.requires_grad:
        (grad,) = torch.autograd.grad(numbers.sum(), decay)
        assert grad == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reset": "zero"}, "`reset`"),
        ({"adaptation_decay": 0.5}, "no adaptation"),
        ({"max_spikes": 0}, "`max_spikes`"),
    ],
)
def test_dynamics_that_count_neither_adapt_nor_reset_to_zero(options, message):
    with pytest.raises(ArgumentError, match=message):
        Dynamics.of("lif", CURRENT, None, **{"decay": 0.5, "max_spikes": 4, **options})


@pytest.mark.parametrize(
    ("dtype", "wide"), [(torch.bfloat16, torch.float32), (torch.float64, torch.float64)]
)
def test_zero_state_has_no_time_axis_and_is_at_least_float32(dtype, wide):
    state = zero_state(torch.ones(2, 3, 4, 5, dtype=dtype))
    assert (state.shape, state.dtype) == ((2, 4, 5), wide)
    assert not state.any()
