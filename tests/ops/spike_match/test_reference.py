"""The definition of `spike_match`: an AND of unit spikes, and where the gradient goes."""

from __future__ import annotations

import torch

from spikeformer.neurons import unit_spikes
from spikeformer.ops.spike_match.reference import match_reference

D = 4


def test_unit_spikes_that_meet_are_counted():
    counts = torch.arange(D + 1)
    one, other = (x.reshape(1, 1, -1, 1) / D for x in torch.meshgrid(counts, counts, indexing="ij"))
    met = (unit_spikes(one, D) * unit_spikes(other, D)).unflatten(1, (1, D)).mean(2)
    assert torch.equal(match_reference(one, other, total=False), met)
    total = match_reference(one.bfloat16(), other.bfloat16(), total=True)
    assert total.dtype == torch.float32
    assert total.item() == met.sum().item()


def test_the_smaller_takes_the_gradient_and_equal_ones_share_it():
    one = torch.tensor([0.25, 0.5, 0.75]).view(1, 1, 1, 3).requires_grad_()
    other = torch.full_like(one, 0.5).requires_grad_()
    grads = torch.autograd.grad(match_reference(one, other, total=False).sum(), (one, other))
    assert [grad.flatten().tolist() for grad in grads] == [[1.0, 0.5, 0.0], [0.0, 0.5, 1.0]]
