"""Integer firing in `lif`: scalar loops, derivatives by hand and by differences, all kernels."""

from __future__ import annotations

import math

import pytest
import torch

from spikeformer.ops import LifState, lif
from spikeformer.ops.lif import Dynamics
from spikeformer.ops.lif.operator import lif_backward, lif_forward
from spikeformer.ops.lif.reference import lif_reference
from tests.neurons import scalar
from tests.ops.devices import device_of
from tests.ops.lif.cases import assert_equal_results, random_current, results, run_lif

backends = pytest.mark.parametrize("backend", ["reference", "cpu", "triton"])
kernels = pytest.mark.parametrize("kernel", ["cpu", "triton"])


def integers(*shape, dtype=torch.float32):
    """Currents with which all counts occur, below 0 and beyond the most too."""
    return (3 * random_current(*shape) + 1).to(dtype)


@backends
@pytest.mark.parametrize("max_spikes", [1, 3, 4])
def test_equals_a_scalar_loop(backend, max_spikes):
    # Multiples of 1/8, decay 1/2 and threshold 1/2: exact in float32, with many ties.
    current = (integers(3, 6, 5) * 8).round() / 8
    membrane = random_current(3, 5, seed=1).mul(8).round() / 8
    spikes, final = run_lif(
        current,
        LifState(membrane),
        decay=0.5,
        threshold=0.5,
        max_spikes=max_spikes,
        backend=backend,
    )
    counts = (spikes * max_spikes).round()
    assert torch.equal(spikes, counts / max_spikes)
    assert set(counts.unique().tolist()) == set(range(max_spikes + 1))
    for b in range(3):
        for f in range(5):
            series, v0 = current[b, :, f].tolist(), membrane[b, f].item()
            expected, v = scalar.integer_lif(series, 0.5, 0.5, max_spikes, v0)
            assert counts[b, :, f].tolist() == expected
            assert final.membrane[b, f].item() == v


@backends
def test_ties_are_rounded_to_the_even_number(backend):
    levels = torch.tensor([0.5, 1.5, 2.5, 3.5, -0.5, 4.5]).view(1, 1, -1)
    spikes, _ = run_lif(levels, decay=0.5, max_spikes=4, backend=backend)
    assert (4 * spikes).flatten().tolist() == [0.0, 2.0, 2.0, 4.0, 0.0, 4.0]


@kernels
@pytest.mark.parametrize(
    ("shape", "detach_reset"),
    [
        ((3, 9, 37), False),
        ((3, 9, 37), True),
        ((2, 1, 70), False),
        ((2, 35, 9), True),
        ((2, 3, 2500), False),
        ((5, 4), True),
    ],
)
def test_kernels_equal_the_reference(kernel, shape, detach_reset):
    options = {"max_spikes": 4, "detach_reset": detach_reset}
    current = integers(*shape)
    expected = results(current, "reference", **options)
    assert_equal_results(results(current, kernel, **options), expected)
    assert all(expected[name].any() for name in ("d current", "d membrane", "d threshold"))
    if shape[1] == 1:
        options["learnable"] = False
        expected = results(current, "reference", **options)
        assert_equal_results(results(current, kernel, **options), expected)


@kernels
def test_half_precision(kernel):
    current = integers(3, 1, 37, dtype=torch.bfloat16)
    # Triton's interpreter cuts a third off to bfloat16 where GPUs round it.
    cuts = kernel == "triton" and not torch.cuda.is_available()
    options = {"max_spikes": 4 if cuts else 3, "with_state": False}
    expected = results(current, "reference", **options)
    assert_equal_results(results(current, kernel, **options), expected, torch.bfloat16)


@kernels
def test_behind_an_affine_map(kernel):
    current, weights = integers(3, 2, 37), random_current(3, 2, 37, seed=4)
    center, scale, offset = (random_current(37, seed=seed) for seed in (1, 2, 3))
    dynamics = Dynamics((0.9, 0.4, 0.0, 0.0), "subtract", False, "atan", 2.0, 4, kernel)
    mapped = ((current - center) * scale + offset).requires_grad_()
    expected, final = lif_reference(mapped, (None, None), dynamics)
    (grad,) = torch.autograd.grad((expected * weights).sum(), mapped)
    sums = torch.stack([grad.sum((0, 1)), (grad * (current - center)).sum((0, 1))])
    device = device_of(kernel)
    affine = tuple(x.to(device) for x in (center, scale, offset))
    arguments = current.to(device), (None, None), dynamics
    spikes, membrane, _ = lif_forward(*arguments, affine)
    got, *_, got_sums = lif_backward(*arguments, weights.to(device), (None, None), affine)
    assert torch.equal(spikes.cpu(), expected)
    assert torch.equal(membrane.cpu(), final.membrane)
    torch.testing.assert_close(got.cpu(), grad)
    torch.testing.assert_close(got_sums.cpu(), sums, rtol=1e-4, atol=1e-4)


@backends
def test_gradient_passes_inside_the_range_only(backend):
    levels = torch.tensor([-0.1, 0.0, 0.3, 3.9, 4.0, 4.1]).view(1, 1, -1).requires_grad_()
    threshold = torch.tensor(1.0, requires_grad=True)
    spikes, _ = run_lif(levels, decay=0.5, threshold=threshold, max_spikes=4, backend=backend)
    grad, grad_threshold = torch.autograd.grad(spikes.sum(), (levels, threshold))
    # n / D with n taken as clip(I / theta, 0, D): 1 / (theta D) and -I / (theta^2 D) inside.
    assert grad.flatten().tolist() == [0.0, 0.25, 0.25, 0.25, 0.25, 0.0]
    assert grad_threshold.item() == pytest.approx(-(0.3 + 3.9 + 4.0) / 4)


@backends
def test_gradient_is_that_of_the_unrounded_count(backend):
    # The derivative of the rounding is one: differences of the network without it, around the
    # membranes that it has with it.
    current, threshold, decay, most = integers(1, 3, 40), 0.7, 0.6, 4
    leaf = current.clone().requires_grad_()
    weights = random_current(1, 3, 40, seed=3)
    learnt = torch.tensor(decay, requires_grad=True)
    spikes, _ = run_lif(leaf, decay=learnt, threshold=threshold, max_spikes=most, backend=backend)
    (grad,) = torch.autograd.grad((spikes * weights).sum(), leaf)
    counts = (spikes * most).detach().double()

    def smooth(x):
        """n[t] less its rounding, which is held where `current` has it."""
        v, v0, total = 0.0, 0.0, 0.0
        for t in range(3):
            u, u0 = decay * v + x[0, t], decay * v0 + current[0, t].double()
            held = counts[0, t] - (u0 / threshold).clamp(0, most)
            n = (u / threshold).clamp(0, most) + held
            v, v0 = u - threshold * n, u0 - threshold * counts[0, t]
            total = total + (n / most * weights[0, t]).sum()
        return total

    step = 1e-6
    for t in range(3):
        for f in range(0, 40, 7):
            there, back = current.double(), current.double()
            there[0, t, f] += step
            back[0, t, f] -= step
            difference = (smooth(there) - smooth(back)) / (2 * step)
            assert grad[0, t, f].item() == pytest.approx(difference.item(), abs=1e-5)


@backends
def test_nan_is_not_hidden(backend):
    current = torch.tensor([[[math.nan, 2.0, math.inf, -math.inf]]])
    spikes, _ = run_lif(current, decay=0.5, max_spikes=4, backend=backend)
    assert spikes[0, 0, 0].isnan()
    assert spikes[0, 0, 1:].tolist() == [0.5, 1.0, 0.0]


def test_float64_stays():
    spikes, state = lif(integers(1, 2, 5).double(), decay=0.5, max_spikes=4)
    assert (spikes.dtype, state.membrane.dtype) == (torch.float64, torch.float64)
