from __future__ import annotations

import pytest
import torch

from spikeformer.encoding import DirectCoding, RateCoding
from spikeformer.error_handling import ArgumentError


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


def test_channels_are_normalised_if_asked():
    x = torch.rand(2, 3, 4, 5)
    mean, std = [0.5, 0.4, 0.3], [0.2, 0.25, 0.5]
    currents = DirectCoding(2, mean, std).encode(x)
    expected = torch.stack([(x[:, c] - mean[c]) / std[c] for c in range(3)], dim=1)
    torch.testing.assert_close(currents, torch.stack([expected] * 2, dim=1))
    assert DirectCoding(2, mean, std).state_dict() == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mean": [0.5]}, "std"),
        ({"mean": [0.5], "std": [0.1, 0.2]}, "std"),
        ({"mean": [0.5], "std": [0.0]}, "above 0"),
    ],
)
def test_bad_statistics(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        DirectCoding(2, **arguments)


def test_statistics_of_another_number_of_channels():
    with pytest.raises(ArgumentError, match="each of 3 channels"):
        DirectCoding(2, [0.5], [0.5]).encode(torch.rand(1, 3, 2, 2))
