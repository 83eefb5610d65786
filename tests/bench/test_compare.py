"""Which outputs count as the same."""

from __future__ import annotations

import pytest
import torch
from bench.compare import complaint, disagreement


def test_rounding_is_no_difference():
    expected = {"a": torch.randn(100)}
    shares = disagreement(expected, {"a": expected["a"] * (1 + 1e-5)}, 1e-3)
    assert shares == {"a": 0.0}
    assert complaint(shares) == ""


def test_a_flipped_spike_in_many_is_tolerated_and_many_are_not():
    expected = {"a": torch.zeros(100_000).bernoulli_(0.2)}
    actual = {"a": expected["a"].clone()}
    actual["a"][0] = 1 - actual["a"][0]
    assert complaint(disagreement(expected, actual, 1e-3)) == ""
    actual["a"][:100] = 1 - actual["a"][:100]
    assert "a differs in 0.10%" in complaint(disagreement(expected, actual, 1e-3))


@pytest.mark.parametrize("wrong", [torch.full((4,), float("nan")), torch.ones(5), torch.ones(4, 1)])
def test_nan_and_other_shapes_differ(wrong):
    assert disagreement({"a": torch.ones(4)}, {"a": wrong}, 1e-3) == {"a": 1.0}


def test_silence_differs_from_spikes_but_not_from_silence():
    silence = {"a": torch.zeros(4)}
    assert disagreement(silence, silence, 1e-3) == {"a": 0.0}
    assert disagreement(silence, {"a": torch.ones(4)}, 1e-3) == {"a": 1.0}


def test_a_missing_output_is_an_error():
    with pytest.raises(ValueError, match="Expected the outputs"):
        disagreement({"a": torch.ones(1)}, {"b": torch.ones(1)}, 1e-3)
