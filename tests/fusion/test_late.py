"""Late fusion by its equation."""

from __future__ import annotations

import torch

from spikeformer.fusion import confidence_weights


def test_confidence_weights_follow_the_equation():
    outputs = torch.randn(3, 5, 2, 4)
    p = outputs.mean(2).softmax(-1)
    entropy = -(p * p.log()).sum(-1)
    expected = torch.exp(-entropy / 0.7)
    weights = confidence_weights(outputs, 0.7)
    torch.testing.assert_close(weights, expected / expected.sum(0))
    surest = torch.nn.functional.one_hot(entropy.argmin(0), 3).T.float()
    torch.testing.assert_close(confidence_weights(outputs, 1e-4), surest)
    torch.testing.assert_close(confidence_weights(outputs, 1e6), torch.full((3, 5), 1 / 3))
    present = torch.ones(3, 5, dtype=torch.bool)
    present[1, 2] = False
    assert confidence_weights(outputs, 0.7, present)[1, 2] == 0
