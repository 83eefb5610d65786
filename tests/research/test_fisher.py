from __future__ import annotations

import torch
from torch import nn

from spikeformer.research import empirical_fisher
from tests.research.test_ewc import CROSS_ENTROPY, brute_force, small_vit


def test_empirical_fisher_is_exact_sample_by_sample():
    model = small_vit()
    x, y = torch.rand(7, 1, 4, 4), torch.randint(3, (7,))
    # Batch norm that has seen something, so that evaluation mode differs.
    model.train()(x)
    expected = brute_force(model, list(zip(x, y, strict=True)), CROSS_ENTROPY)
    model.train()
    batches = [(x[:4], y[:4]), (x[4:], y[4:])]
    found = empirical_fisher(model, batches, CROSS_ENTROPY)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-9)
    assert found.max() > 0
    assert all(module.training for module in model.modules())
    # It is not the square of the batch's gradient, nor does it depend on how batches are cut.
    assert torch.allclose(empirical_fisher(model, [(x, y)], CROSS_ENTROPY), found, rtol=1e-4)
    loss = CROSS_ENTROPY(model.eval()(x), y)
    batch = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
    assert not torch.allclose(batch**2, found, rtol=0.1)


def test_empirical_fisher_of_a_closed_form():
    # Logistic regression on one weight: d loss / d w = (p - y) x.
    model = nn.Linear(1, 1, bias=False)
    x, y = torch.tensor([[0.5], [2.0], [-1.0]]), torch.tensor([[1.0], [0.0], [0.0]])
    loss = nn.functional.binary_cross_entropy_with_logits
    probability = torch.sigmoid(x * model.weight.item())
    expected = ((probability - y) * x).square().mean()
    assert torch.allclose(empirical_fisher(model, [(x, y)], loss), expected, rtol=1e-5)
    first = ((probability - y) * x)[:2].square().mean()
    assert torch.allclose(empirical_fisher(model, [(x, y)], loss, 2), first, rtol=1e-5)
