"""What a network's own code does to tensors: what is lowered, and what is refused."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import lower
from tests.hardware.lowering.layers import Function, net_on_spikes
from tests.hardware.lowering.test_lower import assert_equal
from tests.hardware.networks import HARD, images


@pytest.mark.parametrize(
    ("function", "threshold"),
    [
        (lambda x: 0.4 - x[:, :, :, 1:] * 2 / 3, 0.2),
        (lambda x: x + x.flip(3), 1.0),
        (lambda x: x - 0.3, 0.5),
        (lambda x: x - torch.arange(4.0) / 9, 0.5),
        (lambda x: x * x.roll(1, 4), 1.0),
        (lambda x: x.cumsum(dim=-1), 2.0),
        (lambda x: x.sum(dim=(3, 4)), 3.0),
        (lambda x: -x.mean(dim=2, keepdim=True), 1.0),
        (lambda x: x * torch.arange(4.0), 1.5),
        (lambda x: x.unbind(2)[1] - 0.5 * x[:, :, 0], 1.0),
    ],
)
def test_arithmetic_of_a_users_own_code(function, threshold):
    assert_equal(net_on_spikes(Function(function), HARD(threshold)), images(5, (2, 4, 4)))


WEIGHTS = torch.linspace(-1.0, 1.5, 20, dtype=torch.float64).reshape(4, 5)
BIAS = torch.linspace(-0.2, 0.4, 5, dtype=torch.float64)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.linear(x, WEIGHTS.T),
        lambda x: F.linear(x, WEIGHTS.T, BIAS),
        lambda x: x @ WEIGHTS,
        lambda x: x @ WEIGHTS[:, 0],
        lambda x: WEIGHTS.T @ x.mT,
        lambda x: torch.einsum("btnc,cd->btnd", x, WEIGHTS),
        lambda x: 2 * torch.addmm(BIAS, x.flatten(0, 2), WEIGHTS).view(*x.shape[:3], 5),
        lambda x: torch.bmm(x.flatten(0, 1), WEIGHTS.expand(x.shape[1] * len(x), 4, 5)).view(
            *x.shape[:3], 5
        ),
        lambda x: torch.cat([x[..., 2:], x[..., :1]], dim=-1),
        lambda x: torch.cat([x, torch.full((*x.shape[:2], 2, 4), 0.7).double()], dim=2),
        lambda x: torch.stack([x, x.flip(2)], dim=2),
        lambda x: F.pad(x, (1, 2, 0, 1), value=0.6),
        lambda x: F.pad(x, (-1, 1)),
    ],
)
def test_products_and_joints_of_a_users_own_code(function):
    net = net_on_spikes(Function(lambda x: function(x.flatten(2, 3))), HARD())
    assert_equal(net, images(5, (2, 4, 4)))


def test_matrix_product_of_spikes_stays_refused():
    net = net_on_spikes(Function(lambda x: x @ x.mT), HARD())
    with pytest.raises(HardwareCompatibilityError, match="both change at run time"):
        lower(net, (2, 4, 4))
