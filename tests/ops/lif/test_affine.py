"""The kernels of `lif` with an affine map of each feature on the way into the membrane."""

from __future__ import annotations

import pytest
import torch

from spikeformer.ops.dispatch import load_kernels
from spikeformer.ops.lif import Dynamics
from spikeformer.ops.lif.operator import lif_backward, lif_forward
from spikeformer.ops.lif.reference import lif_reference
from tests.ops.devices import device_of
from tests.ops.lif.cases import random_current

DECAY, THRESHOLD = 0.9, 0.8
OPTIONS = ("subtract", False, "fast_sigmoid", 2.0, 0)


@pytest.mark.parametrize("kernel", ["cpu", "triton"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 5, 37), (2, 17, 300), (2, 4, 1100), (0, 4, 7)])
def test_equals_the_map_followed_by_the_reference(kernel, dtype, shape):
    features = shape[2]
    current = random_current(*shape, dtype=dtype)
    center, scale, offset = (random_current(features, seed=seed) for seed in (1, 2, 3))
    weights = random_current(*shape, dtype=dtype, seed=4)

    mapped = ((current.float() - center) * scale + offset).requires_grad_()
    dynamics = Dynamics((DECAY, THRESHOLD, 0.0, 0.0), *OPTIONS, kernel)
    expected, final = lif_reference(mapped, (None, None), dynamics)
    (grad,) = torch.autograd.grad((expected * weights).sum(), mapped)
    sums = torch.stack([grad.sum((0, 1)), (grad * (current.float() - center)).sum((0, 1))])

    device = device_of(kernel)
    affine = tuple(tensor.to(device) for tensor in (center, scale, offset))
    current, weights, none = current.to(device), weights.to(device), (None, None)
    spikes, membrane, _ = lif_forward(current, none, dynamics, affine)
    got, *_, got_sums = lif_backward(current, none, dynamics, weights, none, affine)
    assert torch.equal(spikes.cpu(), expected.to(dtype))
    assert torch.equal(membrane.cpu(), final.membrane)
    assert got.dtype == dtype
    rtol = 1e-4 if dtype == torch.float32 else 1.6e-2
    torch.testing.assert_close(got.float().cpu(), grad, rtol=rtol, atol=1e-5)
    torch.testing.assert_close(got_sums.cpu(), sums, rtol=1e-4, atol=1e-4)


def test_samples_that_share_a_program_sum_to_the_same(monkeypatch):
    kernels, device = load_kernels("lif", "triton"), device_of("triton")
    current = random_current(5, 3, 200).to(device)
    affine = tuple(random_current(200, seed=seed).to(device) for seed in (1, 2, 3))
    state = random_current(5, 200, seed=4).to(device)
    parameters = torch.tensor([DECAY, THRESHOLD, 0.7, 0.2], device=device)
    dynamics, states = Dynamics(parameters, *OPTIONS, "triton"), (state, state)

    def run():
        return lif_backward(current, states, dynamics, current, states, affine)

    alone = run()
    monkeypatch.setattr(kernels, "_MAX_NEURONS_AT_ONCE", 500)
    shared = run()
    for one, other in zip(alone[:3], shared[:3], strict=True):
        assert torch.equal(one, other)
    for one, other in zip(alone[3:], shared[3:], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
