from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from spikeformer.error_handling import ArgumentError
from spikeformer.training import Lamb


def by_the_equation(weight, gradients, lr, beta1, beta2, eps, decay, longest):
    m, v = np.zeros_like(weight), np.zeros_like(weight)
    for t, gradient in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * gradient
        v = beta2 * v + (1 - beta2) * gradient**2
        update = (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps) + decay * weight
        ratio = min(longest, np.sqrt((weight**2).sum() / (update**2).sum()))
        weight = weight - lr * (ratio if weight.ndim > 1 else 1.0) * update
    return weight


@pytest.mark.parametrize("longest", [np.inf, 0.7])
@pytest.mark.parametrize("shape", [(5, 3), (4, 2, 3, 3), (7,)])
def test_weights_follow_the_equation(shape, longest):
    random = np.random.default_rng(0)
    weight, gradients = random.normal(size=shape), random.normal(size=(6, *shape))
    parameter = nn.Parameter(torch.from_numpy(weight.copy()))
    settings = {"eps": 1e-3, "weight_decay": 0.3, "max_ratio": longest}
    optimizer = Lamb([parameter], lr=0.1, betas=(0.8, 0.95), **settings)
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient)
        optimizer.step()
    expected = by_the_equation(weight, gradients, 0.1, 0.8, 0.95, 1e-3, 0.3, longest)
    np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-12)


def test_a_step_is_the_share_of_a_matrix_that_the_learning_rate_says():
    weight = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    parameter = nn.Parameter(weight.clone())
    optimizer = Lamb([parameter], lr=0.02)
    loss = optimizer.step(lambda: loss_of(parameter))
    moved = parameter.detach() - weight
    assert moved.norm() / weight.norm() == pytest.approx(0.02, rel=1e-5)
    assert loss == pytest.approx(1e6 * float(weight.sum()))


def loss_of(parameter):
    loss = 1e6 * parameter.sum()
    loss.backward()
    return loss.item()


def test_weights_and_updates_of_no_length_stay_finite():
    zero, still, other = (nn.Parameter(torch.full((2, 2), x)) for x in (0.0, 1.0, 1.0))
    zero.grad, still.grad = torch.ones(2, 2), torch.zeros(2, 2)
    Lamb([zero, still, other], lr=0.5, weight_decay=0.0).step()
    assert torch.allclose(zero, torch.full((2, 2), -0.5))  # as Adam
    assert torch.equal(still, other)


@pytest.mark.parametrize(
    "wrong", [{"lr": -1.0}, {"eps": -1.0}, {"max_ratio": 0.0}, {"betas": (0.9, 1.5)}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        Lamb([nn.Parameter(torch.ones(1))], **wrong)
