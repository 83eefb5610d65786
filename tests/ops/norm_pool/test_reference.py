"""The reference of `norm_pool`, by the two modules of torch."""

from __future__ import annotations

import torch
from torch import nn

from spikeformer.ops.norm_pool.reference import norm_pool_reference


def test_it_is_torchs_batch_norm_before_its_pooling():
    norm, x = nn.BatchNorm2d(3, eps=1e-3, momentum=0.3), torch.randn(2, 3, 5, 4)
    nn.init.uniform_(norm.weight)
    nn.init.uniform_(norm.bias)
    mean, var = norm.running_mean.clone(), norm.running_var.clone()
    for training in (True, False):
        norm.train(training)
        out = norm_pool_reference(
            x, norm.weight, norm.bias, mean, var, training=training, momentum=0.3, eps=1e-3
        )
        assert torch.equal(out, nn.MaxPool2d(3, 2, padding=1)(norm(x)))
        assert torch.equal(mean, norm.running_mean)
        assert torch.equal(var, norm.running_var)
