from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.error_handling import ArgumentError
from spikeformer.models import TokenBatchNorm, TokenLayerNorm
from spikeformer.models.norm import token_norm
from spikeformer.ops import lif


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("masked", [False, True])
def test_batch_norm_is_torchs_over_real_tokens(training, masked):
    x = torch.randn(3, 2, 5, 4)
    mask = torch.arange(5) < torch.tensor([[5], [2], [1]]) if masked else None
    norm, plain = TokenBatchNorm(4), nn.BatchNorm1d(4)
    for layer in (norm, plain):
        nn.init.constant_(layer.running_mean, 0.3)
        nn.init.constant_(layer.weight, 1.7)
        layer.train(training)
    real = torch.ones(3, 2, 5, dtype=torch.bool) if mask is None else mask[:, None].expand(3, 2, 5)
    expected = plain(x[real])
    assert x[real].shape[0] == (2 * 8 if masked else 30)
    y = norm(x, mask)
    assert y.shape == x.shape
    torch.testing.assert_close(y[real], expected)
    torch.testing.assert_close(norm.running_mean, plain.running_mean)
    torch.testing.assert_close(norm.running_var, plain.running_var)


def test_no_momentum_is_torchs_plain_average():
    """As `torch.optim.swa_utils.update_bn` sets it, also where a neuron reads the currents."""
    fused, plain = TokenBatchNorm(4), nn.BatchNorm1d(4)
    fused.momentum = plain.momentum = None
    batches = torch.randn(3, 6, 2, 5, 4) * torch.tensor([1.0, 2.0, 5.0]).view(3, 1, 1, 1, 1)
    for x in batches:
        fused.lif(x, None, decay=0.5)
        plain(x.flatten(0, 2))
    torch.testing.assert_close(fused.running_mean, plain.running_mean)
    torch.testing.assert_close(fused.running_var, plain.running_var)
    assert fused.num_batches_tracked == 3
    spikes, _ = fused.eval().lif(batches[0], None, decay=0.5)
    assert torch.equal(
        spikes, lif(plain.eval()(batches[0].flatten(0, 2)).view(6, 2, 5, 4), decay=0.5)[0]
    )


def test_padding_changes_no_gradient():
    x = torch.randn(2, 2, 4, 3)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    grads = []
    for filler in (0.0, 100.0):
        norm, y = TokenBatchNorm(3), x.clone()
        y[1, :, 2:] = filler
        out = norm(y, mask)
        out[mask[:, None].expand(2, 2, 4)].square().mean().backward()
        grads.append(norm.weight.grad)
    assert torch.equal(*grads)


def test_layer_norm_is_torchs():
    x = torch.randn(2, 3, 5, 4)
    norm, plain = TokenLayerNorm(4), nn.LayerNorm(4)
    mask = torch.ones(2, 5, dtype=torch.bool)
    assert torch.equal(norm(x), plain(x))
    assert torch.equal(norm(x, mask), plain(x))


def test_by_name():
    assert isinstance(token_norm("batch", 3), TokenBatchNorm)
    assert isinstance(token_norm("layer", 3), TokenLayerNorm)
    with pytest.raises(ArgumentError, match=r"`norm`.*'batch', 'layer'"):
        token_norm("group", 3)
