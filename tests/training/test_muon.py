from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.training import Muon


def parameters(*shapes):
    random = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=random)) for shape in shapes]


def test_each_parameter_moves_as_by_the_optimizer_that_is_its_own():
    matrix, kernel, bias = ours = parameters((6, 3), (2, 3, 3, 3), (5,))
    groups = [{"params": [kernel]}, {"params": [bias], "weight_decay": 0.0, "lr": 0.1}]
    optimizer = Muon([{"params": [matrix], "matrix": True}, *groups], lr=0.2, weight_decay=0.3)
    theirs = parameters((6, 3), (2, 3, 3, 3), (5,))
    settings = {"lr": 0.2, "weight_decay": 0.3, "eps": 1e-8}
    groups = [{"params": [theirs[1]]}, {"params": [theirs[2]], "weight_decay": 0.0, "lr": 0.1}]
    muon = torch.optim.Muon(theirs[:1], adjust_lr_fn="match_rms_adamw", **settings)
    others = (muon, torch.optim.AdamW(groups, **settings))
    for _ in range(4):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.sin(mine.detach() * 3)
            other.grad = mine.grad.clone()
        for each in (optimizer, *others):
            each.step()
            for group in each.param_groups:
                group["lr"] *= 0.9  # as a schedule does
    assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


def test_a_step_of_a_matrix_is_orthogonal_and_as_large_as_one_of_adamw():
    (matrix,) = parameters((40, 40))
    before = matrix.detach().clone()
    optimizer = Muon([{"params": [matrix], "matrix": True}], lr=0.1, weight_decay=0.0)
    loss = optimizer.step(lambda: backward(matrix))
    assert loss == pytest.approx(float(before.square().sum()))
    step = (before - matrix.detach()) / 0.1
    assert step.square().mean().sqrt() == pytest.approx(0.2, rel=0.2)  # of AdamW 0.2 to 0.4
    stretch = torch.linalg.svdvals(step) / (0.2 * 40**0.5)
    assert 0.5 < stretch.min() < stretch.max() < 1.5  # of Newton-Schulz in five iterations


def backward(parameter):
    loss = parameter.square().sum()
    loss.backward()
    return loss.item()


def test_what_is_no_matrix_is_refused_as_one():
    (kernel,) = parameters((2, 3, 3, 3))
    optimizer = Muon([{"params": [kernel], "matrix": True}])
    kernel.grad = torch.ones_like(kernel)
    with pytest.raises(ValueError, match="2D"):
        optimizer.step()


def test_settings_out_of_range_are_refused():
    for wrong in ({"momentum": -1.0}, {"betas": (0.9, 1.5)}):
        with pytest.raises(ValueError, match=next(iter(wrong)).rstrip("s")):
            Muon(parameters((2, 2)), **wrong)
