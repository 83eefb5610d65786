from __future__ import annotations

import torch

from spikeformer.encoding import DirectCoding, RateCoding


def test_is_a_view_of_the_value_at_every_timestep():
    x = torch.randn(2, 3, 4, requires_grad=True)
    currents = DirectCoding(5).encode(x)
    assert currents.shape == (2, 5, 3, 4)
    assert currents.data_ptr() == x.data_ptr()
    assert currents.stride(1) == 0
    assert torch.equal(currents, torch.stack([x] * 5, dim=1))
    currents.sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 5.0))


def test_says_that_it_is_constant():
    assert DirectCoding.constant
    assert not RateCoding.constant
