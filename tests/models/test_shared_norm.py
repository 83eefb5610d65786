"""Batch norm by moments of our own: torch's in one process; what several do is in `concurrency`."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from spikeformer.models.shared_norm import normalise, share_batch_norms, trains_with_others


def lively(norm: nn.Module) -> nn.Module:
    if norm.affine:
        nn.init.uniform_(norm.weight, 0.5, 2.0)
        nn.init.uniform_(norm.bias)
    return norm


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("affine", [True, False])
def test_normalise_is_batch_norm(momentum, affine):
    norm = lively(nn.BatchNorm2d(3, momentum=momentum, affine=affine))
    plain = copy.deepcopy(norm)
    for _ in range(2):  # a cumulative average counts the batches
        x = (torch.randn(4, 3, 5, 6) * 2 + 1).requires_grad_()
        y = x.detach().clone().requires_grad_()
        found, expected = normalise(norm, x, 1), plain(y)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        weights = torch.randn_like(found)
        (found * weights).sum().backward()
        (expected * weights).sum().backward()
        torch.testing.assert_close(x.grad, y.grad, atol=1e-5, rtol=1e-4)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(norm.state_dict()[name], value)


def test_normalise_counts_real_values_alone():
    norm = lively(nn.BatchNorm1d(3))
    plain = copy.deepcopy(norm)
    x, real = torch.randn(4, 5, 3), torch.rand(4, 5, 1) < 0.6
    found = normalise(norm, x, -1, real.float())
    chosen = real.squeeze(-1)
    torch.testing.assert_close(found[chosen], plain(x[chosen]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(norm.running_var, plain.running_var)


def test_normalise_loses_no_digits_far_from_zero():
    x = torch.randn(64, 2)
    near = normalise(nn.BatchNorm1d(2), x, 1)
    far = normalise(nn.BatchNorm1d(2), x.double().add(1e6), 1)
    torch.testing.assert_close(far, near.double(), atol=1e-4, rtol=1e-4)


def test_share_batch_norms_changes_types_and_no_names():
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Flatten(), nn.BatchNorm1d(8))
    names, types = list(net.state_dict()), [type(module) for module in net]
    x = torch.rand(3, 1, 2, 2)
    expected = copy.deepcopy(net)(x)
    share_batch_norms(net)
    assert not trains_with_others()
    assert list(net.state_dict()) == names
    assert [type(module) for module in net] != types
    torch.testing.assert_close(net(x), expected)  # one process has nobody to share with
    share_batch_norms(net, share=False)
    assert [type(module) for module in net] == types
